"""The sensors with a real daemon: nobody launches anything. An hour goes by in three minutes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cli.conftest import Home
from tests.served import Served, launcher
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
DECEMBER = """
SELECT count(*) FROM market.coverage
WHERE listing = %s AND month = '2023-12-01' AND percent = 100
"""


@pytest.fixture
def market() -> Iterator[VenueProcess]:
    with VenueProcess(VENUE) as process:
        yield process


def test_all_that_is_to_be_done_is_done_and_nothing_twice(home: Home, market: VenueProcess) -> None:
    home.write_universe(UNIVERSE.format(url=market.url))
    served = Served(home, SHOWN, SPEED)
    served.start()

    def has_december(listing: str) -> bool:
        return bool(served.value(DECEMBER, listing))

    # The newest minutes first, then history, which nobody has asked for.
    served.wait(lambda: served.value("SELECT count(answered_until) FROM market.freshness") == 1)
    served.wait(lambda: has_december("ZEC-USD"))
    market.post_fault("server_error", exchange="bitfinex")
    served.wait(lambda: served.value("SELECT count(*) FROM market.failures") > 0)
    market.clear_faults()
    served.wait(lambda: served.value("SELECT count(*) FROM market.failures") == 0)
    with home.universe.open("a") as file:
        file.write(ADDED)
    served.wait(lambda: has_december("XMR-USD"))
    until = served.value("SELECT max(answered_until) FROM market.freshness")
    kept_on = "SELECT min(answered_until) > %s + interval '10 minutes' FROM market.freshness"
    served.wait(lambda: served.value(kept_on, until))
    served.wait(lambda: served.value("SELECT bool_and(fresh) FROM market.freshness"))

    launched = served.runs()
    took = served.clock.now() - SHOWN
    counts = Counter(launcher(run) for run in launched)
    assert counts[None] == 0, launched
    ranges = Counter(
        (launcher(run), run.get("dagster/asset_partition_range_start"))
        for run in launched
        if launcher(run) in {"backfill", "show"}
    )
    assert set(ranges.values()) == {1}, ranges
    assert counts["refresh"] <= took / timedelta(minutes=10) + 1
    assert counts["follow"] == 0
    assert home.run("status", "--check").returncode == 0
    assert served.started.interrupt() == 0
