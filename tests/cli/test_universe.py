"""`universe find` and `universe check` on a ledger whose providers have a list."""

from __future__ import annotations

import pytest
import yaml

from pipeline.universe import Universe
from tests.cli.conftest import INSTRUMENTS, PROVIDERS, UNKNOWN, Home
from venue import VenueProcess


def parsed(snippet: str) -> dict[str, object]:
    """Return a snippet as the universe's own models read it, below `instruments:`."""
    document = yaml.load("instruments:\n" + snippet, Loader=yaml.BaseLoader)
    providers = {"bitfinex": {}, "mirror": {"exchange": "bitfinex"}, "yahoo": {}}
    universe = Universe.model_validate({"start": "2024-01-01", "providers": providers, **document})
    return {
        spec.provider: (spec.key, spec.asset_class, spec.symbol) for spec in universe.listings()
    }


@pytest.mark.parametrize("name", ["BTC/USD", "tBTCUSD", "btc-usd", "XBTUSD"])
def test_a_market_is_found_in_any_spelling_with_yaml_that_can_be_pasted(
    ledger: Home, name: str
) -> None:
    found = ledger.json("universe", "find", name)
    (instrument,) = found["instruments"]
    assert not found["ambiguous"]
    assert (instrument["instrument"], instrument["class"]) == ("BTC-USD", "crypto_spot")
    assert parsed(instrument["yaml"]) == {
        "bitfinex": ("BTC-USD", "crypto_spot", "tBTCUSD"),
        "mirror": ("BTC-USD", "crypto_spot", "tBTCUSD"),
    }
    assert [row["listing"] for row in instrument["markets"]] == ["BTC-USD", "BTC-USD"]


def test_a_bare_coin_is_shown_with_its_markets(ledger: Home) -> None:
    done = ledger.run("universe", "find", "ETH")
    assert done.returncode == 0, done.stderr
    assert "possible: bitfinex trades it as tETHUSD" in done.stdout
    assert "      bitfinex: tETHUSD" in done.stdout.splitlines()
    (instrument,) = ledger.json("universe", "find", "ETH", "--provider", "mirror")["instruments"]
    assert {row["provider"] for row in instrument["markets"]} <= {"bitfinex", "mirror"}


def test_what_no_list_has_is_a_problem_that_names_the_close_ones(ledger: Home) -> None:
    done = ledger.run("universe", "find", "tBTCUSX")
    assert done.returncode == 1
    assert "did you mean tBTCUSD" in done.stderr
    assert ledger.run("universe", "find", "tBTCUSX", "--json").returncode == 1
    assert ledger.run("universe", "find", "BTC", "--provider", "nobody").returncode == 2


def test_listings_are_checked_against_the_lists(ledger: Home) -> None:
    done = ledger.run("universe", "check", "--json")
    assert done.returncode == 1
    states = {(row["provider"], row["listing"]): row for row in ledger.json("universe", "check")}
    assert states["bitfinex", "BTC-USD"]["state"] == "listed"
    assert states["bitfinex", "NOPE-USD"]["state"] == "unknown"
    assert ledger.run("universe", "check", "--provider", "mirror").returncode == 0


def test_a_provider_that_does_not_answer_is_told_and_the_others_are_searched(
    home: Home, markets: VenueProcess
) -> None:
    away = "\n  away: {exchange: kraken, base_url: 'http://127.0.0.1:1/kraken'}\n  yahoo: {}\n"
    home.write_universe(PROVIDERS.format(url=markets.url).rstrip("\n") + away, INSTRUMENTS, UNKNOWN)
    assert home.run("migrate").returncode == 0

    done = home.run("universe", "find", "BTC-USD")

    assert done.returncode == 0, done.stderr
    assert "away: no list could be had" in done.stderr
    assert "bitfinex: tBTCUSD" in done.stdout
    assert "yahoo: there is no market list, so this spelling is not checked" in done.stdout

    vix = home.run("universe", "find", "^VIX", "--provider", "yahoo")
    assert "class: index" in vix.stdout
    assert "yahoo: ^VIX" in vix.stdout
