"""`minuteledger gaps`: which minutes have no bar, and why."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.options import instant
from pipeline.commands.output import CommandError, JsonOption, print_json, print_table, say

if TYPE_CHECKING:
    import psycopg

    from pipeline.store.reasons import ReasonedGap

_SHOWN = 50
_COLUMNS = (
    "provider",
    "listing",
    "since",
    "before",
    "minutes",
    "reason",
    "next_attempt_at",
    "evidence",
)


def gaps(
    *,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    listing: Annotated[str | None, typer.Option(help="Only listings of this key.")] = None,
    reason: Annotated[
        str | None,
        typer.Option(help="Only outage, halt, not_listed, history_limit, failed or pending."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only what touches the time from here on.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only what touches the time before this.")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Also the minutes without a trade, of one listing.")
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Show the gaps that need action or explanation: which minutes, why, and what is next.

    A gap reaches from the first minute without a bar to the first with one; times are UTC. Minutes
    without a trade are many and only counted (see status); --quiet lists those of one listing.
    """
    from pipeline.commands.ledger import connect
    from pipeline.settings import load_settings
    from pipeline.store import reasons

    start, end = instant("--since", since), instant("--before", before)
    if reason is not None and reason not in reasons.REASONS:
        raise typer.BadParameter(f"choose one of {', '.join(reasons.REASONS)}")
    with connect(load_settings()) as connection:
        _check_names(connection, provider, listing)
        found = reasons.gaps(connection, provider, listing, reason=reason, since=start, before=end)
        if quiet:
            found += _quiet(connection, provider, listing, start, end)
            found.sort(key=lambda gap: gap.since)
    rows = [asdict(gap) for gap in found]
    if as_json:
        print_json(rows)
    elif rows:
        _show(rows)
    else:
        say("No minute there needs action or explanation.")


def _quiet(
    connection: psycopg.Connection,
    provider: str | None,
    listing: str | None,
    start: datetime | None,
    end: datetime | None,
) -> list[ReasonedGap]:
    from pipeline.intervals import Interval
    from pipeline.store.reasons import quiet_gaps

    if not (provider and listing and start and end):
        raise CommandError(
            "--quiet lists one listing: add --provider, --listing, --since, --before"
        )
    return quiet_gaps(connection, provider, listing, Interval(start, end))


def _show(rows: list[dict[str, Any]]) -> None:
    print_table([{name: row[name] for name in _COLUMNS} for row in rows[:_SHOWN]])
    if len(rows) > _SHOWN:
        say(f"... and {len(rows) - _SHOWN} more (--json lists all)")


def _check_names(connection: psycopg.Connection, provider: str | None, listing: str | None) -> None:
    from pipeline.store.listings import listings_named

    if listing and not listings_named(connection, listing, provider):
        raise CommandError(f"no listing here is called {listing} at {provider or 'any provider'}")
