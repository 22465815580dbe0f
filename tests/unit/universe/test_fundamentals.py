"""Whom the universe asks for fundamentals, and what is wrong about that."""

from pathlib import Path

import pytest

from pipeline.opening import capabilities_of, options_of
from pipeline.universe import FundamentalsSpec
from tests.unit.universe.texts import cases, complaints, load

BOTH = """\
    start: 2020-01-01
    providers:
      yahoo: {}
      fmp: {}
      second_fmp: {client: fmp, base_url: "http://127.0.0.1:1/fmp"}
      coingecko: {}
      bitfinex: {}
    instruments:
      ETH-USD:
        class: crypto_spot
        listings: {bitfinex: tETHUSD}
        fundamentals: {coingecko: ethereum}
      BRK.B:
        class: equity
        fundamentals:
          yahoo: {symbol: BRK-B}
          second_fmp: BRK-B
          fmp: BRK-B
"""


def test_the_universe_says_who_is_asked_about_what(file: Path) -> None:
    universe = load(file, BOTH)
    asked = universe.fundamentals()
    assert [(one.provider, one.client, one.instrument, one.symbol) for one in asked] == [
        ("coingecko", "coingecko", "ETH-USD", "ethereum"),
        ("fmp", "fmp", "BRK.B", "BRK-B"),
        ("second_fmp", "fmp", "BRK.B", "BRK-B"),
        ("yahoo", "yahoo", "BRK.B", "BRK-B"),
    ]
    assert universe.fundamentals("coingecko") == (
        FundamentalsSpec(
            provider="coingecko",
            client="coingecko",
            instrument="ETH-USD",
            asset_class="crypto_spot",
            symbol="ethereum",
        ),
    )


def test_what_serves_fundamentals_alone_is_left_out_wherever_bars_are_made(file: Path) -> None:
    universe = load(file, BOTH)
    assert universe.bar_providers == ("bitfinex", "yahoo")
    assert {one.provider for one in universe.listings()} == {"bitfinex"}
    for name in universe.providers:
        assert capabilities_of(universe, name).bars is (name in universe.bar_providers)


def test_a_provider_is_opened_for_the_classes_that_it_is_asked_about(file: Path) -> None:
    universe = load(file, BOTH)
    assert options_of(universe, "yahoo").asset_classes == ["equity"]


FUNDAMENTALS = """
{fmp: }
    .fmp: names no symbol; write it after the colon, as in fmp: AAPL

{fmp: {}}
    .fmp.symbol: is missing; write `symbol: AAPL`

{fmp: {symbol: A, start: 2021-01-01}}
    .fmp.start: is not an option here; use symbol

{fpm: AAPL}
    .fpm: is no provider here (did you mean fmp?); add it under providers, or correct it

{bitfinex: AAPL}
    .bitfinex: serves no fundamentals; use yahoo, alpha_vantage, fmp, coingecko or ibkr

{coingecko: apple}
    .coingecko: serves no fundamentals of equity, only of crypto_spot; remove it

[fmp]
    : must be a mapping, not a list; write its keys indented below it
"""


def about(fundamentals: str, *, listings: str = "{}", options: str = "{}") -> str:
    return f"""\
start: 2020-01-01
providers: {{bitfinex: , coingecko: , fmp: {options}}}
instruments:
  AAPL:
    class: equity
    listings: {listings}
    fundamentals: {fundamentals}
"""


@pytest.mark.parametrize(("fundamentals", "told"), cases(FUNDAMENTALS))
def test_fundamentals_that_cannot_be_asked_for_are_told_with_the_fix(
    fundamentals: str, told: str, file: Path
) -> None:
    expected = f"universe.yaml:7: instruments.AAPL.fundamentals{told}"
    assert complaints(file, about(fundamentals)) == [expected]


def test_a_listing_at_a_provider_without_bars_is_told_with_the_fix(file: Path) -> None:
    (told,) = complaints(file, about("{}", listings="{fmp: AAPL}"))
    assert told == (
        "universe.yaml:6: instruments.AAPL.listings.fmp: serves no bars; "
        "name it under fundamentals instead, or remove it"
    )


def test_a_rule_of_selection_that_names_a_provider_without_bars_is_told(file: Path) -> None:
    text = about("{fmp: AAPL}") + "selection: [{providers: [fmp]}]\n"
    (told,) = complaints(file, text)
    assert told.endswith("is 'fmp', which serves no bars; remove it")


@pytest.mark.parametrize(
    "option", ["start: 2021-01-01", "bars_per_request: 5", "refresh: 1m", "settle: [1h]"]
)
def test_an_option_about_bars_of_a_provider_without_any_is_told(option: str, file: Path) -> None:
    name = option.partition(":")[0]
    assert complaints(file, about("{fmp: AAPL}", options=f"{{{option}}}")) == [
        f"universe.yaml:2: providers.fmp.{name}: is about bars, which it does not serve; remove it"
    ]


def test_the_address_of_a_gateway_is_one(file: Path) -> None:
    gateway = """\
start: 2020-01-01
providers:
  ibkr: {base_url: "tcp://gateway:4001/"}
instruments:
  AMD: {class: equity, fundamentals: {ibkr: AMD@NASDAQ}}
"""
    universe = load(file, gateway)
    assert options_of(universe, "ibkr").base_url == "tcp://gateway:4001"
    for address in ("tcp://gateway", "tcp://:4001", "tcp://gateway:4001/path", "tcp://gateway:x"):
        (told,) = complaints(file, gateway.replace("tcp://gateway:4001/", address))
        assert told.endswith("base_url: is not the address of a gateway; write tcp://host:port")
    (told,) = complaints(file, gateway.replace("tcp:", "http:"))
    assert told.endswith("base_url: is not how ibkr is reached; write tcp://host:port")
    (told,) = complaints(file, about("{fmp: A}", options='{base_url: "tcp://gateway:4001"}'))
    assert told.endswith("base_url: is not how fmp is reached; write http://host:port/path")
