"""`minuteledger bars`: stored bars, for eyes and for other programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import instant
from pipeline.commands.output import CommandError, JsonOption, plain, print_table, say

if TYPE_CHECKING:
    import psycopg

    from pipeline.store.queries import StoredBar

_SHOWN = 20


def bars(
    listing: Annotated[str, typer.Argument(help="Key of the listing, such as BTC-USD.")],
    *,
    provider: Annotated[
        str | None, typer.Option(help="The provider; needed when several have the listing.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="First minute: 2024-01-31 or ...T09:30Z.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="First minute that is not wanted any more.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Most bars: oldest from --since, else newest before --before."),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Print a listing's 1-minute bars of [since, before), in order of time; times are UTC.

    Without any limit in time or number, a table shows the newest 20; --csv and --json print all.
    """
    from pipeline.commands.ledger import connect
    from pipeline.settings import load_settings
    from pipeline.store import queries

    if as_csv and as_json:
        raise typer.BadParameter("choose one of --csv and --json")
    start, end = instant("--since", since), instant("--before", before)
    if limit is None and not (as_csv or as_json or since or before):
        limit = _SHOWN
    with connect(load_settings()) as connection:
        number = _listing_id(connection, listing, provider)
        found = queries.bars(connection, number, start, end, limit)
        if as_csv:
            _print_csv(found)
        elif as_json:
            _print_json(found)
        else:
            _print_rows(found)


def _listing_id(connection: psycopg.Connection, listing: str, provider: str | None) -> int:
    from pipeline.store.queries import listing_ids

    found = listing_ids(connection, listing, provider)
    if not found:
        where = f" at {provider}" if provider else ""
        raise CommandError(f"there is no listing {listing}{where}; `minuteledger status` lists all")
    if len(found) > 1:
        raise typer.BadParameter(
            f"{listing} is listed at {', '.join(found)}; choose one", param_hint="--provider"
        )
    return next(iter(found.values()))


def _print_rows(found: Iterable[StoredBar]) -> None:
    rows = [asdict(bar) | {"ts": bar.ts} for bar in found]
    if not rows:
        say("No bars there.")
    prices = ("open", "high", "low", "close", "volume", "vwap")
    print_table([row | {name: _number(row[name]) for name in prices} for row in rows])


def _number(value: float | None) -> str:
    return "-" if value is None else repr(value)


def _print_csv(found: Iterable[StoredBar]) -> None:
    from pipeline.store.queries import StoredBar

    names = [field.name for field in fields(StoredBar)]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for bar in found:
        writer.writerow([plain(bar.ts), *(getattr(bar, name) for name in names[1:])])


def _print_json(found: Iterable[StoredBar]) -> None:
    lines: Iterator[str] = (json.dumps(asdict(bar), default=plain) for bar in found)
    first = next(lines, None)
    sys.stdout.write("[" if first is None else f"[\n{first}")
    for line in lines:
        sys.stdout.write(f",\n{line}")
    sys.stdout.write("]\n")
