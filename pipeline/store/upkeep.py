"""What is left to do, in a few rows: history that nobody asked for, and notes that nobody took.

What belongs here: the queries that sensors ask at each tick. What is due again says `work`, and
what is behind `freshness`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import psycopg
from psycopg.rows import class_row

from pipeline.store.freshness import set_now
from pipeline.store.work import ASKED

# Of a listing that lives, what comes after its newest answered minute in this month and the last is
# left to its refreshes.
_HISTORY = f"""
WITH life AS MATERIALIZED (
    SELECT l.id, l.provider, l.key, l.session, l.standby, start, before,
           ledger.month_of(start) AS first,
           least(ledger.month_of(before - interval '1 minute') + interval '1 month', CASE
               WHEN l.ends_at <= ledger.now() - p.lag THEN 'infinity'
               ELSE greatest(ledger.month_of(ledger.now()) - interval '1 month', (
                   SELECT max(ledger.month_of(upper(c.answered))) FROM ledger.coverage c
                   WHERE c.listing_id = l.id
                     AND c.month >= ledger.month_of(ledger.now()) - interval '1 month'))
           END)::date AS until
    FROM ledger.listing l JOIN ledger.provider p ON p.name = l.provider
    CROSS JOIN greatest(l.starts_at, l.first_trade) AS start
    CROSS JOIN least(l.ends_at, date_trunc('minute', ledger.now() - p.lag, 'UTC')) AS before
    WHERE l.in_universe AND start < before
), lacking AS MATERIALIZED (
    -- Most listings lack nothing: their months are counted, and not looked at one by one.
    SELECT life.* FROM life LEFT JOIN ledger.coverage c
      ON c.listing_id = life.id AND c.month >= life.first AND c.month < life.until
    WHERE life.first < life.until
    GROUP BY life.id, life.provider, life.key, life.session, life.standby, start, before, first,
             until
    HAVING count(c.month) < 12 * (extract(year FROM until) - extract(year FROM first))
                            + extract(month FROM until) - extract(month FROM first)
), never AS (
    SELECT l.provider, l.key, s.month FROM lacking l
    JOIN ledger.session_month s ON s.session = l.session AND s.month >= first AND s.month < until
    LEFT JOIN ledger.need n ON (n.listing_id, n.month) = (l.id, s.month)
    WHERE {ASKED} && tstzrange(start, before) AND NOT EXISTS (
        SELECT FROM ledger.coverage c WHERE (c.listing_id, c.month) = (l.id, s.month)
    ) AND NOT EXISTS (
        SELECT FROM ledger.fetch_failure f
        WHERE f.listing_id = l.id AND ledger.month_of(lower(f.during)) = s.month)
)
SELECT provider, key AS listing, lower(piece) AS first,
       (upper(piece) - interval '1 month')::date AS last
FROM (SELECT provider, key, unnest(range_agg(
          daterange(month, (month + interval '1 month')::date))) AS piece
      FROM never GROUP BY provider, key) AS run
ORDER BY last DESC, provider, listing
"""  # noqa: S608 - made of constants

_NOTED = """
SELECT min(noted_at) FROM (
    SELECT s.noted_at FROM ledger.stale s JOIN ledger.listing l ON l.id = s.listing_id
    WHERE s.noted_at < now() - %(age)s AND l.provider <> ALL(%(busy)s)
    UNION ALL
    SELECT u.noted_at FROM ledger.unconsolidated u
    WHERE u.noted_at < now() - %(age)s AND NOT EXISTS (
        SELECT FROM ledger.listing l
        WHERE l.instrument_id = u.instrument_id AND l.provider = ANY(%(busy)s))
) AS noted
"""

_OWNERS = """
SELECT 'listing', s.listing_id FROM ledger.stale s JOIN ledger.listing l ON l.id = s.listing_id
UNION SELECT 'instrument', instrument_id FROM ledger.unconsolidated ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Unasked:
    """Months in a row of one listing of which nothing was ever asked; first days, both included."""

    provider: str
    listing: str
    first: date
    last: date


def history(connection: psycopg.Connection, now: datetime) -> list[Unasked]:
    """Return the history that nobody has asked for, the newest first.

    That is: months before those that refreshes keep, of which nothing was answered and nothing has
    failed. Of a standby only those in which it is needed; of a listing that has ended, all.

    Args:
        connection: An open connection.
        now: The present, UTC.
    """
    with connection.transaction(), connection.cursor(row_factory=class_row(Unasked)) as cursor:
        set_now(connection, now)
        return cursor.execute(_HISTORY).fetchall()


def noted_since(
    connection: psycopg.Connection, age: timedelta, busy: Collection[str]
) -> datetime | None:
    """Return since when changed minutes have been noted and nobody builds above them, UTC.

    Args:
        connection: An open connection.
        age: Younger notes do not count.
        busy: Providers at whose listings somebody is at work, and will build in the end.

    Returns:
        The time of the oldest note; None if there is none.
    """
    row = connection.execute(_NOTED, {"age": age, "busy": sorted(busy)}).fetchone()
    return row[0] if row else None


def noted_owners(connection: psycopg.Connection) -> tuple[list[int], list[int]]:
    """Return the numbers of the listings and of the instruments of which anything is noted."""
    rows = connection.execute(_OWNERS).fetchall()
    listings, instruments = (
        [number for kind, number in rows if kind == wanted] for wanted in ("listing", "instrument")
    )
    return listings, instruments
