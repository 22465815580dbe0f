"""What goes wrong on the wire arrives as the right error, and never as a table without bars."""

from __future__ import annotations

import pyarrow.compute as pc
import pytest

from pipeline.providers.errors import (
    MalformedAnswer,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestTimedOut,
)
from tests.wire.conftest import EXCHANGES, LISTED, Opener, plain, recent, spelled, truth
from venue import VenueProcess

_BROKEN: dict[str, type[ProviderError]] = {
    "server_error": ProviderUnavailable,
    "disconnect": ProviderUnavailable,
    "truncated": ProviderUnavailable,
    "truncated_json": MalformedAnswer,
    "not_json": MalformedAnswer,
    "empty_object": MalformedAnswer,
    "rate_limit": RateLimited,
    "ban": RateLimited,
}


@pytest.mark.parametrize("kind", _BROKEN)
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_broken_answer_is_an_error_that_may_be_asked_again(
    exchange: str, kind: str, opened: Opener, venue: VenueProcess
) -> None:
    provider = opened(exchange)
    venue.post_fault(kind, times=1, retry_after=1)
    with pytest.raises(_BROKEN[kind]) as caught:
        provider.fetch_bars(spelled(exchange), "crypto_spot", recent(100))
    assert type(caught.value) is _BROKEN[kind]
    assert caught.value.retryable
    assert caught.value.provider == exchange
    assert len(str(caught.value)) < 400
    # Whoever walks down the causes must come to an end.
    assert caught.value.__cause__ is not caught.value
    if kind not in {"rate_limit", "ban"}:
        again = provider.fetch_bars(spelled(exchange), "crypto_spot", recent(100))
        assert plain(again).equals(truth(venue, exchange, spelled(exchange), recent(100)))


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_no_answer_in_time_is_a_timeout(exchange: str, opened: Opener, venue: VenueProcess) -> None:
    provider = opened(exchange, timeout_seconds=1)
    venue.post_fault("timeout", times=1)
    with pytest.raises(RequestTimedOut):
        provider.fetch_bars(spelled(exchange), "crypto_spot", recent(100))


@pytest.mark.parametrize("kind", ["not_json", "truncated_json", "empty_object", "server_error"])
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_broken_market_list_is_an_error_and_is_asked_for_again(
    exchange: str, kind: str, opened: Opener, venue: VenueProcess
) -> None:
    provider = opened(exchange, listed=False)
    venue.post_fault(kind, times=1)
    with pytest.raises(ProviderError) as caught:
        provider.find_market(spelled(exchange), "crypto_spot")
    assert caught.value.retryable
    assert provider.find_market(spelled(exchange), "crypto_spot").base == "BTC"


@pytest.mark.parametrize("kind", ["server_error", "not_json", "truncated_json"])
def test_a_list_that_ccxt_gave_up_in_silence_is_an_error(
    kind: str, opened: Opener, venue: VenueProcess
) -> None:
    provider = opened("coinbase", listed=False)
    venue.post_fault(kind, every=2, times=1)
    with pytest.raises(ProviderError) as caught:
        provider.markets()
    assert caught.value.retryable
    assert len(provider.markets()) == 2


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_feed_with_a_shifted_clock_is_shown_as_it_is(
    exchange: str, opened: Opener, venue: VenueProcess
) -> None:
    window = recent(100)
    venue.post_fault("clock_shift", shift_minutes=-30)
    bars = opened(exchange).fetch_bars(spelled(exchange), "crypto_spot", window)
    assert pc.min(bars["ts"]).as_py() < window.start


@pytest.mark.parametrize("exchange", ["binance", "bitfinex", "coinbase"])
def test_rows_on_either_side_of_the_window_are_left_for_the_caller_to_judge(
    exchange: str, opened: Opener, venue: VenueProcess
) -> None:
    window = recent(100)
    venue.post_fault("outside_window")
    bars = opened(exchange).fetch_bars(spelled(exchange), "crypto_spot", window)
    assert pc.min(bars["ts"]).as_py() < window.start
    assert pc.max(bars["ts"]).as_py() >= window.end


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_repeated_rows_are_left_in(exchange: str, opened: Opener, venue: VenueProcess) -> None:
    venue.post_fault("duplicates")
    bars = opened(exchange).fetch_bars(spelled(exchange), "crypto_spot", recent(100))
    assert len(bars) > len(set(bars["ts"].to_pylist()))


@pytest.mark.parametrize(
    ("variant", "broken"), [("null", "null"), ("text", "null"), ("nan", "nan")]
)
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_value_that_is_no_number_spoils_itself_only(
    exchange: str, variant: str, broken: str, opened: Opener, venue: VenueProcess
) -> None:
    provider, window = opened(exchange), recent(100)
    right = plain(provider.fetch_bars(spelled(exchange), "crypto_spot", window))
    venue.post_fault("bad_values", variant=variant)
    bars = plain(provider.fetch_bars(spelled(exchange), "crypto_spot", window))
    spoiled = pc.is_null(bars["close"], nan_is_null=broken == "nan")
    assert pc.sum(spoiled).as_py() == -(-len(right) // 5)
    assert bars.drop_columns("close").equals(right.drop_columns("close"))
    assert bars.filter(pc.invert(spoiled)).equals(right.filter(pc.invert(spoiled)))


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_stamps_off_the_minute_are_kept(exchange: str, opened: Opener, venue: VenueProcess) -> None:
    venue.post_fault("bad_values", variant="off_minute")
    bars = opened(exchange).fetch_bars(spelled(exchange), "crypto_spot", recent(100))
    assert 17 in {ts.second for ts in bars["ts"].to_pylist()}


@pytest.mark.parametrize("exchange", ["binance", "bitfinex", "coinbase"])
def test_the_first_trade_is_found_in_spite_of_garbage_before_it(
    exchange: str, opened: Opener, venue: VenueProcess
) -> None:
    provider = opened(exchange)
    clean = provider.first_trade(spelled(exchange), "crypto_spot")
    venue.post_fault("prelisting_garbage")
    found = provider.first_trade(spelled(exchange), "crypto_spot")
    assert clean is not None
    assert found == clean
    assert found.ts >= LISTED


@pytest.mark.parametrize("exchange", ["binance", "bitfinex", "coinbase"])
def test_a_first_trade_that_cannot_be_confirmed_is_none(
    exchange: str, opened: Opener, venue: VenueProcess
) -> None:
    venue.post_fault("clock_shift", shift_minutes=90)
    assert opened(exchange).first_trade(spelled(exchange), "crypto_spot") is None
