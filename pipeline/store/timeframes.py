"""Bars above a minute in the ledger: what has to be built anew, from what, and writing it.

What belongs here: the statements. What a bar is made of is `pipeline.aggregation`'s, and the order
of the steps `pipeline.building`'s. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from psycopg.types.multirange import Multirange

from pipeline.aggregation import NEVER_OPEN, TIMEFRAME_SCHEMA, Market, Spans
from pipeline.bars import BAR_SCHEMA
from pipeline.calendars import SessionDay
from pipeline.intervals import Interval
from pipeline.store.copying import column_list, fetch_rows
from pipeline.store.ranges import from_multirange, from_range, to_multirange
from pipeline.store.rewriting import Owner, Stray, Written, rewrite
from pipeline.timeframes import Timeframe, in_order

_MARK = """
INSERT INTO ledger.stale (listing_id, during)
SELECT %(listing)s, range_agg(c.answered) * %(during)s::tstzmultirange FROM ledger.coverage c
WHERE c.listing_id = %(listing)s
HAVING range_agg(c.answered) && %(during)s::tstzmultirange
"""

_DAYS = """
SELECT d.since, d.before, d.day
FROM ledger.listing l JOIN ledger.trading_day d ON d.session = l.session
WHERE l.id = %s AND {} ORDER BY d.since
"""

_MARKET = """
SELECT coalesce(range_agg(s.open), '{}') AS open,
       coalesce(range_agg(s.open) * tstzmultirange(tstzrange(min(l.first_trade), NULL)), '{}'),
       coalesce(range_agg(c.answered * s.open)
                * tstzmultirange(tstzrange(min(l.first_trade), NULL)), '{}')
FROM ledger.listing l JOIN ledger.session_month s ON s.session = l.session
LEFT JOIN ledger.coverage c ON (c.listing_id, c.month) = (l.id, s.month)
WHERE l.id = %(listing)s
  AND s.month BETWEEN ledger.month_of(%(since)s) AND ledger.month_of(%(before)s)
"""


class TimeframeInUse(Exception):
    """A timeframe cannot be removed, because its bars are being read."""


@dataclass(frozen=True, slots=True)
class BarCount:
    """How many stored bars of a timeframe begin in a time, and how many lack answers."""

    timeframe: str
    bars: int
    incomplete: int


def mark_stale(connection: psycopg.Connection, listing_id: int, during: Interval) -> None:
    """Have all bars of a time built anew."""
    row = {"listing": listing_id, "during": to_multirange([during])}
    connection.execute(_MARK, row)


def days_during(
    connection: psycopg.Connection, listing_id: int, pieces: Sequence[Interval]
) -> list[SessionDay]:
    """Return the days of trading that touch some intervals, in order of time."""
    touching = "d.since < %s AND d.before > %s AND %s::tstzmultirange && tstzrange(since, before)"
    bounds = [pieces[-1].end, pieces[0].start, to_multirange(pieces)]
    return _days(connection, touching, [listing_id, *bounds])


def days_between(
    connection: psycopg.Connection, listing_id: int, first: date, before: date
) -> list[SessionDay]:
    """Return the days of trading from one date up to but not with another, in order of time."""
    return _days(connection, "d.day >= %s AND d.day < %s", [listing_id, first, before])


def _days(
    connection: psycopg.Connection, condition: str, values: Sequence[object]
) -> list[SessionDay]:
    rows = connection.execute(_DAYS.format(condition).encode(), values)
    return [SessionDay(since, before, day) for since, before, day in rows]


def market_of(
    connection: psycopg.Connection, listing_id: int, days: Sequence[SessionDay]
) -> Market:
    """Return when a listing should have bars around some days of trading, and has answers."""
    if not days:
        return NEVER_OPEN
    row = {"listing": listing_id, "since": days[0].start, "before": days[-1].end}
    found = connection.execute(_MARKET, row).fetchone() or (Multirange(),) * 3
    open_, expected, answered = (Spans(from_multirange(ranges)) for ranges in found)
    return Market(days, open_, expected, answered)


def minutes_query(listing_id: int, during: Interval) -> sql.Composed:
    """Return the query of a listing's minutes during a time, with `BAR_SCHEMA`, in order of it."""
    return sql.SQL(
        "SELECT {} FROM ledger.bars_1m WHERE listing_id = {} AND ts >= {} AND ts < {} ORDER BY ts"
    ).format(
        column_list(BAR_SCHEMA.names),
        sql.Literal(listing_id),
        sql.Literal(during.start),
        sql.Literal(during.end),
    )


def stored_bars(
    connection: psycopg.Connection, listing_id: int, timeframe: Timeframe, during: Interval
) -> pa.Table:
    """Return a listing's bars that begin during a time, with `TIMEFRAME_SCHEMA`, in its order."""
    query = sql.SQL(
        "SELECT {} FROM {} WHERE listing_id = %s AND ts >= %s AND ts < %s ORDER BY ts"
    ).format(column_list(TIMEFRAME_SCHEMA.names), _table(timeframe))
    values = [listing_id, during.start, during.end]
    return fetch_rows(connection, query, values, TIMEFRAME_SCHEMA)


def newest_complete(
    connection: psycopg.Connection, listing_id: int, timeframe: Timeframe, before: datetime
) -> Interval | None:
    """Return the newest complete bar of a listing that begins before a moment, if there is one."""
    query = sql.SQL(
        "SELECT tstzrange(ts, before) FROM {} WHERE listing_id = %s AND ts < %s AND complete"
        " ORDER BY ts DESC LIMIT 1"
    ).format(_table(timeframe))
    row = connection.execute(query, [listing_id, before]).fetchone()
    return None if row is None else from_range(row[0])


def bars_touching(
    connection: psycopg.Connection,
    listing_id: int,
    timeframe: Timeframe,
    pieces: Sequence[Interval],
) -> list[tuple[date, Interval]]:
    """Return date and time of the stored bars that touch some intervals, in order of time."""
    query = sql.SQL(
        "SELECT session_date, tstzrange(ts, before) FROM {}"
        " WHERE listing_id = %s AND ts > %s AND ts < %s"
        " AND %s::tstzmultirange && tstzrange(ts, before) ORDER BY ts"
    ).format(_table(timeframe))
    bounds = [pieces[0].start - timeframe.reach, pieces[-1].end, to_multirange(pieces)]
    rows = connection.execute(query, [listing_id, *bounds])
    return [(day, from_range(during)) for day, during in rows]


def write_bars(
    connection: psycopg.Connection,
    listing_id: int,
    timeframe: Timeframe,
    bars: pa.Table,
    during: Sequence[Interval],
    *,
    changed: Sequence[Interval],
) -> Written:
    """Make the stored bars that begin during some intervals those that were built.

    Rows that are as they should be are not touched. One over changed minutes that begins elsewhere
    is of days that are no more, and goes.
    """
    if isinstance(timeframe.length, int):
        for year in pc.unique(pc.year(bars["ts"])).to_pylist():
            connection.execute("SELECT ledger.ensure_bars_year(%s, %s)", [timeframe.name, year])
    owner, stray = Owner("listing_id", listing_id), Stray(changed, timeframe.reach)
    return rewrite(connection, _table(timeframe), owner, bars, during, stray=stray)


def _table(timeframe: Timeframe) -> sql.Identifier:
    return sql.Identifier("ledger", f"bars_{timeframe.name}")


def sync_timeframes(connection: psycopg.Connection, wanted: Collection[Timeframe]) -> None:
    """Have tables and views of exactly these timeframes; the bars of new ones are to be built.

    Raises:
        TimeframeInUse: One that is no longer wanted is being read; the transaction has failed.
    """
    known = timeframes(connection)
    for timeframe in known:
        if timeframe not in wanted:
            _drop(connection, timeframe.name)
    for timeframe in wanted:
        if timeframe not in known:
            partitioned = isinstance(timeframe.length, int)
            connection.execute("SELECT ledger.add_timeframe(%s, %s)", [timeframe.name, partitioned])
            connection.execute("SELECT ledger.add_consolidated(%s)", [timeframe.name])


def _drop(connection: psycopg.Connection, name: str) -> None:
    try:
        connection.execute("SELECT ledger.drop_consolidated(%s)", [name])
        connection.execute("SELECT ledger.drop_timeframe(%s)", [name])
    except psycopg.errors.LockNotAvailable:
        raise TimeframeInUse(
            f"universe: `timeframes:` no longer has {name}, but a query is reading its bars, which "
            "would go; nothing was changed. Wait for the query or end it (pg_stat_activity has "
            f"it), and try again; or name {name} again"
        ) from None


def timeframes(connection: psycopg.Connection) -> Sequence[Timeframe]:
    """Return the timeframes that are built, the shortest first."""
    return in_order(name for (name,) in connection.execute("SELECT name FROM ledger.timeframe"))


def bar_counts(connection: psycopg.Connection, listing_id: int, during: Interval) -> list[BarCount]:
    """Count a listing's bars that begin during a time, the shortest timeframe first."""
    counts = []
    for timeframe in timeframes(connection):
        query = sql.SQL(
            "SELECT count(*), count(*) FILTER (WHERE NOT complete) FROM {}"
            " WHERE listing_id = %s AND ts >= %s AND ts < %s"
        ).format(_table(timeframe))
        row = connection.execute(query, [listing_id, during.start, during.end]).fetchone()
        counts.append(BarCount(timeframe.name, *(row or (0, 0))))
    return counts
