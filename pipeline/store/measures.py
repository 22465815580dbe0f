"""Numbers about the ledger and its runs, for those that watch over it.

What belongs here: the statements. Each takes well under a second with 1,000 listings of ten years.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import psycopg

_LOGGED: Final = """
SELECT provider, hour, outcome, bucket, requests FROM ledger.fetch_log
WHERE hour >= date_trunc('hour', %s, 'UTC')
"""

_MINUTES: Final = """
SELECT provider, sum(bars)::bigint AS bars, sum(empty)::bigint AS empty,
       sum(failed)::bigint AS failed, sum(unavailable)::bigint AS unavailable,
       sum(pending)::bigint AS pending
FROM market.coverage GROUP BY provider
"""

_FRESHNESS: Final = """
SELECT provider, listing, stale_minutes, extract(epoch FROM newest_bar)::float8
FROM market.freshness
"""

_GAPS: Final = """
SELECT l.provider, g.reason, count(*) FROM ledger.gap g JOIN ledger.listing l ON l.id = g.listing_id
GROUP BY 1, 2
"""

_ALERTS: Final = """
SELECT severities.severity, count(a.id)
FROM unnest(ARRAY['critical', 'warning']) AS severities (severity)
LEFT JOIN market.alerts a ON a.severity = severities.severity AND a.open GROUP BY 1
"""

_PAUSED: Final = """
SELECT provider, coalesce(extract(epoch FROM paused_until - now()), 0)::float8,
       clock_skew_seconds
FROM market.providers
"""

_SIZE: Final = "SELECT pg_database_size(current_database())"

_RUNS: Final = """
SELECT status, count(*) FROM runs WHERE end_time IS NULL OR end_time >= %s GROUP BY 1
"""

Rows = Sequence[tuple[Any, ...]]


def logged_requests(connection: psycopg.Connection, since: datetime) -> Rows:
    """Return provider, hour, outcome, bucket of latency and number of the requests since an hour.

    A request of bucket b took from 1.2 ** b to 1.2 ** (b + 1) milliseconds, one of 0 perhaps less.

    Args:
        connection: An open connection.
        since: A moment in that hour, UTC.
    """
    return connection.execute(_LOGGED, [since]).fetchall()


def minutes(connection: psycopg.Connection) -> tuple[Sequence[str], Rows]:
    """Return the names of the states of minutes, and by provider how many there are of each."""
    cursor = connection.execute(_MINUTES)
    return [column.name for column in cursor.description or ()][1:], cursor.fetchall()


def freshness(connection: psycopg.Connection) -> Rows:
    """Return provider, listing, missing minutes of its tail, and the newest bar's epoch seconds."""
    return connection.execute(_FRESHNESS).fetchall()


def gaps(connection: psycopg.Connection) -> Rows:
    """Return provider, reason and number of the gaps that quiet markets do not explain."""
    return connection.execute(_GAPS).fetchall()


def alerts(connection: psycopg.Connection) -> Rows:
    """Return severity and number of the alerts that stand."""
    return connection.execute(_ALERTS).fetchall()


def paused(connection: psycopg.Connection) -> Rows:
    """Return provider, seconds for which nothing is asked of it, and seconds its clock is ahead."""
    return connection.execute(_PAUSED).fetchall()


def size(connection: psycopg.Connection) -> int:
    """Return what the connected database takes on disk, in bytes."""
    ((found,),) = connection.execute(_SIZE)
    return int(found)


def runs(dagster: psycopg.Connection, since: datetime) -> dict[str, int]:
    """Return by status how many of Dagster's runs there are that are open, or ended since.

    Args:
        dagster: An open connection to Dagster's database.
        since: From when on ended runs count, UTC.
    """
    if dagster.execute("SELECT to_regclass('runs')").fetchone() == (None,):
        return {}  # Dagster has never been started
    return dict(dagster.execute(_RUNS, [since.timestamp()]).fetchall())
