"""Limits are kept strictly, and refused in each exchange's own words."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from venue.config import ExchangeConfig, MarketConfig, VenueConfig
from venue.limits import Budget, SlidingWindow
from venue.service import Venue

pytestmark = pytest.mark.usefixtures("standing")

KLINES = {"symbol": "BTCUSDT", "interval": "1m", "limit": "1"}
ASKED = {
    "binance": ("/api/v3/klines", KLINES),
    "bitfinex": ("/v2/candles/trade:1m:tBTCUST/hist", {"limit": "1"}),
    "kraken": ("/0/public/OHLC", {"pair": "XBTUSDT"}),
    "coinbase": (
        "/api/v3/brokerage/market/products/BTC-USDT/candles",
        {"start": "1600000000", "end": "1600000060", "granularity": "ONE_MINUTE"},
    ),
}


def venue_of(name: str, **options: float) -> Venue:
    config = ExchangeConfig(markets={"BTC-USDT": MarketConfig()}, **options)  # type: ignore[arg-type]
    return Venue(VenueConfig({name: config}))


def asked(venue: Venue, name: str, times: int) -> list[Any]:
    path, query = ASKED[name]
    return [venue.reply(name, path, query).answer for _ in range(times)]


def test_a_sliding_window_never_admits_more_than_its_capacity() -> None:
    now = 0.0
    window = SlidingWindow(Budget(3, 10.0), lambda: now)
    admitted: list[float] = []
    for step in range(200):
        now = step * 0.5
        if window.admit(1) is None:
            admitted.append(now)
    for moment in admitted:
        assert sum(moment <= other < moment + 10 for other in admitted) <= 3
    assert len(admitted) == 30


def test_the_wait_it_names_is_exactly_long_enough() -> None:
    now = 0.0
    window = SlidingWindow(Budget(10, 60.0), lambda: now)
    assert window.admit(6) is None
    now = 20.0
    assert window.admit(4) is None
    assert window.admit(2) == 40.0
    now = 59.9
    assert window.admit(2) is not None
    now = 60.0
    assert window.admit(2) is None


@pytest.mark.parametrize(
    ("name", "allowed", "status", "body"),
    [
        ("bitfinex", 30, 429, ["error", 11010, "ratelimit: error"]),
        ("kraken", 15, 200, {"error": ["EGeneral:Too many requests"]}),
        (
            "coinbase",
            10,
            429,
            {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]},
        ),
    ],
)
def test_each_exchange_keeps_its_own_limit(
    name: str, allowed: int, status: int, body: object
) -> None:
    answers = asked(venue_of(name), name, allowed + 1)
    assert all(answer.status == 200 and b'rror":["' not in answer.body for answer in answers[:-1])
    assert answers[-1].status == status
    assert orjson.loads(answers[-1].body) == body


def test_binance_counts_weight_then_limits_then_bans() -> None:
    venue = venue_of("binance")
    venue.clock.set(now_ms=1_700_000_000_000, speed=0)
    used = [answer.headers["X-MBX-USED-WEIGHT-1M"] for answer in asked(venue, "binance", 10)]
    assert used == [str(2 * count) for count in range(1, 11)]
    for _ in range(299):
        assert venue.reply("binance", "/api/v3/exchangeInfo", {}).answer.status == 200
    refused = asked(venue, "binance", 12)
    assert [answer.status for answer in refused] == [429] * 10 + [418] * 2
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert int(refused[-1].headers["Retry-After"]) == 120
    assert {orjson.loads(answer.body)["code"] for answer in refused} == {-1003}


@pytest.mark.parametrize("name", ASKED)
def test_a_configured_rate_replaces_the_exchange_s_own(name: str) -> None:
    answers = asked(venue_of(name, requests_per_second=25), name, 26)
    bodies = [answer.body for answer in answers]
    assert all(answer.status == 200 for answer in answers[:25])
    assert bodies[24] != bodies[25]


@pytest.mark.parametrize("name", ASKED)
def test_zero_means_no_limit(name: str) -> None:
    answers = asked(venue_of(name, requests_per_second=0), name, 300)
    assert {(answer.status, answer.body[:10]) for answer in answers} == {
        (200, answers[0].body[:10])
    }


def test_bitfinex_counts_only_candles() -> None:
    venue = venue_of("bitfinex")
    replies = [venue.reply("bitfinex", "/v2/platform/status", {}) for _ in range(100)]
    assert {reply.answer.status for reply in replies} == {200}


def test_binance_counts_by_the_minute_of_its_clock() -> None:
    venue = venue_of("binance")
    venue.clock.set(now_ms=1_700_000_040_000 - 1, speed=0)
    assert [a.headers["X-MBX-USED-WEIGHT-1M"] for a in asked(venue, "binance", 2)] == ["2", "4"]
    venue.clock.set(now_ms=1_700_000_040_000)
    assert [a.headers["X-MBX-USED-WEIGHT-1M"] for a in asked(venue, "binance", 2)] == ["2", "4"]


def test_refusals_are_dated_too() -> None:
    venue = venue_of("coinbase", requests_per_second=1)
    venue.clock.set(now_ms=1_700_000_000_000, speed=0)
    dates = [(a.status, a.headers["Date"]) for a in asked(venue, "coinbase", 2)]
    said = "Tue, 14 Nov 2023 22:13:20 GMT"
    assert dates == [(200, said), (429, said)]
