"""Every bar that a venue serves arrives exactly, and nothing that it did not serve."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.bars import BAR_SCHEMA
from pipeline.intervals import MINUTE, Interval
from pipeline.providers.errors import MalformedAnswer
from tests.wire.conftest import EXCHANGES, LISTED, NOW, Opener, plain, recent, spelled, truth
from venue import VenueProcess


@pytest.mark.parametrize("base", ["BTC", "THIN"])
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_every_bar_of_a_page_is_the_venues_truth(
    exchange: str, base: str, opened: Opener, venue: VenueProcess
) -> None:
    provider = opened(exchange)
    window = recent(min(provider.capabilities.bars_per_request, 600))
    bars = provider.fetch_bars(spelled(exchange, base), "crypto_spot", window)
    assert bars.schema == BAR_SCHEMA
    assert plain(bars).equals(truth(venue, exchange, spelled(exchange, base), window))
    assert venue.requests()["total"] == 1


@pytest.mark.parametrize("exchange", ["binance", "bitfinex", "coinbase"])
def test_full_pages_laid_side_by_side_share_no_minute_and_miss_none(
    exchange: str, opened: Opener, venue: VenueProcess
) -> None:
    provider = opened(exchange)
    page = provider.capabilities.bars_per_request
    span = recent(2 * page + 7)
    pages = [
        provider.fetch_bars(spelled(exchange), "crypto_spot", window) for window in span.split(page)
    ]
    assert plain(pa.concat_tables(pages)).equals(truth(venue, exchange, spelled(exchange), span))
    assert venue.requests()["total"] == len(pages) == 3


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_window_of_one_minute_holds_that_minute_and_no_other(
    exchange: str, opened: Opener, venue: VenueProcess
) -> None:
    provider = opened(exchange)
    for window in recent(12).split(1):
        bars = provider.fetch_bars(spelled(exchange), "crypto_spot", window)
        assert plain(bars).equals(truth(venue, exchange, spelled(exchange), window))


@pytest.mark.parametrize("exchange", ["binance", "bitfinex", "coinbase"])
def test_the_time_before_the_listing_is_answered_with_no_bar(exchange: str, opened: Opener) -> None:
    window = Interval(LISTED - timedelta(minutes=200), LISTED)
    assert len(opened(exchange).fetch_bars(spelled(exchange), "crypto_spot", window)) == 0


@pytest.mark.parametrize("exchange", ["binance", "kraken"])
def test_average_prices_lie_within_the_bar_and_are_missing_where_nothing_was_traded(
    exchange: str, opened: Opener
) -> None:
    bars = opened(exchange).fetch_bars(spelled(exchange), "crypto_spot", recent(600))
    traded = bars.filter(pc.greater(bars["volume"], 0))
    quiet = bars.filter(pc.equal(bars["volume"], 0))
    assert len(traded) > 0
    assert len(quiet) > 0
    assert quiet["vwap"].null_count == len(quiet)
    assert pc.all(pc.equal(quiet["trades"], 0)).as_py()
    # Turnover is published to eight decimals, so the quotient may leave the bar by as little.
    slack = 1e-6
    assert pc.all(pc.greater_equal(traded["vwap"], pc.multiply(traded["low"], 1 - slack))).as_py()
    assert pc.all(pc.less_equal(traded["vwap"], pc.multiply(traded["high"], 1 + slack))).as_py()
    assert pc.all(pc.greater(traded["trades"], 0)).as_py()


@pytest.mark.parametrize("exchange", ["bitfinex", "coinbase"])
def test_what_a_provider_does_not_send_is_null(exchange: str, opened: Opener) -> None:
    bars = opened(exchange).fetch_bars(spelled(exchange), "crypto_spot", recent(100))
    assert bars["vwap"].null_count == bars["trades"].null_count == len(bars) > 0


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_window_longer_than_a_page_is_refused_before_anything_is_sent(
    exchange: str, opened: Opener, venue: VenueProcess
) -> None:
    provider = opened(exchange)
    window = recent(provider.capabilities.bars_per_request + 1)
    with pytest.raises(ValueError, match="between 1 and"):
        provider.fetch_bars(spelled(exchange), "crypto_spot", window)
    assert venue.requests()["total"] == 0


def test_the_universe_can_make_pages_smaller(opened: Opener, venue: VenueProcess) -> None:
    provider = opened("bitfinex", bars_per_request=120)
    assert provider.capabilities.bars_per_request == 120
    bars = provider.fetch_bars("BTC-USD", "crypto_spot", recent(120))
    assert plain(bars).equals(truth(venue, "bitfinex", "BTC-USD", recent(120)))


def test_kraken_serves_its_whole_planned_history(opened: Opener, venue: VenueProcess) -> None:
    provider = opened("kraken")
    reach = provider.capabilities.history_minutes
    assert reach is not None
    window = recent(reach, before=0)
    bars = provider.fetch_bars("BTC-USD", "crypto_spot", window)
    assert plain(bars).equals(truth(venue, "kraken", "BTC-USD", window))


def test_stamps_in_the_future_are_noticed_where_the_api_knows_no_end(
    opened: Opener, venue: VenueProcess
) -> None:
    venue.post_fault("clock_shift", exchange="kraken", shift_minutes=60)
    with pytest.raises(MalformedAnswer, match="from the future"):
        opened("kraken").fetch_bars("BTC-USD", "crypto_spot", recent(60, before=120))


def test_minutes_that_krakens_history_has_left_behind_are_not_called_empty(opened: Opener) -> None:
    provider = opened("kraken")
    end = NOW.replace(second=0)
    window = Interval(end - timedelta(minutes=800), end - timedelta(minutes=200))
    with pytest.raises(MalformedAnswer, match="history begins"):
        provider.fetch_bars("BTC-USD", "crypto_spot", window)


def test_a_minute_in_progress_is_cut_off_where_the_api_knows_no_end(opened: Opener) -> None:
    window = recent(30, before=0)
    bars = opened("kraken").fetch_bars("BTC-USD", "crypto_spot", window)
    assert pc.max(bars["ts"]).as_py() == window.end - MINUTE


def test_perpetuals_are_served_under_their_own_asset_class(
    opened: Opener, venue: VenueProcess
) -> None:
    provider = opened("binance", asset_classes=("crypto_swap",))
    bars = provider.fetch_bars("BTC/USDT:USDT", "crypto_swap", recent(500))
    assert plain(bars).equals(truth(venue, "binance", "BTC-USDT-PERP", recent(500)))


def test_an_exchange_without_a_row_in_the_table_is_served_with_ccxts_own_facts(
    opened: Opener, venue: VenueProcess
) -> None:
    provider = opened("binanceus", base_url=f"{venue.url}/binance")
    assert provider.capabilities.bars_per_request == 1000
    bars = provider.fetch_bars("BTC-USDT", "crypto_spot", recent(1000))
    assert plain(bars).equals(truth(venue, "binance", "BTC-USDT", recent(1000)))
