"""The real alpaca-py against the local venue: bars, assets, first trades."""

from __future__ import annotations

import pyarrow.compute as pc
import pytest

from pipeline.bars import BAR_SCHEMA
from pipeline.providers.alpaca_client import AlpacaProvider
from pipeline.providers.errors import (
    UnknownSymbol,
)
from pipeline.providers.limiter import Unlimited
from pipeline.providers.options import ProviderOptions
from tests.wire.conftest import plain, truth
from tests.wire.stocks import (
    HOUR,
    KEY,
    TWO_WEEKS,
    AlpacaOpener,
    day,
    keys,
)
from venue import VenueProcess


@pytest.mark.parametrize("symbol", ["AAPL", "BRK.B", "SPY"])
def test_bars_are_the_truth_with_every_column(
    symbol: str, alpaca: AlpacaOpener, stock_venue: VenueProcess
) -> None:
    bars = alpaca().fetch_bars(symbol, "equity", TWO_WEEKS)
    assert bars.schema == BAR_SCHEMA
    assert plain(bars) == truth(stock_venue, "alpaca", symbol, TWO_WEEKS)
    assert bars["vwap"].null_count == bars["trades"].null_count == 0
    assert pc.all(pc.less_equal(bars["low"], bars["vwap"])).as_py()


def test_a_feed_is_asked_for_by_name(alpaca: AlpacaOpener, stock_venue: VenueProcess) -> None:
    bars = alpaca(feed="iex").fetch_bars("AAPL", "equity", HOUR)
    assert plain(bars) == truth(stock_venue, "alpaca", "AAPL@iex", HOUR)
    assert 0 < len(bars) < 50


def test_both_ends_of_a_window_mean_what_they_say(alpaca: AlpacaOpener) -> None:
    bars = alpaca().fetch_bars("AAPL", "equity", day("2024-05-31T14:00", 3))
    stamps = [stamp.strftime("%H:%M") for stamp in bars["ts"].to_pylist()]
    assert stamps == ["14:00", "14:01", "14:02"]


def test_a_closed_market_has_no_bars_and_that_is_an_answer(alpaca: AlpacaOpener) -> None:
    assert alpaca().fetch_bars("AAPL", "equity", day("2024-06-01T12:00", 600)).num_rows == 0


def test_the_spelling_of_others_is_understood_and_the_class_is_the_universes(
    alpaca: AlpacaOpener, stock_venue: VenueProcess
) -> None:
    provider = alpaca()
    assert provider.find_market("BRK-B", "equity").symbol == "BRK.B"
    assert provider.find_market("aapl", "etf").asset_class == "etf"
    assert plain(provider.fetch_bars("BRK/B", "equity", HOUR)) == truth(
        stock_venue, "alpaca", "BRK.B", HOUR
    )


def test_a_list_of_assets_costs_one_request_and_what_is_gone_one_more(
    alpaca: AlpacaOpener, stock_venue: VenueProcess
) -> None:
    provider = alpaca(listed=False)
    assert {market.symbol: market.asset_class for market in provider.markets()} == {
        "AAPL": "equity",
        "BRK.B": "equity",
        "SPY": "etf",
    }
    for symbol in ("AAPL", "BRK.B", "SPY") * 5:
        provider.find_market(symbol, "equity")
    assert stock_venue.requests()["total"] == 1
    gone = provider.find_market("GONE", "equity")
    assert gone.active is False
    window = day("2024-04-10T19:00", 120)
    assert plain(provider.fetch_bars("GONE", "equity", window)) == truth(
        stock_venue, "alpaca", "GONE", window
    )
    with pytest.raises(UnknownSymbol, match="close are AAPL"):
        provider.find_market("AAPPL", "equity")
    assert stock_venue.requests()["total"] == 3


def test_twelve_thousand_assets_cost_one_request() -> None:
    markets: dict[str, object] = {
        f"{a}{b}{c}X": {} for a in "ABCDEFGHIJKLMNOPQRSTUVW" for b in _LETTERS for c in _LETTERS
    }
    markets = dict(list(markets.items())[:12_000])
    with VenueProcess({"exchanges": {"alpaca": {"markets": markets}}}) as many:
        options = ProviderOptions(
            source="alpaca", base_url=f"{many.url}/alpaca", keys=keys(), asset_classes=("equity",)
        )
        provider = AlpacaProvider("alpaca", options, limiter=Unlimited())
        assert len(provider.markets()) == 12_000
        for symbol in list(markets)[::100]:
            assert provider.find_market(symbol, "equity").symbol == symbol
        assert many.requests()["total"] == 1
        provider.close()


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def test_the_first_trade_is_asked_from_the_beginning(
    alpaca: AlpacaOpener, stock_venue: VenueProcess
) -> None:
    found = alpaca().first_trade("AAPL", "equity")
    assert found is not None
    all_of_it = truth(stock_venue, "alpaca", "AAPL", day("2024-03-01T00:00", 7 * 1440))
    assert found.ts == all_of_it["ts"][0].as_py()
    assert stock_venue.requests()["total"] == 3


def test_raw_prices_are_asked_for_by_minute(
    alpaca: AlpacaOpener, stock_venue: VenueProcess
) -> None:
    # The venue refuses an adjustment that it does not know; what was asked is in alpaca-py's URL.
    provider = alpaca()
    sent: list[str] = []
    provider._data._session.hooks["response"].append(
        lambda response, *_args, **_kwargs: sent.append(response.url)
    )
    provider.fetch_bars("AAPL", "equity", HOUR)
    (url,) = sent
    assert "adjustment=raw" in url
    assert "timeframe=1Min" in url
    assert "feed=sip" in url
    assert KEY not in url
