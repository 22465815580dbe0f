"""What it costs to look at, and to plan, 1,000 listings over ten years."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from benchmarks.figures import Figure
from benchmarks.setting import fresh_database
from pipeline.alerts.sources import SELDOM, sources
from pipeline.plan import plan
from pipeline.providers.table import capabilities_for
from pipeline.settings import load_settings
from pipeline.store.cells import open_cells
from pipeline.store.coverage import contradictions
from pipeline.store.database import Database
from pipeline.store.queries import open_failures, totals

LISTINGS, MONTHS, PROVIDERS = 1_000, 120, 4
ROUNDS = 5
_QUERIES_SECONDS, _COMMAND_SECONDS, _PLAN_SECONDS = 1.0, 2.0, 2.0

_LISTINGS = f"""
INSERT INTO ledger.instrument (key, asset_class)
SELECT 'I' || n, 'crypto_spot' FROM generate_series(1, {LISTINGS}) AS n;

INSERT INTO ledger.listing
    (instrument_id, provider, key, symbol, session, starts_at, first_trade, first_trade_checked_at)
SELECT id, 'p' || id % {PROVIDERS}, key, key, '24x7', start, start + interval '36 hours', now()
FROM ledger.instrument,
     (SELECT date_trunc('month', now(), 'UTC') - interval '{MONTHS - 1} months') AS first(start);

INSERT INTO ledger.provider (name) SELECT DISTINCT provider FROM ledger.listing;
"""
# A day is missing in one of twenty months, and in one of a hundred it has failed.
COVERAGE = """
INSERT INTO ledger.coverage (listing_id, month, answered, settled, bars)
SELECT id, month, answered, answered, (ledger.minutes(answered) * 0.9)::integer
FROM ledger.listing,
     generate_series(starts_at, now(), interval '1 month') AS month,
     LATERAL (SELECT tstzmultirange(tstzrange(
                         greatest(first_trade, month),
                         least(date_trunc('day', now(), 'UTC'), month + interval '1 month')))
                     - CASE WHEN random() > 0.05 THEN '{}' ELSE tstzmultirange(tstzrange(
                         month + interval '5 days', month + interval '6 days')) END
             ) AS drawn(answered);

INSERT INTO ledger.fetch_failure
    (listing_id, during, error, message, attempts, first_failed_at, last_failed_at,
     next_attempt_at)
SELECT listing_id, tstzrange(start + interval '5 days', start + interval '6 days'),
       'RequestTimedOut', 'late', 1, now(), now(), now()
FROM ledger.coverage, LATERAL (SELECT month::timestamp AT TIME ZONE 'UTC') AS first(start)
WHERE random() < 0.01;
"""
"""What has become of the months of all listings, from the start of each."""


def run() -> Iterator[Figure]:
    """Measure, and yield the figures."""
    with fresh_database() as database, database.connect() as connection:
        fill(connection)
        floor = fastest(lambda: _scan(connection))
        status = fastest(lambda: (totals(connection), open_failures(connection)))
        check = fastest(lambda: contradictions(connection))
        look, seldom = (
            fastest(lambda: _look(connection)),
            fastest(lambda: _look_everywhere(connection)),
        )
        command = fastest(lambda: _command(database, "status"))
        health = fastest(lambda: _command(database, "health"))
        covered = fastest(lambda: _plan(connection))
        connection.execute("TRUNCATE ledger.coverage, ledger.settling, ledger.fetch_failure")
        connection.execute("VACUUM ANALYZE")
        empty = fastest(lambda: _plan(connection))
    yield Figure("bare sums over ledger.coverage", f"{floor * 1000:.0f} ms")
    for what, seconds in (("status", status), ("the sums of status --check", check)):
        yield Figure(
            f"the queries of {what}, {LISTINGS} x {MONTHS}",
            f"{seconds * 1000:.0f} ms, {seconds / floor:.0f}x the bare sums",
            f"< {_QUERIES_SECONDS:.0f} s",
            seconds < _QUERIES_SECONDS,
        )
    for what, seconds in (("every minute", look), ("every ten minutes", seldom)):
        yield Figure(
            f"what the sensor alerts looks for {what}",
            f"{seconds * 1000:.0f} ms",
            f"< {_QUERIES_SECONDS:.0f} s",
            seconds < _QUERIES_SECONDS,
        )
    for name, seconds in (("status", command), ("health", health)):
        yield Figure(
            f"minuteledger {name}, all of it",
            f"{seconds:.2f} s",
            f"< {_COMMAND_SECONDS:.0f} s",
            seconds < _COMMAND_SECONDS,
        )
    for what, seconds in (("of what is left", covered), ("of all of it", empty)):
        yield Figure(
            f"the plan {what}",
            f"{seconds:.2f} s",
            f"< {_PLAN_SECONDS:.0f} s",
            seconds < _PLAN_SECONDS,
        )


def fill(connection: psycopg.Connection) -> None:
    """Put the listings and their coverage into an empty ledger."""
    connection.execute(_LISTINGS)
    connection.execute(COVERAGE)
    connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM ANALYZE")


def fastest(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the seconds of the fastest of several rounds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _scan(connection: psycopg.Connection) -> None:
    connection.execute(
        "SELECT listing_id, sum(answered_minutes), sum(settled_minutes), sum(unavailable_minutes),"
        " sum(bars) FROM ledger.coverage GROUP BY 1"
    ).fetchall()


def _plan(connection: psycopg.Connection) -> None:
    capabilities, now = capabilities_for("binance"), datetime.now(UTC)
    for provider, cells in open_cells(connection).items():
        plan(connection, provider, capabilities, cells, now)


def _look(connection: psycopg.Connection, every: timedelta = timedelta(0)) -> None:
    found = sources(connection, load_settings(), None, datetime.now(UTC))
    for source in found:
        if source.every <= every:
            list(source.look())


def _look_everywhere(connection: psycopg.Connection) -> None:
    _look(connection, SELDOM)


def _command(database: Database, *arguments: str) -> None:
    program = Path(sysconfig.get_path("scripts")) / "minuteledger"
    environment = os.environ | {"MINUTELEDGER_DATABASE_URL": database.url()}
    done = subprocess.run([program, *arguments], env=environment, check=False, capture_output=True)
    # Nobody serves here, and what was never asked for is behind: health says so.
    if done.returncode and arguments != ("health",):
        raise subprocess.CalledProcessError(done.returncode, arguments, done.stdout, done.stderr)
