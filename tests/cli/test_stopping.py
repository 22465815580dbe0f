"""`up` is stopped while history is being downloaded: all that was answered is kept, and goes on."""

import json
import time
from datetime import UTC, datetime

import pytest

from pipeline.intervals import Interval
from pipeline.store.database import Database
from tests.cli.conftest import Home, gone
from tests.drills import evidence
from tests.drills.worlds import PROVIDER, World
from tests.making import at
from tests.served import Served
from venue import VenueProcess

pytestmark = pytest.mark.long

WORLD = World(("BTC-USD", "XRP-USD"), Interval(at("2024-01-01"), at("2024-02-20")))
PER_SECOND = 15
SPEED = 30
"""So that whoever waits for ten minutes before it tries again waits for twenty seconds."""
SHARE = "SELECT sum(bars + empty)::float / sum(expected) FROM market.coverage"


def test_up_is_stopped_amid_runs_and_goes_on(home: Home, market: VenueProcess) -> None:
    home.write_universe(json.dumps(WORLD.document(f"{market.url}/{PROVIDER}", PER_SECOND)))
    served = Served(home, datetime.now(UTC), SPEED)
    ledger = Database(home.server, home.server.url("market"))
    served.start()
    served.wait(lambda: served.value(SHARE) > 0.1)
    processes = served.started.children()
    began = time.monotonic()

    assert served.started.interrupt() == 0

    seconds = time.monotonic() - began
    print(f"`up` ended after {seconds:.1f} s")
    assert gone(processes)
    assert "runs under way; what they have stored is kept" in served.started.output
    asked = evidence.asked(market, WORLD)
    assert evidence.overlaps(asked, evidence.settled(ledger)) == asked
    assert served.value(SHARE) < 0.9

    served.start()
    served.wait(lambda: served.value(SHARE) == 1 and served.is_at_rest())

    assert {run["status"] for run in served.runs()} == {"CANCELED", "SUCCESS"}
    assert served.started.interrupt() == 0
    assert home.run("status", "--check").returncode == 0
    evidence.check_truth(ledger, market, WORLD)
