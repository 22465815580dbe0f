"""What it costs to find the gaps of a year, of ten years, and to judge them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg

from benchmarks.figures import Figure
from benchmarks.setting import PROVIDER, fresh_database, months, put_in_ledger
from benchmarks.status import fastest
from pipeline.gaps import judge
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.store.gaps import silences
from pipeline.store.reasons import gaps

YEARS = 10
_ONE, _TEN = (months(datetime(2015, 1, 1, tzinfo=UTC), 12 * years) for years in (1, YEARS))
_FLOORS, _LINEAR = 5.0, 1.3

# Three minutes of ten are quiet, as in Bitfinex's BTC-USD of 2015.
_FILL = """
SELECT ledger.ensure_bars_month(month::date)
FROM generate_series(%(since)s::timestamptz, %(last)s, interval '1 month') AS month;

INSERT INTO ledger.bars_1m (listing_id, ts, open, high, low, close)
SELECT %(listing)s, ts, 1, 1, 1, 1
FROM generate_series(%(since)s::timestamptz, %(last)s, interval '1 minute') AS ts
WHERE random() >= 0.3;

INSERT INTO ledger.coverage (listing_id, month, answered, settled, bars)
SELECT %(listing)s, month::date, range, range,
       (SELECT count(*) FROM ledger.bars_1m
        WHERE listing_id = %(listing)s AND ts >= month AND ts < month + interval '1 month')
FROM generate_series(%(since)s::timestamptz, %(last)s, interval '1 month') AS month,
     LATERAL (SELECT tstzmultirange(tstzrange(month, month + interval '1 month'))) AS one(range);
"""


def run() -> Iterator[Figure]:
    """Measure, and yield the figures."""
    with fresh_database() as database, database.connect() as connection:
        listing = put_in_ledger(database, _TEN)
        fill(connection, listing, _TEN)
        bars = _bars(connection, listing, _ONE)
        floor = fastest(lambda: _bars(connection, listing, _ONE))
        year = fastest(lambda: _gaps(connection, listing, _ONE))
        decade = fastest(lambda: _gaps(connection, listing, _TEN))
        judged = fastest(lambda: _judge(connection, listing, "true"), rounds=1)
        month = fastest(lambda: _judge(connection, listing, "month = '2020-06-01'"))
    yield Figure(f"index-only scan of a year's bars ({bars:,})", f"{floor * 1000:.0f} ms")
    yield Figure(
        "all gaps of the year, with states and reasons",
        f"{year * 1000:.0f} ms, {year / floor:.1f}x the scan",
        f"< {_FLOORS:.0f}x",
        year < _FLOORS * floor,
    )
    yield Figure(
        f"all gaps of {YEARS} years",
        f"{decade * 1000:.0f} ms, {decade / year / YEARS:.2f}x a year's, each",
        f"< {_LINEAR}x",
        decade < _LINEAR * YEARS * year,
    )
    yield Figure(f"judging {YEARS} years", f"{judged * 1000:.0f} ms")
    yield Figure("judging a month that has changed", f"{month * 1000:.0f} ms")


def fill(connection: psycopg.Connection, listing: Listing, wanted: Interval) -> None:
    """Put bars and coverage of an interval into an empty ledger."""
    last = wanted.end.replace(year=wanted.end.year - 1, month=12, day=31, hour=23, minute=59)
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute(_FILL, {"listing": listing.id, "since": wanted.start, "last": last})
    connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM ANALYZE")
    # A scan by several processes is a floor for nothing that is done in one.
    connection.execute("SET max_parallel_workers_per_gather = 0")


def _bars(connection: psycopg.Connection, listing: Listing, during: Interval) -> int:
    row = connection.execute(
        "SELECT count(*) FROM ledger.bars_1m WHERE listing_id = %s AND ts >= %s AND ts < %s",
        [listing.id, during.start, during.end],
    ).fetchone()
    return int(row[0]) if row else 0


def _gaps(connection: psycopg.Connection, listing: Listing, during: Interval) -> None:
    silences(connection, listing.id, during)
    gaps(connection, PROVIDER, listing.key, since=during.start, before=during.end)


def _judge(connection: psycopg.Connection, listing: Listing, which: str) -> None:
    connection.execute(f"UPDATE ledger.coverage SET judged = false WHERE {which}".encode())
    judge(connection, PROVIDER, [listing.id], sends_quiet_minutes=False)
