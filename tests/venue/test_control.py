"""The control API, the process around it, and its command line."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.venue.conftest import LISTED, NOW
from venue.process import VenueError, VenueProcess

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE = 60_000


def test_requests_are_counted_and_kept(client: Callable[[str], Any], venue: VenueProcess) -> None:
    client("binance").fetch_ohlcv("BTC/USDT", "1m", LISTED, 10)
    client("kraken").fetch_time()
    report = venue.requests()
    assert report["total"] == 2
    counted = {(row["exchange"], row["endpoint"], row["symbol"]) for row in report["counts"]}
    assert counted == {
        ("binance", "/api/v3/klines", "BTC-USDT"),
        ("kraken", "/0/public/Time", None),
    }
    entry = report["requests"][0]
    assert (entry["start"], entry["limit"], entry["rows"]) == (LISTED, 10, 10)
    assert (entry["status"], entry["faults"]) == (200, [])
    assert venue.requests(since_ms=entry["time"] + 60_000)["requests"] == []
    venue.clear_requests()
    assert venue.requests()["total"] == 0


def test_the_clock_is_set_moved_and_made_to_run(venue: VenueProcess) -> None:
    assert venue.clock() == {"now": NOW, "speed": 0}
    assert venue.set_clock(now="2024-01-01T00:00:00Z")["now"] == 1_704_067_200_000
    assert venue.set_clock(offset_seconds=-60)["now"] == 1_704_067_140_000
    before = venue.set_clock(speed=6000)["now"]
    time.sleep(0.05)
    assert venue.clock()["now"] - before > 200_000


def test_truth_ends_with_the_last_minute_that_is_over(venue: VenueProcess) -> None:
    forming = NOW // MINUTE * MINUTE
    truth = venue.truth("kraken", "BTC-USD", forming - 3 * MINUTE, forming + 10 * MINUTE)
    assert truth["ts"] == [forming - n * MINUTE for n in (3, 2, 1)]


@pytest.mark.parametrize(
    ("method", "path", "document", "reason"),
    [
        ("POST", "faults", {"kind": "nonsense"}, "unknown kind"),
        ("POST", "faults", {"kind": "ban", "tiems": 1}, "tiems"),
        ("POST", "faults", {"kind": "bad_values", "variant": "odd"}, "variants"),
        ("GET", "truth?exchange=binance&symbol=NO-SUCH&start=0&end=1", None, "NO-SUCH"),
        ("GET", "truth?exchange=binance", None, "start"),
        ("POST", "clock", {"now": "yesterday"}, "yesterday"),
    ],
)
def test_a_mistake_is_refused_with_its_reason(
    method: str, path: str, document: object, reason: str, venue: VenueProcess
) -> None:
    with pytest.raises(VenueError, match=reason):
        venue.control(method, path, document)


def test_a_wrong_configuration_names_the_key(capfd: pytest.CaptureFixture[str]) -> None:
    wrong = {"exchanges": {"kraken": {"markets": {"BTC-USD": {"prize": 3}}}}}
    with pytest.raises(VenueError, match="did not start"):
        VenueProcess(wrong).start()
    error = capfd.readouterr().err
    assert "exchanges.kraken.markets.BTC-USD" in error
    assert "prize" in error


def test_sigterm_ends_it_quickly() -> None:
    command = [sys.executable, "-m", "venue", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline().startswith("venue listening on http://127.0.0.1:")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    process.stdout.close()


def test_it_ends_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    command = [sys.executable, "-m", "venue", "--port", "0", "--parent-pid", str(parent.pid)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    parent.kill()
    parent.wait()
    assert process.wait(30) == 0
    process.stdout.close()
    assert parent.stdin
    parent.stdin.close()
