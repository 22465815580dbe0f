"""What a tick of each sensor asks the ledger, with 1,000 listings over ten years."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg

from benchmarks.figures import Figure
from benchmarks.healing import AS_REFRESHED, ONE_PROVIDER
from benchmarks.setting import fresh_database
from benchmarks.status import LISTINGS, MONTHS, fastest, fill
from pipeline.heal import find_due_again
from pipeline.providers.table import CAPABILITIES
from pipeline.store.freshness import freshness
from pipeline.store.upkeep import history, noted_since

_SECONDS = 2.0
_KNOWN = "INSERT INTO ledger.provider (name) VALUES ('p') ON CONFLICT DO NOTHING"


def run() -> Iterator[Figure]:
    """Measure, and yield the figures."""
    with fresh_database() as database, database.connect() as connection:
        fill(connection)
        connection.execute(ONE_PROVIDER)
        connection.execute(AS_REFRESHED)
        connection.execute(_KNOWN)
        connection.execute("VACUUM ANALYZE")
        now = datetime.now(UTC)
        floor = fastest(lambda: _scan(connection))
        yield Figure("floor: reading the ranges of all months", f"{floor * 1000:.0f} ms")
        for name, look in _ticks(connection, now).items():
            yield _figure(f"{name}, {LISTINGS} x {MONTHS}", fastest(look), floor)
        connection.execute("TRUNCATE ledger.coverage, ledger.settling, ledger.fetch_failure")
        connection.execute("VACUUM ANALYZE")
        for name, look in _ticks(connection, now).items():
            yield _figure(f"{name}, nothing asked yet", fastest(look), floor)


def _ticks(connection: psycopg.Connection, now: datetime) -> dict[str, Callable[[], object]]:
    bitfinex = CAPABILITIES["bitfinex"]
    return {
        "refresh": lambda: freshness(connection, "p", now=now),
        "heal": lambda: find_due_again(connection, "p", bitfinex, now),
        "backfill": lambda: history(connection, now),
        "follow": lambda: noted_since(connection, timedelta(minutes=5), []),
    }


def _figure(what: str, seconds: float, floor: float) -> Figure:
    return Figure(
        what,
        f"{seconds * 1000:.0f} ms, {seconds / floor:.1f}x the floor",
        f"< {_SECONDS:.0f} s",
        seconds < _SECONDS,
    )


def _scan(connection: psycopg.Connection) -> None:
    connection.execute("SELECT count(settled) FROM ledger.coverage WHERE NOT isempty(answered)")
