"""`minuteledger fundamentals` and the call from Python, with vendors that answer over HTTP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Home
from venue import VenueProcess

UNIVERSE = """
start: 2024-01-01
providers:
  fmp: {{base_url: {url}/fmp, limits: {{requests: 1000, seconds: 1}}}}
  coingecko: {{base_url: {url}/coingecko, limits: {{requests: 1000, seconds: 1}}}}
instruments:
  AAPL: {{class: equity, fundamentals: {{fmp: AAPL}}}}
  BTC-USD: {{class: crypto_spot, fundamentals: {{coingecko: bitcoin}}}}
  NOBODY: {{class: equity, fundamentals: {{fmp: NOBODY}}}}
"""
PYTHON = """
from pipeline.reading import connect, get_fundamentals
print(len(get_fundamentals("AAPL")), len(get_fundamentals("AAPL", providers=["fmp"])))
print(len(get_fundamentals("AAPL", force_refresh=True)))
with connect() as ledger:
    print(ledger.fundamentals("AAPL").set_index("field").value["revenue"])
"""


@pytest.fixture(scope="module")
def companies(make_home: Callable[[], Home], venue_process: VenueProcess) -> Home:
    """A home in which vendors can be asked about two companies and a coin."""
    made = make_home()
    made.settings["FMP_API_KEY"] = "demo-key-of-the-venue"
    made.write_universe(UNIVERSE.format(url=venue_process.url))
    done = made.run("migrate")
    assert done.returncode == 0, done.stderr
    return made


def test_a_refresh_asks_for_what_is_due_and_shows_who_says_what(companies: Home) -> None:
    before = companies.run("fundamentals", "AAPL")
    assert (before.returncode, before.stdout) == (0, "Nothing is known of AAPL.\n")
    done = companies.run("fundamentals", "AAPL", "--refresh")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "fmp" in lines["revenue"]
    assert "priority" in lines["revenue"]
    assert "single" in lines["revenue"]
    rows = companies.json("fundamentals", "AAPL", "--field", "revenue", "--field", "pe_ratio")
    assert {row["field"]: row["currency"] for row in rows} == {"revenue": "USD", "pe_ratio": None}
    assert companies.json("fundamentals", "AAPL", "--at", "2020-01-01") == []


def test_a_coin_is_told_of_by_its_id(companies: Home) -> None:
    rows = companies.json("fundamentals", "BTC-USD", "--refresh")
    found = {row["field"]: row["value"] for row in rows}
    assert found["max_supply"] == 21e6


def test_what_a_vendor_has_nothing_about_is_an_answer(companies: Home) -> None:
    done = companies.run("fundamentals", "NOBODY", "--refresh")
    assert (done.returncode, done.stdout) == (0, "Nothing is known of NOBODY.\n"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ACME"], "there is no instrument 'ACME'"),
        (["ACME", "--refresh"], "no provider is asked about 'ACME'"),
        (["AAPL", "--provider", "yahoo"], "yahoo is not asked about AAPL; these are: fmp"),
        (["AAPL", "--at", "2024-01-01", "--refresh"], "is about the past"),
        (["AAPL", "--field", "revenu"], "'revenu' is no field (did you mean revenue?)"),
    ],
)
def test_what_cannot_be_asked_is_an_error_that_says_why(
    companies: Home, arguments: list[str], said: str
) -> None:
    done = companies.run("fundamentals", *arguments)
    assert done.returncode in {1, 2}
    assert said in done.stderr


def test_without_the_key_what_is_stored_is_served_and_the_trouble_told(companies: Home) -> None:
    assert companies.run("fundamentals", "AAPL", "--refresh").returncode == 0
    key = companies.settings.pop("FMP_API_KEY")
    try:
        done = companies.run("fundamentals", "AAPL", "--force", "--field", "revenue")
    finally:
        companies.settings["FMP_API_KEY"] = key
    assert done.returncode == 1
    assert "revenue" in done.stdout
    assert "FMP_API_KEY not set" in done.stderr


def test_python_gets_fundamentals_by_the_call_that_people_know(companies: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PYTHON],
        env=companies.environment | {"PYTHONPATH": str(Path.cwd())},
        cwd=companies.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    fields, forced, revenue = done.stdout.splitlines()
    assert fields.split()[0] == fields.split()[1] == forced
    assert float(revenue) > 1e11
