"""Markets, first minutes, counts and limits, as the venue sees them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from pipeline.intervals import Interval
from pipeline.providers import ProviderOptions, open_provider
from pipeline.providers.errors import UnknownSymbol, Unsupported
from pipeline.providers.limiter import Unlimited
from tests.wire.conftest import EXCHANGES, LISTED, Opener, recent, spelled, truth
from venue import VenueProcess


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_only_markets_of_the_wanted_asset_classes_are_listed(exchange: str, opened: Opener) -> None:
    markets = opened(exchange).markets()
    assert {market.base for market in markets} == {"BTC", "THIN"}
    assert {market.asset_class for market in markets} == {"crypto_spot"}


def test_lists_that_nobody_wants_are_not_asked_for(opened: Opener, venue: VenueProcess) -> None:
    provider = opened("binance", listed=False)
    provider.markets()
    endpoints = [request["endpoint"] for request in venue.requests()["requests"]]
    assert endpoints == ["/api/v3/exchangeInfo"]


def test_all_asset_classes_can_be_listed(opened: Opener) -> None:
    provider = opened("bitfinex", asset_classes=("crypto_spot", "crypto_swap"))
    classes = [market.asset_class for market in provider.markets()]
    assert classes == ["crypto_spot", "crypto_spot", "crypto_swap"]
    assert provider.find_market("tBTCF0:USTF0", "crypto_swap").quote == "USDT"


@pytest.mark.parametrize(
    ("exchange", "own"),
    [
        ("binance", "BTCUSDT"),
        ("bitfinex", "tBTCUSD"),
        ("coinbase", "BTC-USD"),
        ("kraken", "XXBTZUSD"),
    ],
)
def test_a_market_is_found_under_all_its_spellings(exchange: str, own: str, opened: Opener) -> None:
    provider, listed = opened(exchange), spelled(exchange)
    spellings = [own, listed, listed.replace("-", "/"), listed.replace("-", ""), listed.lower()]
    assert {provider.find_market(text, "crypto_spot").symbol for text in spellings} == {own}


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_an_unknown_symbol_names_the_close_ones(exchange: str, opened: Opener) -> None:
    known = spelled(exchange, "THIN").replace("-", "/")
    with pytest.raises(UnknownSymbol, match=known):
        opened(exchange).find_market(known.replace("I", "L"), "crypto_spot")


def test_a_spot_market_is_not_found_as_a_swap(opened: Opener) -> None:
    provider = opened("bitfinex", asset_classes=("crypto_spot", "crypto_swap"))
    with pytest.raises(UnknownSymbol):
        provider.find_market("tBTCUSD", "crypto_swap")


def test_an_asset_class_that_was_not_opened_is_unsupported(opened: Opener) -> None:
    with pytest.raises(Unsupported, match="crypto_swap"):
        opened("bitfinex").find_market("tBTCF0:USTF0", "crypto_swap")


@pytest.mark.parametrize("exchange", ["binance", "bitfinex", "coinbase"])
@pytest.mark.parametrize("base", ["BTC", "THIN"])
def test_the_first_trade_is_the_venues_first_bar(
    exchange: str, base: str, opened: Opener, venue: VenueProcess
) -> None:
    found = opened(exchange).first_trade(spelled(exchange, base), "crypto_spot")
    week = Interval(LISTED, datetime(2024, 3, 8, tzinfo=UTC))
    first = truth(venue, exchange, spelled(exchange, base), week)["ts"][0].as_py()
    assert found is not None
    assert found.ts == first
    assert found.evidence


def test_krakens_first_trade_cannot_be_found_out(opened: Opener, venue: VenueProcess) -> None:
    assert opened("kraken").first_trade("BTC-USD", "crypto_spot") is None
    assert venue.requests()["total"] == 0


def test_requests_are_counted_exactly_under_threads(opened: Opener, venue: VenueProcess) -> None:
    provider = opened("coinbase")
    before = provider.requests_sent

    def fetch(window: Interval) -> int:
        return len(provider.fetch_bars("BTC-USD", "crypto_spot", window))

    with ThreadPoolExecutor(16) as pool:
        rows = list(pool.map(fetch, recent(3000).split(30)))
    assert provider.requests_sent - before == venue.requests()["total"] == 100
    assert sum(rows) == len(truth(venue, "coinbase", "BTC-USD", recent(3000)))


def test_what_cannot_be_served_is_said_when_it_is_opened() -> None:
    with pytest.raises(Unsupported, match="no exchange 'nowhere'"):
        open_provider("x", ProviderOptions(source="nowhere"), Unlimited())
    with pytest.raises(Unsupported, match="1-minute"):
        open_provider("x", ProviderOptions(source="coinmate"), Unlimited())
    options = ProviderOptions(source="kraken", asset_classes=["equity"])
    with pytest.raises(Unsupported, match="equity"):
        open_provider("kraken", options, Unlimited())
