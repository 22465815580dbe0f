"""`minuteledger rebuild`: building bars above a minute anew, by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pipeline.commands.options import instant
from pipeline.commands.output import CommandError, JsonOption, print_json, print_table, say, warn

if TYPE_CHECKING:
    import psycopg

    from pipeline.intervals import Interval
    from pipeline.settings import Settings
    from pipeline.store.rewriting import Written

_BEGINNING: Final = datetime(1900, 1, 1, tzinfo=UTC)
_END: Final = datetime(2200, 1, 1, tzinfo=UTC)


def rebuild(
    listing: Annotated[
        str | None, typer.Argument(help="Key of the listing, such as BTC-USD; all without.")
    ] = None,
    *,
    provider: Annotated[str | None, typer.Option(help="Only this provider's listings.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="First minute: 2024-01-31 or ...T09:30Z.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="First minute that is not wanted any more.")
    ] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Build the bars of all timeframes anew from the stored minutes of [since, before).

    They are built by themselves wherever minutes change: this is for doubt. Rows that are as they
    should be are not touched, and nothing is downloaded.
    """
    from pipeline.intervals import Interval
    from pipeline.settings import load_settings

    start, end = instant("--since", since) or _BEGINNING, instant("--before", before) or _END
    if start >= end:
        raise typer.BadParameter("is not after --since", param_hint="--before")
    rows = list(_rebuilt(load_settings(), listing, provider, Interval(start, end)))
    if as_json:
        print_json(rows)
    elif rows:
        print_table(rows)
    else:
        say("There are no minutes to build bars from.")


def _rebuilt(
    settings: Settings, listing: str | None, provider: str | None, during: Interval
) -> Iterator[dict[str, Any]]:
    from functools import partial

    from pipeline.commands.ledger import connect
    from pipeline.consolidation import CONSOLIDATED
    from pipeline.following import follow
    from pipeline.store.database import Database
    from pipeline.store.listings import listings_named
    from pipeline.store.session import LedgerSession
    from pipeline.store.timeframes import mark_stale

    with connect(settings) as connection:
        found = listings_named(connection, listing, provider)
        if not found:
            raise CommandError("there is no such listing; `minuteledger status` lists all")
        database = Database.from_settings(settings)
        with LedgerSession(database) as session:
            for number, owner, key in found:
                session.run(partial(mark_stale, listing_id=number, during=during))
                followed = follow(database, session, [number])
                _warn(connection, owner, key, during)
                for built in followed.built.values():
                    yield from _rows(owner, key, built.rows)
                names = {number: name for name, number in followed.instruments.items()}
                for instrument, made in followed.consolidated.items():
                    yield from _rows(CONSOLIDATED, names[instrument], made.rows)


def _rows(provider: str, listing: str, written: Mapping[str, Written]) -> Iterator[dict[str, Any]]:
    for timeframe, done in written.items():
        yield {
            "provider": provider,
            "listing": listing,
            "timeframe": timeframe,
            "written": done.written,
            "removed": done.removed,
        }


def _warn(connection: psycopg.Connection, provider: str, listing: str, during: Interval) -> None:
    """Say that bars are not complete because minutes are still to come."""
    from pipeline.store.reasons import gaps

    found = gaps(connection, provider, listing, since=during.start, before=during.end)
    for state in ("failed", "pending"):
        minutes = sum(gap.minutes for gap in found if gap.state == state)
        if minutes:
            warn(
                f"{provider} {listing}: gaps of {minutes:,} {state} minutes touch this time; bars "
                "above them are not complete (`minuteledger gaps` lists them)"
            )
