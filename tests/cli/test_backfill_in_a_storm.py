"""A hundred listings, 24 months: a backfill under faults, paused, killed at, and left to itself.

`make rehearsal` runs it, and prints what it took.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pipeline.orchestration.api import DagsterApi
from pipeline.store.cells import Cell
from resources.partitions import to_key
from tests.cli.conftest import Home
from tests.making import at, milliseconds
from tests.served import Served, launcher
from venue import VenueProcess

pytestmark = pytest.mark.rehearsal

SPEED = 10
SHOWN, START, EARLIER = at("2024-03-01 06:00"), "2022-03-01", "2022-02-01"
PROVIDERS, COINS, MONTHS = ("bitfinex", "mirror"), 50, 24
LISTINGS = len(PROVIDERS) * COINS
SINCE = milliseconds(at(START))
FAULTS = {"server_error": 40, "truncated": 97, "disconnect": 151, "not_json": 307}
"""Of so many requests, one each."""
DOWN = "C49-USD"
MINUTES = "SELECT coalesce(sum(bars + empty), 0) FROM market.coverage WHERE month < '2024-03-01'"
LEFT = "SELECT sum(expected - bars - empty) FROM market.coverage WHERE month < '2024-03-01'"
INCOMPLETE = """
SELECT provider, listing, month FROM market.coverage
WHERE month = %s AND expected > bars + empty
"""
BEHIND = "SELECT max(ledger.now() - stale_since) FROM market.freshness"
AT_WORK = """
SELECT (e.event::jsonb #>> '{dagster_event,pid}')::integer
FROM event_logs e JOIN runs r USING (run_id)
WHERE e.dagster_event_type = 'PIPELINE_START' AND r.status = 'STARTED'
  AND r.backfill_id IS NOT NULL ORDER BY e.id DESC
"""
START_SENSOR = """
mutation($selector: SensorSelector!) { startSensor(sensorSelector: $selector) {
  ... on Sensor { id } } }
"""
STOP_SENSOR = "mutation($id: String!) { stopSensor(id: $id) { __typename } }"
AGAIN = """
mutation($parent: String!) {
  reexecutePartitionBackfill(reexecutionParams: {parentRunId: $parent, strategy: FROM_FAILURE}) {
    __typename ... on LaunchBackfillSuccess { backfillId } } }
"""
NEWEST = """
query($limit: Int!) { partitionBackfillsOrError(limit: $limit) {
  ... on PartitionBackfills { results { id } } } }
"""


def venue_document() -> dict[str, Any]:
    listed = {"listed_at": "2021-01-06T08:00:00Z", "price": 20, "quiet": 0.98}
    coins = {f"C{number:02d}-USD": listed for number in range(COINS)}
    return {"exchanges": {"bitfinex": {"requests_per_second": 0, "markets": coins}}}


def universe(url: str, start: str) -> str:
    options = {"base_url": f"{url}/bitfinex", "limits": {"requests": 6000, "seconds": 1}}
    names = [f"C{number:02d}" for number in range(COINS)]
    return json.dumps(
        {
            "start": start,
            "providers": {name: options | {"exchange": "bitfinex"} for name in PROVIDERS},
            "instruments": {
                f"{name}-USD": {
                    "class": "crypto_spot",
                    "listings": dict.fromkeys(PROVIDERS, f"{name}/USD"),
                }
                for name in names
            },
        }
    )


@pytest.fixture
def market() -> Iterator[VenueProcess]:
    with VenueProcess(venue_document()) as process:
        yield process


class Storm:
    """A served home in whose Dagster backfills go on."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.api = DagsterApi(served.url)
        self.minutes = LISTINGS * int(served.value("SELECT '2024-03-01'::date - %s::date", START))
        self.minutes *= 24 * 60

    def launch(self) -> None:
        done = self.served.home.run("backfill", "--to", "2024-02", "--no-wait")
        assert done.returncode == 0, done.stderr
        print(done.stdout)

    def wait_for_part(self, part: float) -> None:
        self.served.wait(lambda: self.answered() >= part, 1200)

    def answered(self) -> float:
        """Return the part of the history that is answered."""
        return float(self.served.value(MINUTES)) / self.minutes

    def pause(self) -> None:
        """Cancel all backfills, and wait until nothing of them goes on."""
        cancelled = self.api.open_backfills()
        for backfill in cancelled:
            self.api.cancel(backfill)
        self.served.wait(
            lambda: (
                all(self.api.backfill(one).ended for one in cancelled)
                and not any(self.api.runs_under_way(one) for one in cancelled)
            )
        )

    def kill_a_run(self) -> None:
        with psycopg.connect(self.served.home.server.url("dagster")) as connection:
            (pid,) = connection.execute(AT_WORK).fetchone() or (0,)
        os.kill(pid, signal.SIGKILL)

    def start(self, sensor: str) -> str:
        """Start a sensor; return what Dagster knows it by."""
        (location,) = self.api.locations()
        selector = location.sensor(sensor)
        return str(self.served.ask(START_SENSOR, selector=selector)["startSensor"]["id"])

    def execute_failed_again(self) -> None:
        """Execute again what failed of the newest backfill of each provider, to its end."""
        newest = self.served.ask(NEWEST, limit=len(PROVIDERS))["partitionBackfillsOrError"]
        launched = [
            self.served.ask(AGAIN, parent=one["id"])["reexecutePartitionBackfill"]["backfillId"]
            for one in newest["results"]
        ]
        self.served.wait(lambda: all(self.api.backfill(one).ended for one in launched), 600)

    def missing(self, month: str) -> set[tuple[str, str]]:
        """Return the partitions of a month that were never materialized, by provider."""
        found = set()
        for provider in PROVIDERS:
            keys = [f"C{number:02d}-USD|{month}" for number in range(COINS)]
            there = self.api.materialized((provider, "bars_1m"), keys)
            found |= {(provider, key) for key in keys if key not in there}
        return found


def test_a_hundred_listings_and_two_years(home: Home, market: VenueProcess) -> None:
    home.write_universe(universe(market.url, START))
    served = Served(home, SHOWN, SPEED)
    home.settings["MINUTELEDGER_SENSORS"] = "stopped"
    market.set_clock(now=milliseconds(served.clock.now()), speed=SPEED)
    served.start()
    storm, began = Storm(served), time.monotonic()
    storm.launch()
    for sensor in (*(f"refresh_{name}" for name in PROVIDERS), "follow"):
        storm.start(sensor)
    healers = [storm.start(sensor) for sensor in ("heal", "show")]
    for kind, every in FAULTS.items():
        market.post_fault(kind, every=every)

    storm.wait_for_part(0.3)
    storm.pause()
    paused = storm.answered()
    storm.launch()
    storm.wait_for_part(max(0.6, paused))
    storm.kill_a_run()
    served.wait(lambda: served.value(LEFT) == 0, 1800)
    took = time.monotonic() - began
    behind = served.value(BEHIND)
    served.wait(lambda: not storm.api.open_backfills(), 300)
    months = [row[0] for row in served.rows("SELECT DISTINCT month::text FROM market.coverage")]
    served.wait(lambda: not any(storm.missing(month) for month in months), 300)
    tell(served, market, took, paused)
    assert served.home.run("status", "--check").returncode == 0
    assert behind.total_seconds() < 45 * 60

    market.clear_faults()
    for healer in healers:
        served.ask(STOP_SENSOR, id=healer)
    one_month_more(storm, market)
    assert served.started.interrupt() == 0


def one_month_more(storm: Storm, market: VenueProcess) -> None:
    """An instrument is down: its partitions fail, and only they are executed again."""
    served = storm.served
    served.home.write_universe(universe(market.url, EARLIER))
    served.started.wait_for("The universe has changed")
    market.post_fault("server_error", symbol=DOWN)
    done = served.home.run("backfill", "--to", "2022-02")
    assert done.returncode == 1
    failed = {
        (provider, to_key(Cell(listing, month)))
        for provider, listing, month in served.rows(INCOMPLETE, EARLIER)
    }
    assert {(name, f"{DOWN}|{EARLIER}") for name in PROVIDERS} <= failed
    assert storm.missing(EARLIER) == failed

    market.clear_faults()
    market.clear_requests()
    storm.execute_failed_again()
    assert not storm.missing(EARLIER)
    assert not served.rows(INCOMPLETE, EARLIER)
    asked = {
        (entry["symbol"], entry["start"] < SINCE)
        for entry in market.requests()["requests"]
        if entry["symbol"] and entry["start"]
    }
    print("failed, and executed again:", sorted(failed))
    executed = {key.partition("|")[0] for _, key in failed}
    assert {symbol for symbol, earlier in asked if earlier} == executed


def tell(served: Served, market: VenueProcess, took: float, paused: float) -> None:
    """Print the figures."""
    launched = served.runs()
    counts = Counter((str(launcher(run)), run["status"]) for run in launched)
    requests = market.requests()
    hits = {fault["kind"]: fault["hits"] for fault in market.faults()}
    print()
    print(f"{LISTINGS} listings x {MONTHS} months, complete after {took:.0f} s")
    print(f"paused when {paused:.0%} was answered")
    print(f"requests: {requests['total']}; faults: {hits}")
    print("runs:", dict(counts))
