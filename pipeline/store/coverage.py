"""What has been answered, and so what is still to be asked.

What belongs here: reading and marking coverage. Extending it belongs to the transaction that writes
the bars (`deliveries`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from pipeline.intervals import Interval
from pipeline.store.ranges import from_multirange, to_range

_TO_FETCH = """
WITH cell AS (
    SELECT coalesce(answered, '{}') AS answered, coalesce(settled, '{}') AS settled,
           coalesce(unavailable, '{}') AS unavailable
    FROM (SELECT) AS one LEFT JOIN ledger.coverage ON listing_id = %(listing)s AND month = %(month)s
), held AS (
    SELECT coalesce(range_agg(during), '{}') AS held FROM ledger.fetch_failure
    WHERE %(only_due)s AND listing_id = %(listing)s AND during && %(wanted)s::tstzrange
      AND (next_attempt_at IS NULL OR next_attempt_at > %(now)s)
)
SELECT tstzmultirange(%(wanted)s::tstzrange) - unavailable - held
       - (answered - ((answered - settled) * tstzmultirange(tstzrange(NULL, %(settle_before)s))))
FROM cell, held
"""

_MARK_UNAVAILABLE = """
INSERT INTO ledger.coverage AS c (listing_id, month, unavailable)
VALUES (%(listing)s, %(month)s, tstzmultirange(%(lost)s::tstzrange))
ON CONFLICT (listing_id, month) DO UPDATE
SET unavailable = c.unavailable + (excluded.unavailable - c.answered), updated_at = now()
WHERE NOT (excluded.unavailable - c.answered) <@ c.unavailable
"""

_COVERAGE = """
SELECT provider, listing, month, expected, bars, empty, failed, unavailable, pending, settled,
       percent::double precision AS percent
FROM market.coverage
"""


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """What became of the expected minutes of one listing and month; see `market.coverage`.

    All but the first three and `percent` are counts of minutes, and
    `expected == bars + empty + failed + unavailable + pending` always.
    """

    provider: str
    listing: str
    month: date
    expected: int
    bars: int
    empty: int
    failed: int
    unavailable: int
    pending: int
    settled: int
    percent: float

    @property
    def adds_up(self) -> bool:
        """Whether every expected minute is accounted for exactly once."""
        parts = (self.bars, self.empty, self.failed, self.unavailable, self.pending)
        return min(parts) >= 0 and self.expected == sum(parts)


def to_fetch(
    connection: psycopg.Connection,
    listing_id: int,
    wanted: Interval,
    *,
    now: datetime,
    settle_before: datetime,
    only_due: bool,
) -> list[Interval]:
    """Return the wanted minutes that have to be asked for, in order of time: wanted minus covered.

    Args:
        connection: An open connection.
        listing_id: The listing.
        wanted: Minutes of one calendar month.
        now: The time by which failed ranges are due or not.
        settle_before: Answered minutes before this whole minute that were answered too early to be
            final are asked again.
        only_due: Leave out failed ranges whose next attempt is not due; else they are asked again
            now.
    """
    row = connection.execute(
        _TO_FETCH,
        {
            "listing": listing_id,
            "month": wanted.start.date().replace(day=1),
            "wanted": to_range(wanted),
            "now": now,
            "settle_before": settle_before,
            "only_due": only_due,
        },
    ).fetchone()
    return from_multirange(row[0]) if row else []


def mark_unavailable(connection: psycopg.Connection, listing_id: int, lost: Interval) -> None:
    """Note minutes of one month that the provider can no longer serve; answered ones stay so."""
    connection.execute(
        _MARK_UNAVAILABLE,
        {
            "listing": listing_id,
            "month": lost.start.date().replace(day=1),
            "lost": to_range(lost),
        },
    )


def coverage(
    connection: psycopg.Connection,
    provider: str | None = None,
    listings: Collection[str] | None = None,
    months: Collection[date] | None = None,
) -> list[CoverageRow]:
    """Return `market.coverage`, or what the arguments name of it, by provider, listing, month.

    Args:
        connection: An open connection.
        provider: A provider's name; None for all.
        listings: Keys of listings; None for all.
        months: First days of months; None for all.
    """
    with connection.cursor(row_factory=class_row(CoverageRow)) as cursor:
        cursor.execute(
            _COVERAGE
            + """
            WHERE (%(provider)s::text IS NULL OR provider = %(provider)s)
              AND (%(listings)s::text[] IS NULL OR listing = ANY(%(listings)s))
              AND (%(months)s::date[] IS NULL OR month = ANY(%(months)s))
            ORDER BY provider, listing, month
            """,
            {
                "provider": provider,
                "listings": None if listings is None else sorted(listings),
                "months": None if months is None else sorted(months),
            },
        )
        return cursor.fetchall()


def contradictions(
    connection: psycopg.Connection, provider: str | None = None, listing: str | None = None
) -> list[CoverageRow]:
    """Return the rows of `market.coverage` that do not add up; there should never be one."""
    with connection.cursor(row_factory=class_row(CoverageRow)) as cursor:
        cursor.execute(
            _COVERAGE
            + """
            WHERE provider = coalesce(%s, provider) AND listing = coalesce(%s, listing)
              AND (expected <> bars + empty + failed + unavailable + pending
                   OR least(bars, empty, failed, unavailable, pending) < 0)
            ORDER BY provider, listing, month
            """,
            [provider, listing],
        )
        return cursor.fetchall()
