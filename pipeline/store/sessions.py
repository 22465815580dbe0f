"""Sessions in the ledger: when markets are open, and what was judged by it.

What belongs here: keeping the months of each session, and bringing coverage in step where they
change: a newer calendar knows of a closure, or the universe gives a listing another session.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row

from pipeline.calendars import OpenMonth, SessionDay, open_months, session_days
from pipeline.sessions import Session
from pipeline.store.ranges import to_multirange

_AHEAD = timedelta(days=400)
_ENOUGH_AHEAD = timedelta(days=100)
"""Months are worked out long before they come, and again only when few are left."""

_KNOWN = """
SELECT rule = %(rule)s AND calendar = %(calendar)s AND first <= %(first)s AND last >= %(enough)s
       AND EXISTS (SELECT FROM ledger.trading_day WHERE session = name)
FROM ledger.session WHERE name = %(name)s
"""

_SESSION = """
INSERT INTO ledger.session (name, rule, calendar, first, last)
VALUES (%(name)s, %(rule)s, %(calendar)s, %(first)s, %(last)s)
ON CONFLICT (name) DO UPDATE
SET rule = excluded.rule, calendar = excluded.calendar,
    first = least(session.first, excluded.first), last = greatest(session.last, excluded.last)
RETURNING first, last
"""

_MONTHS = """
WITH before AS (
    SELECT m.* FROM ledger.session_month m WHERE session = %(name)s
), stored AS (
    INSERT INTO ledger.session_month AS m (session, month, open, asked, calendar)
    SELECT %(name)s, month, open, asked, %(calendar)s
    FROM unnest(%(months)s::date[], %(open)s::tstzmultirange[], %(asked)s::tstzmultirange[])
         AS worked_out(month, open, asked)
    ON CONFLICT (session, month) DO UPDATE
    SET open = excluded.open, asked = excluded.asked, calendar = excluded.calendar
    WHERE (m.open, m.asked) IS DISTINCT FROM (excluded.open, excluded.asked)
    RETURNING *
)
INSERT INTO ledger.session_revision
    (session, month, old_open, new_open, old_calendar, new_calendar)
SELECT session, month, before.open, stored.open, before.calendar, stored.calendar
FROM stored JOIN before USING (session, month) WHERE before.open <> stored.open
"""

# A day that begins or ends otherwise gives other bars.
_DAYS = """
WITH now AS (
    SELECT * FROM unnest(%(days)s::date[], %(since)s::timestamptz[], %(before)s::timestamptz[])
                  AS now(day, since, before)
), old AS (
    SELECT day, since, before FROM ledger.trading_day
    WHERE session = %(name)s
      AND day BETWEEN (SELECT min(day) FROM now) AND (SELECT max(day) FROM now)
), gone AS (
    DELETE FROM ledger.trading_day
    WHERE session = %(name)s AND day IN (SELECT day FROM old EXCEPT SELECT day FROM now)
), stored AS (
    INSERT INTO ledger.trading_day AS d (session, day, since, before)
    SELECT %(name)s, day, since, before FROM now
    ON CONFLICT (session, day) DO UPDATE SET since = excluded.since, before = excluded.before
    WHERE (d.since, d.before) IS DISTINCT FROM (excluded.since, excluded.before)
), changed AS (
    SELECT range_agg(tstzrange(since, before)) AS during FROM (
        (TABLE old EXCEPT TABLE now) UNION ALL (TABLE now EXCEPT TABLE old)) AS day
), series AS (
    INSERT INTO ledger.unconsolidated (instrument_id, during)
    SELECT i.id, range_agg(c.answered * changed.during)
    FROM changed JOIN ledger.instrument i ON i.session = %(name)s
    JOIN ledger.listing l ON l.instrument_id = i.id
    JOIN ledger.coverage c ON c.listing_id = l.id AND c.answered && changed.during
    GROUP BY i.id
)
INSERT INTO ledger.stale (listing_id, during)
SELECT c.listing_id, range_agg(c.answered * changed.during)
FROM changed JOIN ledger.listing l ON l.session = %(name)s
JOIN ledger.coverage c ON c.listing_id = l.id AND c.answered && changed.during
GROUP BY c.listing_id
"""

# The bars of a month are counted anew, and its silences judged.
_FOLLOW = """
WITH changed AS (
    SELECT c.listing_id, c.month, s.open
    FROM ledger.coverage c JOIN ledger.listing l ON l.id = c.listing_id
    JOIN ledger.session_month s ON (s.session, s.month) = (l.session, c.month)
    WHERE c.open <> s.open
    FOR UPDATE OF c
), counted AS (
    SELECT changed.*, (
        SELECT count(*) FROM unnest(open) AS piece
        JOIN ledger.bars_1m b
          ON b.listing_id = changed.listing_id AND b.ts >= lower(piece) AND b.ts < upper(piece)
    ) AS bars
    FROM changed
)
UPDATE ledger.coverage c
SET open = counted.open, bars = counted.bars, extended = c.bars + c.extended - counted.bars,
    judged = false, updated_at = now()
FROM counted WHERE (c.listing_id, c.month) = (counted.listing_id, counted.month)
"""


_TRADING_DAYS = """
SELECT l.provider, l.listing, s.since, s.before, s.minutes AS expected, bars.stored AS bars
FROM market.listings l
JOIN market.sessions s ON s.session = l.session AND s.since >= l.starts_at AND s.before <= l.ends_at
CROSS JOIN LATERAL (
    SELECT count(*) AS stored FROM market.bars_1m b
    WHERE (b.provider, b.listing) = (l.provider, l.listing) AND b.ts >= s.since AND b.ts < s.before
) AS bars
WHERE l.listing = ANY(%s) AND l.session <> '24x7' ORDER BY l.provider, l.listing, s.since
"""


@dataclass(frozen=True, slots=True)
class TradingDay:
    """A run of open minutes of a listing that has an end, and how many of them have a bar; UTC."""

    provider: str
    listing: str
    since: datetime
    before: datetime
    expected: int
    bars: int


def trading_days(connection: psycopg.Connection, listings: Collection[str]) -> list[TradingDay]:
    """Return the trading days of listings that have a start and an end, in order of time."""
    with connection.cursor(row_factory=class_row(TradingDay)) as cursor:
        return cursor.execute(_TRADING_DAYS, [sorted(listings)]).fetchall()


def sync_sessions(
    connection: psycopg.Connection, sessions: Mapping[str, Session], first: date
) -> None:
    """Work out the months of sessions that are not known, or by other rules.

    Args:
        connection: An open connection, inside a transaction.
        sessions: The sessions by name.
        first: The first day for which they are needed.

    Raises:
        ValueError: The rule of a session cannot be worked out so far back.
    """
    today = datetime.now(UTC).date()
    for name, session in sessions.items():
        row: dict[str, Any] = {
            "name": name,
            "rule": session.rule,
            "calendar": session.calendar,
            "first": date(first.year - 1, 12, 1),  # bars of a year begin before the first day
            "enough": (today + _ENOUGH_AHEAD).replace(day=1),
            "last": (today + _AHEAD).replace(day=1),
        }
        if _is_known(connection, row):
            continue
        if session.known_from >= row["first"]:
            row["first"] = first.replace(day=1)
        if not _is_known(connection, row):
            since, until = connection.execute(_SESSION, row).fetchone() or (first, first)
            _keep(connection, row, open_months(session, since, until))
            _keep_days(connection, name, session_days(session, since, until))


def _is_known(connection: psycopg.Connection, row: Mapping[str, object]) -> bool:
    known = connection.execute(_KNOWN, row).fetchone()
    return known is not None and bool(known[0])


def follow_sessions(connection: psycopg.Connection) -> int:
    """Bring coverage in step with the sessions of its listings; return how many months changed.

    Their bars are counted anew, and their silences are to be judged again.
    """
    return connection.execute(_FOLLOW).rowcount


def _keep(
    connection: psycopg.Connection, row: Mapping[str, object], months: Iterable[OpenMonth]
) -> None:
    found = list(months)
    connection.execute(
        _MONTHS,
        {
            "name": row["name"],
            "calendar": row["calendar"],
            "months": [month.month for month in found],
            "open": [str(to_multirange(month.open)) for month in found],
            "asked": [str(to_multirange(month.asked)) for month in found],
        },
    )


def _keep_days(connection: psycopg.Connection, name: str, days: Sequence[SessionDay]) -> None:
    connection.execute(
        _DAYS,
        {
            "name": name,
            "days": [day.day for day in days],
            "since": [day.start for day in days],
            "before": [day.end for day in days],
        },
    )
