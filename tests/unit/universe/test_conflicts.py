"""What is wrong between the parts of a universe file, and all of it told at once."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.universe import Universe
from tests.unit.universe.texts import SMALL, complaints, utc, with_listing


def test_a_listing_at_an_unknown_provider_is_told_with_the_nearest(file: Path) -> None:
    text = with_listing("x").replace("      bitfinex", "      bitfinx")
    (told,) = complaints(file, text)
    assert told == (
        "universe.yaml:7: instruments.BTC-USD.listings.bitfinx: is no provider here "
        "(did you mean bitfinex?); add it under providers, or correct it"
    )


def test_one_key_or_one_symbol_for_two_listings_of_a_provider_is_an_error(file: Path) -> None:
    text = (
        SMALL
        + """\
      OTHER:
        class: crypto_spot
        listings:
          bitfinex: {symbol: tBTCUSD, key: ETH-USD}
          coinbase: ETH/USD
    """
    )
    key, symbol = complaints(file, text)
    assert key == (
        "universe.yaml:18: instruments.OTHER.listings.bitfinex: has the key 'ETH-USD', which "
        "instruments.ETH-USD.listings.bitfinex has already; "
        "give it another key, or remove one of them"
    )
    assert symbol == (
        "universe.yaml:18: instruments.OTHER.listings.bitfinex: has the symbol 'tBTCUSD', which "
        "instruments.BTC-USD.listings.bitfinex has already; "
        "give it another symbol, or remove one of them"
    )


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file(file: Path) -> None:
    text = """\
        start: 2999-01-01
        providers:
          Bitfinex: {}
          kraken: {strat: 2020-01-01}
          kraken: {}
        instruments:
          BTC:
            class: coin
            listings:
              binance: NO
              kraken: {symbol: NO, start: 2021-01-01, end: 2020-01-01}
          ETH:
            listings:
              kraken: NO
    """
    places = [problem.split(": ")[:2] for problem in complaints(file, text)]
    assert places == [
        ["universe.yaml:1", "start"],
        ["universe.yaml:3", "providers.Bitfinex"],
        ["universe.yaml:4", "providers.kraken.strat"],
        ["universe.yaml:5", "providers.kraken"],
        ["universe.yaml:8", "instruments.BTC.class"],
        ["universe.yaml:10", "instruments.BTC.listings.binance"],
        ["universe.yaml:11", "instruments.BTC.listings.kraken.end"],
        ["universe.yaml:12", "instruments.ETH.class"],
        ["universe.yaml:14", "instruments.ETH.listings.kraken"],
    ]


def test_a_universe_made_in_python_is_held_to_the_same_rules() -> None:
    listing = {"class": "etf", "listings": {"kraken": "x"}}
    with pytest.raises(ValidationError, match="is no provider here") as caught:
        Universe.model_validate(
            {"start": utc(2020), "providers": {}, "instruments": {"X": listing}}
        )
    assert caught.value.errors()[0]["loc"] == ("instruments", "X", "listings", "kraken")
