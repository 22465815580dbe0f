"""`minuteledger backfill`: have Dagster download history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.archives import look_at_archives
from pipeline.commands.forecast import Forecast
from pipeline.commands.output import CommandError, say, warn
from pipeline.commands.progress import Stage, shown
from pipeline.commands.selecting import check_names, months
from pipeline.commands.up import INTERRUPTED

if TYPE_CHECKING:
    from pipeline.orchestration.api import DagsterApi
    from pipeline.orchestration.backfills import Selection, Wave
    from pipeline.settings import Settings

_SHOWN = 20

Launched = tuple["DagsterApi", "Launch", Callable[[], None]]


@dataclass(slots=True)
class Launch:
    """What was launched, and what it was expected to take; empty when there was nothing to do."""

    waves: list[Wave] = field(default_factory=list)
    forecast: Forecast = field(default_factory=Forecast)


def backfill(
    *,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    listing: Annotated[str | None, typer.Option(help="Only listings of this key.")] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM", help="First month.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM", help="Last month, included.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also months that are complete already.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait for the end and tell how it went.")] = True,
) -> None:
    """Download what is missing of the universe's history, through Dagster backfills.

    Uses the running `minuteledger up`; when there is none, starts Dagster for the time it takes.
    Exit code 1 when a month of a listing was not completed; each is named, with the reason.
    """
    from pipeline.orchestration.backfills import Selection
    from pipeline.settings import load_settings
    from pipeline.universe import load_universe

    selection = Selection(provider, listing, *months(first, last), everything)
    settings = load_settings()
    check_names(load_universe(settings.universe_path), provider, listing)
    download(settings, selection, wait=wait)


def download(settings: Settings, selection: Selection, *, wait: bool) -> None:
    """Download what is selected through Dagster, and tell how it went.

    Raises:
        typer.Exit: Something was not completed, or it was interrupted.
    """
    try:
        with _launched(settings, selection, wait=wait) as (api, launched, between):
            if not launched.waves:
                say("Nothing to do: every selected month is complete.")
            elif not wait:
                say(f"Launched {len(launched.waves)} backfills; watch them at {api.url}/runs")
            elif problems := follow_to_end(settings, api, launched, between):
                report(problems)
                raise typer.Exit(1)
    except KeyboardInterrupt:
        warn("Interrupted; what was downloaded is kept.")
        raise typer.Exit(INTERRUPTED) from None


def follow_to_end(
    settings: Settings, api: DagsterApi, launched: Launch, between: Callable[[], None]
) -> list[str]:
    """Show the progress of launched waves to their end, and what they took of what was planned.

    Returns:
        What was not completed, and why.
    """
    from pipeline.commands.ledger import connect
    from pipeline.orchestration import backfills

    with shown() as show:
        for state in backfills.follow(api, launched.waves, between):
            show([stage(wave) for wave in state])
    with connect(settings) as connection:
        launched.forecast.compare(connection, backfills.taken(api, launched.waves))
        return [
            text for wave in launched.waves for text in backfills.explain(connection, api, wave)
        ]


def stage(wave: Wave) -> Stage:
    """Return where a wave is."""
    return Stage(wave.backfill, wave.provider, wave.done, len(wave.cells), wave.ended is not None)


def report(problems: list[str]) -> None:
    """Tell what was not completed."""
    warn(f"{len(problems)} partitions were not completed:")
    for problem in problems[:_SHOWN]:
        warn(f"  {problem}")
    if len(problems) > _SHOWN:
        warn(f"  ... and {len(problems) - _SHOWN} more; see `minuteledger status`")


@contextmanager
def _launched(settings: Settings, selection: Selection, *, wait: bool) -> Iterator[Launched]:
    """Plan and launch on whatever Dagster there is, or on one of our own."""
    from pipeline.orchestration.api import DagsterApi
    from pipeline.orchestration.interruption import Interruption
    from pipeline.orchestration.service import Service, serving
    from pipeline.orchestration.state import claim, running

    other = running(settings)
    if other is not None:
        api = DagsterApi(other.url)
        if not other.ready or not api.answers():
            raise CommandError(
                f"process {other.pid} is starting or ending Dagster at {other.url}; try again soon"
            )
        yield api, launch(settings, api, selection), lambda: None
        return
    if not wait:
        raise CommandError("nothing is running that could go on alone; start `minuteledger up`")
    launched = Launch()

    def plan(service: Service) -> None:
        nonlocal launched
        launched = launch(settings, service.api, selection)

    interruption = Interruption()
    with (
        claim(settings, "backfill") as right,
        serving(
            settings, right, port=None, interruption=interruption, say=say, before_daemon=plan
        ) as service,
    ):
        yield service.api, launched, service.look


def launch(settings: Settings, api: DagsterApi, selection: Selection) -> Launch:
    """Launch what it takes to get everything selected, after telling what that is."""
    from pipeline.commands.ledger import connect
    from pipeline.orchestration import backfills
    from pipeline.universe import load_universe

    universe = load_universe(settings.universe_path)
    with connect(settings) as connection:
        due = look_at_archives(settings, universe, selection)
        waves = backfills.plan(connection, api, selection, due)
        cells = backfills.cells_of(waves)
        forecast = Forecast.of(connection, universe, cells)
    forecast.tell()
    backfills.launch(api, waves)
    for wave in waves:
        say(f"{wave.provider}: backfill {wave.backfill} of {len(wave.cells)} listing-months")
    return Launch(waves, forecast)
