"""What people ask of the ledger: totals, open failures, and the proof that it adds up.

What belongs here: reading. Every function runs on the caller's connection, whose session is in UTC
(`Database.connect`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

_TOTALS = """
SELECT provider, listing, sum(expected)::bigint AS expected, sum(bars)::bigint AS bars,
       sum(empty)::bigint AS empty, sum(failed)::bigint AS failed,
       sum(unavailable)::bigint AS unavailable, sum(pending)::bigint AS pending,
       coalesce(trunc(100.0 * sum(bars + empty) / nullif(sum(expected), 0), 2), 100)::float8
           AS percent
FROM market.coverage
WHERE provider = coalesce(%(provider)s, provider) AND listing = coalesce(%(listing)s, listing)
GROUP BY provider, listing ORDER BY provider, listing
"""

_FAILURES = """
SELECT provider, listing, since, before, error, message, attempts, next_attempt_at,
       given_up
FROM market.failures
WHERE provider = coalesce(%(provider)s, provider) AND listing = coalesce(%(listing)s, listing)
ORDER BY provider, listing, since
"""

# Both counts come from the primary key's index; the ranges of a month are few or short.
_FALSE_SUMS = """
WITH stored AS (
    SELECT listing_id, date_trunc('month', ts, 'UTC')::date AS month, count(*) AS bars
    FROM ledger.bars_1m GROUP BY 1, 2
), cell AS (
    SELECT coalesce(c.listing_id, s.listing_id) AS listing_id, coalesce(c.month, s.month) AS month,
           coalesce(c.answered, '{}') AS answered, coalesce(c.bars + c.extended, 0) AS noted,
           coalesce(s.bars, 0) AS stored
    FROM ledger.coverage c FULL JOIN stored s ON (s.listing_id, s.month) = (c.listing_id, c.month)
)
SELECT l.provider, l.key AS listing, cell.month, noted, stored,
       (SELECT count(*) FROM unnest(cell.answered) AS piece
        JOIN ledger.bars_1m b
          ON b.listing_id = cell.listing_id AND b.ts >= lower(piece) AND b.ts < upper(piece)
       ) AS answered
FROM cell JOIN ledger.listing l ON l.id = cell.listing_id
WHERE l.provider = coalesce(%(provider)s, l.provider) AND l.key = coalesce(%(listing)s, l.key)
ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Totals:
    """What became of all expected minutes of one listing; counts of minutes."""

    provider: str
    listing: str
    expected: int
    bars: int
    empty: int
    failed: int
    unavailable: int
    pending: int
    percent: float

    @property
    def accounted(self) -> int:
        """Minutes whose fate is known."""
        return self.expected - self.failed - self.pending


@dataclass(frozen=True, slots=True)
class OpenFailure:
    """A range that was asked for and not properly answered, as `market.failures` has it."""

    provider: str
    listing: str
    since: datetime
    before: datetime
    error: str
    message: str
    attempts: int
    next_attempt_at: datetime | None
    given_up: str | None


@dataclass(frozen=True, slots=True)
class _Count:
    provider: str
    listing: str
    month: date
    noted: int
    stored: int
    answered: int

    def problems(self) -> Iterator[str]:
        where = f"{self.provider} {self.listing} {self.month:%Y-%m}"
        if self.noted != self.stored:
            yield f"{where}: coverage says {self.noted} bars, but {self.stored} are stored"
        if self.stored != self.answered:
            outside = self.stored - self.answered
            yield f"{where}: {outside} stored bars lie in minutes that were never answered"


def totals(
    connection: psycopg.Connection, provider: str | None = None, listing: str | None = None
) -> list[Totals]:
    """Return the sums of `market.coverage` for each listing, by provider and listing."""
    with connection.cursor(row_factory=class_row(Totals)) as cursor:
        return cursor.execute(_TOTALS, {"provider": provider, "listing": listing}).fetchall()


def open_failures(
    connection: psycopg.Connection, provider: str | None = None, listing: str | None = None
) -> list[OpenFailure]:
    """Return what is in the way of the minutes that failed, by provider, listing and time."""
    with connection.cursor(row_factory=class_row(OpenFailure)) as cursor:
        return cursor.execute(_FAILURES, {"provider": provider, "listing": listing}).fetchall()


def false_sums(
    connection: psycopg.Connection, provider: str | None = None, listing: str | None = None
) -> list[str]:
    """Count the stored bars and return, in words, where that contradicts the coverage.

    For every listing and month, `coverage.bars` must be the number of stored bars, and each of
    these must lie in an answered minute. Reads the index of all bars that are named.
    """
    with connection.cursor(row_factory=class_row(_Count)) as cursor:
        counts = cursor.execute(_FALSE_SUMS, {"provider": provider, "listing": listing})
        return [problem for count in counts for problem in count.problems()]


def sample_bars(
    connection: psycopg.Connection, count: int
) -> Sequence[tuple[str, str, datetime, float, float, float, float, float | None]]:
    """Return the newest bar of so many listings: provider, listing, ts, OHLC and volume."""
    return connection.execute(
        """
        SELECT l.provider, l.key, b.ts, b.open, b.high, b.low, b.close, b.volume
        FROM ledger.listing l CROSS JOIN LATERAL (
            SELECT * FROM ledger.bars_1m WHERE listing_id = l.id ORDER BY ts DESC LIMIT 1) AS b
        ORDER BY l.provider, l.key LIMIT %s
        """,
        [count],
    ).fetchall()
