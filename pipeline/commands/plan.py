"""`minuteledger plan`: what a backfill will take, and what one took."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.output import CommandError, JsonOption, print_json, print_table, say
from pipeline.commands.selecting import check_names, months

if TYPE_CHECKING:
    import psycopg

    from pipeline.plan import Plan
    from pipeline.providers.capabilities import Capabilities
    from pipeline.store.cells import Cell
    from pipeline.universe import Universe


def plan(
    *,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    listing: Annotated[str | None, typer.Option(help="Only listings of this key.")] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM", help="First month.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM", help="Last month, included.")
    ] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Count what a backfill would take, without asking anybody anything.

    For each provider: requests, the time that they take at its limit, and what comes of them. The
    minutes are those that failed or were not asked for yet. Requests are exact as long as none
    fails and no answer has a silent edge; bars are expected by what the listing has had so far.
    """
    from pipeline.commands.ledger import connect
    from pipeline.settings import load_settings
    from pipeline.store.cells import open_cells
    from pipeline.universe import load_universe

    bounds = months(first, last)
    settings = load_settings()
    universe = load_universe(settings.universe_path)
    check_names(universe, provider, listing)
    with connect(settings) as connection:
        _check_synced(connection, universe)
        plans = plans_for(connection, universe, open_cells(connection, provider, listing, *bounds))
    if as_json:
        print_json([asdict(each) for each in plans])
    elif not plans:
        say("Nothing to do: every selected month is complete.")
    else:
        show(plans)


def plans_for(
    connection: psycopg.Connection, universe: Universe, cells: Mapping[str, Collection[Cell]]
) -> list[Plan]:
    """Plan the download of some cells of each provider.

    Raises:
        CommandError: A provider's settings are wrong.
    """
    from pipeline.plan import plan

    now = datetime.now(UTC)
    return [
        plan(connection, name, _capabilities(universe, name), named, now)
        for name, named in sorted(cells.items())
    ]


def show(plans: Sequence[Plan]) -> None:
    """Print plans as a table, and what cannot be known yet."""
    print_table(
        [
            {
                "provider": each.provider,
                "listing-months": each.cells,
                "minutes": each.minutes,
                "requests": each.requests,
                "time at the limit": duration(each.seconds),
                "bars": each.bars,
                "disk": megabytes(each.disk_bytes),
            }
            for each in plans
        ]
    )
    for each in plans:
        if each.unknown:
            say(
                f"{each.provider}: first trades to be asked for: {each.unknown}. Nothing before "
                "them is downloaded, so it may be less."
            )


def duration(seconds: float) -> str:
    """Write a time as a person says it."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.1f} s"


def megabytes(number: float) -> str:
    """Write a number of bytes."""
    return f"{number / 1e6:,.1f} MB"


def _capabilities(universe: Universe, provider: str) -> Capabilities:
    from pipeline.opening import capabilities_of
    from pipeline.providers.errors import Unsupported

    try:
        return capabilities_of(universe, provider)
    except Unsupported as error:
        raise CommandError(str(error)) from None


def _check_synced(connection: psycopg.Connection, universe: Universe) -> None:
    from pipeline.store.listings import listings

    known = {
        (name, listing.key) for name in universe.providers for listing in listings(connection, name)
    }
    missing = [spec for spec in universe.listings() if (spec.provider, spec.key) not in known]
    if missing:
        names = _some(f"{spec.provider} {spec.key}" for spec in missing)
        raise CommandError(
            f"the ledger does not know these listings of the universe yet: {names}; run "
            "`minuteledger migrate`, which takes the universe over"
        )


def _some(names: Iterable[str], shown: int = 5) -> str:
    found = list(names)
    more = f" and {len(found) - shown} more" if len(found) > shown else ""
    return ", ".join(found[:shown]) + more
