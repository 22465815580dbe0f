"""The demo, as CI runs it. Two to five minutes: it downloads at the pace real providers allow."""

import json
import re

import pytest

from pipeline.orchestration.instance import free_port
from tests.cli.conftest import Home

pytestmark = pytest.mark.long


def test_the_demo_completes_offline_and_a_repeat_downloads_nothing(home: Home) -> None:
    port = str(free_port())

    first = home.run("demo", "--exit", "--port", port, timeout=2400)

    assert first.returncode == 0, first.stdout + first.stderr
    assert "The minutes add up" in first.stdout
    lines = [line.split() for line in first.stdout.splitlines()]
    days = [line[:2] + line[-2:] + line for line in lines if line[:1] == ["alpaca"]]
    assert any(day[:4] == ["alpaca", "AAPL", "210", "210"] for day in days), first.stdout
    day = r"^alpaca +MSFT +\S+[T ](\d\d:\d\d) +\S+[T ]\d\d:\d\d +390 +390$"
    opens = set(re.findall(day, first.stdout, re.MULTILINE))
    assert opens == {"13:30", "14:30"}
    said = r"^AAPL +total_debt +\S+ +fmp [\d.]+ B USD, yahoo [\d.]+ B USD +fmp +priority +disagree"
    assert re.search(said, first.stdout, re.MULTILINE), first.stdout
    assert home.server.status().state == "stopped"
    world = json.loads((home.path / "home" / "demo.json").read_text())

    second = home.run("demo", "--exit", "--port", port, timeout=2400)

    assert second.returncode == 0, second.stdout + second.stderr
    nothing = "venue got 0 requests for bars, 0 for fundamentals"
    assert nothing in second.stdout, second.stdout
    assert json.loads((home.path / "home" / "demo.json").read_text()) == world

    rows = home.json("status")["coverage"]
    assert {row["provider"] for row in rows} == {
        *("alpaca", "binance", "bitfinex", "coinbase", "kraken", "yahoo")
    }
    assert all(row["failed"] == row["pending"] == 0 for row in rows)
    assert any(row["empty"] for row in rows)
    assert all((row["unavailable"] > 0) == (row["provider"] == "kraken") for row in rows)
    assert home.run("status", "--check").returncode == 0
    known = home.json("fundamentals", "AAPL")
    assert {one["provider"] for row in known for one in row["candidates"]} == {"fmp", "yahoo"}


def test_the_demo_leaves_a_ledger_of_somebodys_own_alone(home: Home) -> None:
    home.run("init")
    before = home.universe.read_text()

    done = home.run("demo", "--exit")

    assert done.returncode == 1
    assert "of your own" in done.stderr
    assert home.universe.read_text() == before
