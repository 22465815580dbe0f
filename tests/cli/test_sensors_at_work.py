"""The sensors with a real daemon: nobody launches anything. An hour goes by in three minutes."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
import pytest
import requests

from pipeline.clock import Clock
from pipeline.orchestration.instance import free_port
from tests.cli.conftest import Home, Started, wait_until
from venue import VenueProcess

pytestmark = pytest.mark.long

SPEED = 20
SHOWN = datetime(2024, 2, 1, 12, tzinfo=UTC)
LISTED = {"listed_at": "2023-12-01T00:00:00Z", "quiet": 0.95}
VENUE: dict[str, Any] = {
    "exchanges": {
        "bitfinex": {
            "requests_per_second": 0,
            "markets": {
                "ZEC-USD": {**LISTED, "price": 40},
                "XMR-USD": {**LISTED, "price": 150},
            },
        }
    }
}
UNIVERSE = """
start: 2023-12-30
providers:
  bitfinex: {{base_url: {url}/bitfinex, limits: {{requests: 6000, seconds: 1}}, refresh: 10m}}
instruments:
  ZEC-USD: {{class: crypto_spot, listings: {{bitfinex: ZEC/USD}}}}
"""
ADDED = "  XMR-USD: {class: crypto_spot, listings: {bitfinex: XMR/USD}}\n"
RUNS = """{ runsOrError { ... on Runs { results { status tags { key value } } } } }"""
OURS = ("refresh", "month", "heal", "backfill", "follow")
TESTED = "SELECT count(*) FROM market.coverage WHERE listing = %s AND month = '2023-12-01' AND {}"


class Served:
    """A served home: what its runs are, and what its ledger says."""

    def __init__(self, home: Home, started: Started) -> None:
        self._home = home
        self._started = started
        found = re.search(r"http://127\.0\.0\.1:\d+", started.output)
        assert found is not None
        self._url = found.group()

    def runs(self) -> list[dict[str, str]]:
        """Return what was launched: its tags, and its status as `status`."""
        done = requests.post(f"{self._url}/graphql", json={"query": RUNS}, timeout=30).json()
        return [
            {each["key"]: each["value"] for each in run["tags"]} | {"status": run["status"]}
            for run in done["data"]["runsOrError"]["results"]
        ]

    def query(self, statement: str, *values: object) -> Any:
        with psycopg.connect(self._home.server.url("market")) as connection:
            clock = self._home.settings["MINUTELEDGER_CLOCK"]
            connection.execute("SELECT set_config('minuteledger.clock', %s, true)", [clock])
            row = connection.execute(statement.encode(), values).fetchone()
        assert row is not None
        return row[0]

    def has_december(self, listing: str) -> bool:
        return bool(self.query(TESTED.format("percent = 100"), listing))

    def wait(self, condition: Callable[[], bool], seconds: float = 400) -> None:
        wait_until(condition, seconds, f"{self.runs()}\n{self._started.output}")


@pytest.fixture
def market() -> Iterator[VenueProcess]:
    with VenueProcess(VENUE) as process:
        yield process


def test_all_that_is_to_be_done_is_done_and_nothing_twice(home: Home, market: VenueProcess) -> None:
    home.write_universe(UNIVERSE.format(url=market.url))
    assert home.run("migrate").returncode == 0
    clock = Clock(time.time(), SHOWN.timestamp(), SPEED)
    home.settings |= {
        "MINUTELEDGER_SENSORS": "running",
        "MINUTELEDGER_SENSOR_SECONDS": "2",
        "MINUTELEDGER_CLOCK": str(clock),
    }
    started = home.start("up", "--port", str(free_port()))
    started.wait_for("is up")
    served = Served(home, started)

    # The newest minutes first, then history, which nobody has asked for.
    served.wait(lambda: served.query("SELECT count(answered_until) FROM market.freshness") == 1)
    served.wait(partial(served.has_december, "ZEC-USD"))
    market.post_fault("server_error", exchange="bitfinex")
    served.wait(lambda: served.query("SELECT count(*) FROM market.failures") > 0)
    market.clear_faults()
    served.wait(lambda: served.query("SELECT count(*) FROM market.failures") == 0)
    with home.universe.open("a") as file:
        file.write(ADDED)
    served.wait(partial(served.has_december, "XMR-USD"))
    until = served.query("SELECT max(answered_until) FROM market.freshness")
    kept_on = "SELECT min(answered_until) > %s + interval '10 minutes' FROM market.freshness"
    served.wait(lambda: served.query(kept_on, until))
    served.wait(lambda: served.query("SELECT bool_and(fresh) FROM market.freshness"))

    launched = served.runs()
    ended = clock.now()
    counts = Counter(name for run in launched for name in OURS if f"minuteledger/{name}" in run)
    assert counts.total() == len(launched), launched
    ranges = Counter(
        (name, run.get("dagster/asset_partition_range_start"))
        for run in launched
        for name in ("backfill", "month")
        if f"minuteledger/{name}" in run
    )
    assert set(ranges.values()) == {1}, ranges
    assert counts["refresh"] <= (ended - SHOWN).total_seconds() / 600 + 1
    assert counts["follow"] == 0
    assert home.run("status", "--check").returncode == 0
    assert started.interrupt() == 0 or started.process.returncode is not None
