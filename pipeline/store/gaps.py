"""Silences and gaps in SQL: finding them, and keeping those that need an explanation.

What belongs here: the statements about one listing. Which silences need an explanation is decided
in `pipeline.silences`; what other listings did meanwhile is in `store.outages`. Every function runs
inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date

import numpy as np
import psycopg

from pipeline.intervals import Interval
from pipeline.silences import Minutes, Silences
from pipeline.store.ranges import from_multirange, to_multirange, to_range

# Any number will do, as long as no other program on the server uses it for an advisory lock.
_JUDGING_LOCK = 0x4D4C_4A55

_OBSERVED = """
SELECT (date_part('epoch', lower(piece)) / 60)::int, (date_part('epoch', upper(piece)) / 60)::int
FROM unnest((SELECT range_agg(answered * open) FROM ledger.coverage WHERE listing_id = %s)) AS piece
"""

_SILENCES = """
SELECT coalesce(array_agg((date_part('epoch', since) / 60)::int), '{}'),
       coalesce(array_agg((date_part('epoch', before) / 60)::int), '{}')
FROM ledger.silences(%s, %s, %s)
"""

_INSERT = """
INSERT INTO ledger.gap (listing_id, during, expected, habit, reason, company)
SELECT %(listing_id)s, %(during)s, %(expected)s, %(habit)s, %(reason)s, %(company)s
WHERE NOT EXISTS (
    SELECT FROM ledger.gap
    WHERE listing_id = %(listing_id)s AND during && %(during)s::tstzrange)
"""

_COUNT = """
UPDATE ledger.coverage c SET silences = counted.silences
FROM unnest(%s::date[], %s::integer[]) AS counted(month, silences)
WHERE c.listing_id = %s AND c.month = counted.month AND c.silences <> counted.silences
"""


@dataclass(frozen=True, slots=True)
class Gap:
    """A silence that quiet markets do not explain; a row of `ledger.gap`.

    Attributes:
        listing_id: The listing.
        during: From the first minute without a bar to the first with one; UTC.
        expected: How many as long as this its habit has in a month; None when it is within habit.
        habit: That habit, in words; None likewise.
        reason: `halt` or `outage`.
        company: What other listings of the provider did meanwhile, in words.
    """

    listing_id: int
    during: Interval
    expected: float | None
    habit: str | None
    reason: str = "halt"
    company: str = ""


def lock(connection: psycopg.Connection, provider: str) -> None:
    """Keep others from judging the provider's listings until the end of the transaction."""
    connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_JUDGING_LOCK, provider])


def unjudged(connection: psycopg.Connection, listing_ids: Collection[int]) -> dict[int, list[date]]:
    """Return the months to be judged, by listing; nobody writes to them meanwhile."""
    rows = connection.execute(
        """
        SELECT listing_id, month FROM ledger.coverage
        WHERE listing_id = ANY(%s) AND NOT judged ORDER BY listing_id, month FOR UPDATE
        """,
        [sorted(listing_ids)],
    ).fetchall()
    months: dict[int, list[date]] = {}
    for listing_id, month in rows:
        months.setdefault(listing_id, []).append(month)
    return months


def mark_judged(connection: psycopg.Connection, listing_id: int, months: Collection[date]) -> None:
    """Note that months were judged as they are now."""
    connection.execute(
        "UPDATE ledger.coverage SET judged = true WHERE listing_id = %s AND month = ANY(%s)",
        [listing_id, list(months)],
    )


def silences(connection: psycopg.Connection, listing_id: int, during: Interval) -> Silences:
    """Return the silences of a listing that touch an interval, whole, and all that was observed."""
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_SILENCES, [listing_id, during.start, during.end])
        starts, ends = cursor.fetchone() or ([], [])
        observed = cursor.execute(_OBSERVED, [listing_id]).fetchall()
    return Silences(
        np.array(starts, np.int64),
        np.array(ends, np.int64),
        np.array(observed, np.int64).reshape(-1, 2),
    )


def count(
    connection: psycopg.Connection, listing_id: int, months: Sequence[date], starts: Minutes
) -> None:
    """Note how many silences begin in each month.

    Args:
        connection: An open connection.
        listing_id: The listing.
        months: First days of months.
        starts: First minutes of silences in minutes since 1970, ascending; all those that begin in
            these months are among them.
    """
    borders = [
        [int(border.timestamp()) // 60 for border in (month.start, month.end)]
        for month in map(Interval.month, months)
    ]
    counts = np.diff(np.searchsorted(starts, np.array(borders))).ravel().tolist()
    connection.execute(_COUNT, [list(months), counts, listing_id])


def remove(
    connection: psycopg.Connection, listing_id: int, during: Iterable[Interval]
) -> list[Interval]:
    """Delete a listing's gaps that touch the intervals; return where outages were among them."""
    row = connection.execute(
        """
        WITH gone AS (
            DELETE FROM ledger.gap
            WHERE listing_id = %(listing)s AND during && %(ranges)s::tstzmultirange RETURNING *
        )
        SELECT coalesce(range_agg(during) FILTER (WHERE reason = 'outage'), '{}') FROM gone
        """,
        {"listing": listing_id, "ranges": to_multirange(during)},
    ).fetchone()
    return from_multirange(row[0]) if row else []


def insert(connection: psycopg.Connection, gaps: Iterable[Gap]) -> None:
    """Store gaps; one that touches a gap of its listing that is there already is left out."""
    with connection.cursor() as cursor:
        cursor.executemany(_INSERT, [_values(gap) for gap in gaps])


def explain(connection: psycopg.Connection, gaps: Iterable[Gap]) -> None:
    """Keep the reason and the company of gaps that are there."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            UPDATE ledger.gap SET reason = %(reason)s, company = %(company)s
            WHERE listing_id = %(listing_id)s AND during = %(during)s
              AND (reason, company) IS DISTINCT FROM (%(reason)s, %(company)s)
            """,
            [_values(gap) for gap in gaps],
        )


def _values(gap: Gap) -> dict[str, object]:
    return asdict(gap) | {"during": to_range(gap.during)}
