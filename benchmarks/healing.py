"""What it costs to find what is due at a provider with 1,000 listings over ten years."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg

from benchmarks.figures import Figure
from benchmarks.setting import fresh_database
from benchmarks.status import LISTINGS, MONTHS, fastest, fill
from pipeline.heal import find_tasks
from pipeline.providers.table import CAPABILITIES

_SECONDS = 1.0
ONE_PROVIDER = "UPDATE ledger.listing SET provider = 'p'"
# The last two months are not settled yet, as refreshing leaves them.
AS_REFRESHED = """
UPDATE ledger.coverage
SET settled = settled - tstzmultirange(tstzrange(
    date_trunc('minute', now() - interval '7 days'), NULL))
WHERE month > now() - interval '2 months';
INSERT INTO ledger.settling (listing_id, month, delay, checked)
SELECT listing_id, month, delay,
       (answered - settled) * tstzmultirange(tstzrange(NULL, before))
FROM ledger.coverage, unnest(ARRAY[interval '1 hour', interval '1 day']) AS step(delay),
     date_trunc('minute', now() - delay) AS before
WHERE NOT isempty((answered - settled) * tstzmultirange(tstzrange(NULL, before)));
"""


def run() -> Iterator[Figure]:
    """Measure, and yield the figures."""
    with fresh_database() as database, database.connect() as connection:
        fill(connection)
        connection.execute(ONE_PROVIDER)
        connection.execute(AS_REFRESHED)
        connection.execute("VACUUM ANALYZE")
        floor = fastest(lambda: _scan(connection))
        refreshed = fastest(lambda: _find(connection))
        tasks = _find(connection)
        connection.execute("TRUNCATE ledger.coverage, ledger.settling, ledger.fetch_failure")
        connection.execute("VACUUM ANALYZE")
        empty, all_of_it = fastest(lambda: _find(connection)), _find(connection)
    yield Figure(
        f"due work of {LISTINGS} x {MONTHS}: {tasks} listing-months found",
        f"{refreshed * 1000:.0f} ms, {refreshed / floor:.0f}x reading the ranges",
        f"< {_SECONDS:.0f} s",
        refreshed < _SECONDS,
    )
    yield Figure(f"the same where nothing was asked yet: {all_of_it} found", f"{empty:.1f} s")


def _find(connection: psycopg.Connection) -> int:
    return len(find_tasks(connection, "p", CAPABILITIES["bitfinex"], datetime.now(UTC)))


def _scan(connection: psycopg.Connection) -> None:
    connection.execute("SELECT count(settled) FROM ledger.coverage WHERE NOT isempty(answered)")
