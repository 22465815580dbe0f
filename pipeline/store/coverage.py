"""What has been answered.

What belongs here: reading and marking coverage. Extending it belongs to the transaction that writes
the bars (`deliveries`); what follows from it is to be asked, says `work`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg.rows import class_row

from pipeline.intervals import Interval
from pipeline.store import failures
from pipeline.store.ranges import to_multirange, to_range

_MARK_UNAVAILABLE = """
INSERT INTO ledger.coverage AS c (listing_id, month, unavailable)
VALUES (%(listing)s, %(month)s, tstzmultirange(%(lost)s::tstzrange))
ON CONFLICT (listing_id, month) DO UPDATE
SET unavailable = c.unavailable + (excluded.unavailable - c.answered), updated_at = now()
WHERE NOT (excluded.unavailable - c.answered) <@ c.unavailable
"""

_COVERAGE = """
SELECT provider, listing, month, expected, bars, empty, failed, unavailable, pending, settled,
       coalesce(percent, 100)::double precision AS percent, extended
FROM market.coverage
"""


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """What became of the expected minutes of one listing and month; see `market.coverage`.

    All but the first three and `percent` are counts of minutes, and
    `expected == bars + empty + failed + unavailable + pending` always. The bars outside of the
    regular session, `extended`, are not among them.
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
    extended: int = 0

    @property
    def adds_up(self) -> bool:
        """Whether every expected minute is accounted for exactly once."""
        parts = (self.bars, self.empty, self.failed, self.unavailable, self.pending)
        return min(parts) >= 0 and self.expected == sum(parts)


def mark_unavailable(connection: psycopg.Connection, listing_id: int, lost: Interval) -> None:
    """Note minutes of one month that the provider can no longer serve; answered ones stay so.

    No failure of them is left, for none of them can be asked for again.
    """
    month = lost.start.date().replace(day=1)
    with connection.transaction():
        connection.execute(
            _MARK_UNAVAILABLE, {"listing": listing_id, "month": month, "lost": to_range(lost)}
        )
        failures.clear(connection, listing_id, to_multirange([lost]))


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


def coverage_of_worst(
    connection: psycopg.Connection,
    number: int,
    provider: str | None = None,
    listing: str | None = None,
) -> tuple[list[CoverageRow], int]:
    """Return `market.coverage` of the listings with the most failed and pending minutes.

    Args:
        connection: An open connection.
        number: The most listings to return rows of.
        provider: Only this provider; None for all.
        listing: Only listings of this key; None for all.

    Returns:
        Their rows by provider, listing and month, and how many listings there are in all.
    """
    open_minutes = connection.execute(
        """
        SELECT provider, listing FROM market.coverage
        WHERE provider = coalesce(%s, provider) AND listing = coalesce(%s, listing)
        GROUP BY provider, listing ORDER BY sum(failed + pending) DESC, provider, listing
        """,
        [provider, listing],
    ).fetchall()
    worst = set(open_minutes[:number])
    rows = coverage(connection, provider, {key for _, key in worst})
    return [row for row in rows if (row.provider, row.listing) in worst], len(open_minutes)


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
