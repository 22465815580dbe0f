"""What a good universe file means."""

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.settling import Settling
from pipeline.universe import ListingSpec
from tests.unit.universe.texts import SMALL, load, utc, with_provider


def test_listings_come_sorted_with_every_default_filled_in(file: Path) -> None:
    universe = load(file, SMALL)
    bitfinex = (
        ListingSpec(
            provider="bitfinex",
            key="BTC-USD",
            instrument="BTC-USD",
            asset_class="crypto_spot",
            symbol="tBTCUSD",
            rank=2,
            start=utc(2020, 1, 1),
        ),
        ListingSpec(
            provider="bitfinex",
            key="ETH-USD",
            instrument="ETH-USD",
            asset_class="crypto_spot",
            symbol="ETH/USD",
            start=utc(2022, 3, 4, 3, 6),
            end=utc(2023, 1, 1),
        ),
    )
    coinbase = ListingSpec(
        provider="coinbase",
        key="BTC-USD",
        instrument="BTC-USD",
        asset_class="crypto_spot",
        symbol="BTC-USD",
        start=utc(2021, 6, 15),
        session="24x7",
    )
    assert universe.listings() == (*bitfinex, coinbase)
    assert universe.listings("bitfinex") == bitfinex
    assert universe.listings("nobody") == ()


def test_the_first_month_is_that_of_the_earliest_start_of_a_provider(file: Path) -> None:
    universe = load(file, SMALL)
    assert universe.first_month("bitfinex") == date(2020, 1, 1)
    assert universe.first_month("coinbase") == date(2021, 6, 1)
    with pytest.raises(KeyError):
        universe.first_month("kraken")


def test_a_provider_needs_no_listings(file: Path) -> None:
    universe = load(file, with_provider("{start: 2021-05-06}"))
    assert universe.listings() == ()
    assert universe.first_month("bitfinex") == date(2021, 5, 1)


def test_the_exchange_is_named_like_the_provider_unless_it_says_otherwise(file: Path) -> None:
    text = (
        "start: 2020-01-01\nproviders: {kraken: , futures: {exchange: krakenfutures}}\ninstruments:"
    )
    universe = load(file, text)
    assert universe.source("kraken") == "kraken"
    assert universe.source("futures") == "krakenfutures"


def test_a_provider_takes_an_address_limits_and_a_page_size(file: Path) -> None:
    limits = "limits: {requests: 12, seconds: 0.5}, bars_per_request: 9, settle: [90m, 2w]"
    options = f"{{base_url: 'http://127.0.0.1:8765/binance/', {limits}}}"
    provider = load(file, with_provider(options)).providers["bitfinex"]
    assert provider.base_url == "http://127.0.0.1:8765/binance"
    assert provider.limits is not None
    assert (provider.limits.requests, provider.limits.seconds) == (12, 0.5)
    assert provider.bars_per_request == 9
    assert provider.settling == Settling((timedelta(minutes=90), timedelta(weeks=2)))


def test_two_listings_at_one_provider_take_keys_of_their_own(file: Path) -> None:
    text = """\
        start: 2020-01-01
        providers: {bitfinex: {}}
        instruments:
          BTC-USD: {class: crypto_spot, listings: {bitfinex: BTC/USD}}
          BTC-OLD: {class: crypto_spot, listings: {bitfinex: {symbol: tBTCOLD, key: ^BTC=X.1}}}
    """
    assert [spec.key for spec in load(file, text).listings()] == ["BTC-USD", "^BTC=X.1"]


def test_the_fingerprint_follows_providers_and_first_months_and_nothing_else(file: Path) -> None:
    before = load(file, SMALL).fingerprint()
    later = SMALL + "      X: {class: etf, listings: {bitfinex: {symbol: x, start: 2023-01-01}}}\n"
    assert load(file, later).fingerprint() == before
    assert load(file, SMALL.replace("2020-01-01", "2020-01-31")).fingerprint() == before
    assert load(file, later.replace("start: 2023-01", "start: 2019-12")).fingerprint() != before
    assert load(file, SMALL.replace("bitfinex", "bitstamp")).fingerprint() != before
    assert re.fullmatch("[0-9a-f]{16}", before)


def test_a_universe_does_not_change(file: Path) -> None:
    universe = load(file, SMALL)
    with pytest.raises(ValidationError):
        universe.start = utc(2021)  # type: ignore[misc]  # the type says so too
