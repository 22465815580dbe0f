"""`minuteledger export`: bars as Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import instant
from pipeline.commands.output import JsonOption, print_json, print_table, say, warn
from pipeline.commands.progress import Stage, shown
from pipeline.commands.up import INTERRUPTED

if TYPE_CHECKING:
    from pipeline.export import Exported, Exporter, Target

Show = Callable[[Sequence[Stage]], None]


def export(
    destination: Annotated[
        str, typer.Argument(help="A folder, or a URL that fsspec knows, such as s3://bucket/bars.")
    ],
    *,
    provider: Annotated[
        list[str] | None, typer.Option(help="Only this provider; may be repeated.")
    ] = None,
    listing: Annotated[
        list[str] | None, typer.Option(help="Only listings of this key; may be repeated.")
    ] = None,
    timeframe: Annotated[
        list[str] | None, typer.Option(help="Only this one, as 1m or 1d; may be repeated.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only years that end after this.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only years that begin before this.")
    ] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Write bars to Parquet files, one for each listing, timeframe and year (of UTC).

    A file is written whole, read back, and put in its place only then. Do it again at any time:
    what is there, sound and up to date stays as it is; what has got other bars since is replaced.
    """
    from pipeline.export import Exporter, Selection
    from pipeline.settings import load_settings
    from pipeline.store.database import Database
    from pipeline.store.series import UnknownListing, UnknownTimeframe

    start, end = instant("--since", since), instant("--before", before)
    selection = Selection(provider or (), listing or (), timeframe or (), start, end)
    database = Database.existing(load_settings())
    try:
        with closing(Exporter(database, destination)) as exporter:
            targets = exporter.targets(selection)
            with _progress(quiet=as_json) as show:
                done = _export(exporter, targets, show)
    except (UnknownListing, UnknownTimeframe) as error:
        raise typer.BadParameter(str(error)) from None
    except KeyboardInterrupt:
        warn("Interrupted; the files that were written are whole. Export again to go on.")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json([asdict(one) for one in done])
    else:
        _tell(done)


def _export(exporter: Exporter, targets: Sequence[Target], show: Show) -> list[Exported]:
    exporter.forget_abandoned()
    done = []
    for number, target in enumerate(targets, start=1):
        done.append(exporter.export(target))
        show([Stage("files", "export", number, len(targets), number == len(targets))])
    return [one for one in done if one is not None]


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Show]:
    if quiet:
        yield lambda _: None
    else:
        with shown("files") as show:
            yield show


def _tell(done: list[Exported]) -> None:
    if not done:
        say("The ledger has no bars there.")
    rows = []
    for provider, timeframe in dict.fromkeys((one.provider, one.timeframe) for one in done):
        some = [one for one in done if (one.provider, one.timeframe) == (provider, timeframe)]
        counts = {
            outcome: sum(one.outcome == outcome for one in some)
            for outcome in ("written", "kept", "removed")
        }
        bars = sum(one.rows for one in some)
        rows.append({"provider": provider, "timeframe": timeframe, "bars": bars, **counts})
    print_table(rows)
