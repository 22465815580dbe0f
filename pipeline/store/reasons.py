"""Reading gaps, and why there is no bar in their minutes.

What belongs here: what people and pages are shown. Finding the reasons is `pipeline.gaps`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from pipeline.intervals import Interval
from pipeline.store.cells import Cell

REASONS = ("outage", "halt", "not_listed", "history_limit", "failed", "pending")
"""The reasons of gaps that need action or explanation, as in `market.gaps`."""

_GAPS = """
SELECT provider, listing, since, before, minutes, state, reason, evidence, attempts, error,
       next_attempt_at
FROM market.gaps
WHERE provider = coalesce(%(provider)s, provider) AND listing = coalesce(%(listing)s, listing)
  AND reason = coalesce(%(reason)s, reason)
  AND before > coalesce(%(since)s::timestamptz, '-infinity')
  AND since < coalesce(%(before)s::timestamptz, 'infinity')
ORDER BY provider, listing, since
"""


@dataclass(frozen=True, slots=True)
class ReasonedGap:
    """A gap with its reason, whole; see `market.gaps`. Times are UTC, `[since, before)`."""

    provider: str
    listing: str
    since: datetime
    before: datetime
    minutes: int
    state: str
    reason: str
    evidence: str | None
    attempts: int | None = None
    error: str | None = None
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SilenceCount:
    """How many minutes of a cell were answered without a bar, and why; see `market.silences`."""

    quiet_gaps: int
    quiet_minutes: int
    outages: int
    outage_minutes: int
    halts: int
    halt_minutes: int


def gaps(
    connection: psycopg.Connection,
    provider: str | None = None,
    listing: str | None = None,
    *,
    reason: str | None = None,
    since: datetime | None = None,
    before: datetime | None = None,
) -> list[ReasonedGap]:
    """Return gaps that need action or explanation and touch `[since, before)`, or all of them."""
    with connection.cursor(row_factory=class_row(ReasonedGap)) as cursor:
        return cursor.execute(
            _GAPS,
            {
                "provider": provider,
                "listing": listing,
                "reason": reason,
                "since": since,
                "before": before,
            },
        ).fetchall()


def quiet_gaps(
    connection: psycopg.Connection, provider: str, listing: str, during: Interval
) -> list[ReasonedGap]:
    """Return the runs of minutes without a trade of a listing that touch an interval, whole."""
    rows = connection.execute(
        "SELECT since, before, minutes FROM market.quiet_gaps(%s, %s, %s, %s) ORDER BY since",
        [provider, listing, during.start, during.end],
    ).fetchall()
    return [
        ReasonedGap(provider, listing, since, before, minutes, "empty", "no_trade", None)
        for since, before, minutes in rows
    ]


def silence_counts(
    connection: psycopg.Connection, provider: str, cells: Collection[Cell]
) -> dict[Cell, SilenceCount]:
    """Return the silences of those cells that have coverage."""
    rows = connection.execute(
        """
        SELECT listing, month, quiet_gaps, quiet_minutes, outages, outage_minutes, halts,
               halt_minutes
        FROM market.silences WHERE provider = %s AND listing = ANY(%s) AND month = ANY(%s)
        """,
        [provider, sorted({c.listing for c in cells}), sorted({c.month for c in cells})],
    ).fetchall()
    return {Cell(key, month): SilenceCount(*map(int, counts)) for key, month, *counts in rows}


def gaps_of_cells(
    connection: psycopg.Connection, provider: str, cells: Collection[Cell]
) -> dict[Cell, list[ReasonedGap]]:
    """Return the gaps of each cell that need action or explanation, the longest first."""
    found: dict[Cell, list[ReasonedGap]] = {cell: [] for cell in cells}
    for listing in {cell.listing for cell in cells}:
        months = [Interval.month(cell.month) for cell in cells if cell.listing == listing]
        first, last = min(month.start for month in months), max(month.end for month in months)
        for gap in gaps(connection, provider, listing, since=first, before=last):
            for month in Interval(gap.since, gap.before).first_days():
                cell = Cell(listing, month)
                if cell in found:
                    found[cell].append(gap)
    for mine in found.values():
        mine.sort(key=lambda gap: (-gap.minutes, gap.since))
    return found
