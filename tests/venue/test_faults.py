"""Every fault, as a real client meets it; without faults, every answer is the truth again."""

from __future__ import annotations

import http.client
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import ccxt
import orjson
import pytest

from tests.venue.conftest import LISTED
from venue.faults import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from venue import VenueProcess

MINUTE = 60_000
NAMES = ["binance", "bitfinex", "coinbase", "kraken"]
FULL_HISTORY = ["binance", "bitfinex", "coinbase"]
START, COUNT = LISTED + 1000 * MINUTE, 200
STOP = START + COUNT * MINUTE
Rows = list[list[Any]]
PATHS = {
    "binance": "/binance/api/v3/klines?symbol=BTCUSDT&interval=1m"
    f"&startTime={START}&endTime={STOP - 1}&limit=1000",
    "bitfinex": "/bitfinex/v2/candles/trade:1m:tBTCUSD/hist"
    f"?start={START}&end={STOP - 1}&sort=1&limit=1000",
    "coinbase": "/coinbase/api/v3/brokerage/market/products/BTC-USD/candles"
    f"?start={START // 1000}&end={STOP // 1000 - 1}&granularity=ONE_MINUTE",
}


def fetch(client: Callable[[str], Any], name: str) -> Rows:
    symbol = "BTC/USDT" if name == "binance" else "BTC/USD"
    if name == "kraken":
        rows: Rows = client(name).fetch_ohlcv(symbol, "1m")
    else:
        rows = client(name).fetch_ohlcv(symbol, "1m", START, COUNT, {"until": STOP - 1})
    return rows


def raw(venue: VenueProcess, name: str) -> Rows:
    """Return the rows as they come over the wire, ascending, as ts, open, high, low, close."""
    connection = http.client.HTTPConnection(urlsplit(venue.url).netloc, timeout=5)
    connection.request("GET", PATHS[name])
    document = orjson.loads(connection.getresponse().read())
    connection.close()
    if name == "coinbase":
        names = ("start", "open", "high", "low", "close")
        return [[row[key] for key in names] for row in reversed(document["candles"])]
    if name == "bitfinex":
        return [[row[0], row[1], row[3], row[4], row[2]] for row in document]
    return [row[:5] for row in document]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("rate_limit", (ccxt.RateLimitExceeded, ccxt.DDoSProtection)),
        ("server_error", (ccxt.ExchangeNotAvailable,)),
        ("disconnect", (ccxt.NetworkError,)),
        ("truncated", (ccxt.NetworkError,)),
    ],
)
def test_retryable_trouble_is_a_network_error_and_passes(
    name: str,
    kind: str,
    error: tuple[type[Exception], ...],
    client: Callable[[str], Any],
    venue: VenueProcess,
) -> None:
    before = fetch(client, name)
    venue.post_fault(kind, exchange=name, times=1)
    with pytest.raises(error):
        fetch(client, name)
    assert fetch(client, name) == before


def test_a_silent_server_times_out(client: Callable[[str], Any], venue: VenueProcess) -> None:
    exchange = client("binance")
    before, exchange.timeout = exchange.timeout, 200
    venue.post_fault("timeout", times=1)
    with pytest.raises(ccxt.RequestTimeout):
        fetch(client, "binance")
    exchange.timeout = before
    assert fetch(client, "binance")


@pytest.mark.parametrize("kind", ["truncated_json", "not_json", "empty_object"])
@pytest.mark.parametrize("name", NAMES)
def test_ccxt_takes_a_spoiled_document_for_an_empty_answer(
    name: str, kind: str, client: Callable[[str], Any], venue: VenueProcess
) -> None:
    """The trap for which these faults exist: a client must look at the answer itself."""
    venue.post_fault(kind, exchange=name)
    exchange = client(name)
    if (name, kind) == ("bitfinex", "empty_object"):
        with pytest.raises(ccxt.ExchangeError):
            fetch(client, name)
        return
    assert fetch(client, name) == []
    text = exchange.last_http_response
    if kind == "empty_object":
        assert text == "{}"
    else:
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(text)


def test_binance_bans_with_418_and_says_for_how_long(venue: VenueProcess) -> None:
    venue.post_fault("ban", exchange="binance", retry_after=42, times=1)
    connection = http.client.HTTPConnection(urlsplit(venue.url).netloc, timeout=5)
    connection.request("GET", PATHS["binance"])
    response = connection.getresponse()
    assert response.status == 418
    assert response.headers["Retry-After"] == "42"
    assert orjson.loads(response.read())["code"] == -1003
    connection.close()


@pytest.mark.parametrize("name", FULL_HISTORY)
class TestRows:
    def test_outside_window(self, name: str, venue: VenueProcess) -> None:
        true = raw(venue, name)
        venue.post_fault("outside_window")
        rows = raw(venue, name)
        assert int(rows[0][0]) < int(true[0][0])
        assert int(rows[-1][0]) > int(true[-1][0])
        assert [row for row in rows if row in true] == true

    @pytest.mark.parametrize("variant", ["identical", "conflicting"])
    def test_duplicates(self, name: str, variant: str, venue: VenueProcess) -> None:
        true = raw(venue, name)
        venue.post_fault("duplicates", variant=variant)
        rows = raw(venue, name)
        pairs = [(a, b) for a, b in pairwise(rows) if a[0] == b[0]]
        assert len(pairs) == len(rows) - len(true) == -(-len(true) // 3)
        assert all((a == b) == (variant == "identical") for a, b in pairs)

    def test_clock_shift(self, name: str, venue: VenueProcess) -> None:
        true = raw(venue, name)
        venue.post_fault("clock_shift", shift_minutes=60)
        unit = 1000 if name == "coinbase" else 1
        shifts = {
            (int(row[0]) - int(other[0])) * unit
            for row, other in zip(raw(venue, name), true, strict=True)
        }
        assert shifts == {60 * MINUTE}

    def test_restate(self, name: str, venue: VenueProcess) -> None:
        true = raw(venue, name)
        middle = START + 100 * MINUTE
        venue.post_fault("restate", from_ms=middle)
        unit = 1000 if name == "coinbase" else 1
        for row, other in zip(raw(venue, name), true, strict=True):
            if int(row[0]) * unit < middle:
                assert row == other
            else:
                assert float(row[4]) == pytest.approx(float(other[4]) * 1.001)
                assert float(row[2]) >= float(row[4])

    def test_short_page(self, name: str, venue: VenueProcess) -> None:
        true = raw(venue, name)
        venue.post_fault("short_page")
        assert raw(venue, name) == true[: len(true) // 2]

    def test_unsorted(self, name: str, venue: VenueProcess) -> None:
        true = raw(venue, name)
        venue.post_fault("unsorted")
        rows = raw(venue, name)
        assert rows != true
        assert sorted(rows) == true

    @pytest.mark.parametrize("variant", ["nan", "null", "text"])
    def test_values_that_are_no_numbers(self, name: str, variant: str, venue: VenueProcess) -> None:
        venue.post_fault("bad_values", variant=variant)
        closes = [row[4] for row in raw(venue, name)]
        assert closes.count({"nan": "NaN", "null": None, "text": "abc"}[variant]) >= 1

    def test_values_that_contradict_themselves(self, name: str, venue: VenueProcess) -> None:
        venue.post_fault("bad_values", variant="high_below_low")
        assert any(float(row[2]) < float(row[3]) for row in raw(venue, name))
        venue.clear_faults()
        venue.post_fault("bad_values", variant="negative")
        assert any(float(row[4]) < 0 for row in raw(venue, name))
        venue.clear_faults()
        venue.post_fault("bad_values", variant="off_minute")
        assert any(int(row[0]) % 60 for row in raw(venue, name))


def test_garbage_before_the_listing_lies_outside_the_window(
    client: Callable[[str], Any], venue: VenueProcess
) -> None:
    venue.post_fault("prelisting_garbage")
    request = {"symbol": "tBTCUSD", "timeframe": "1m", "start": LISTED - 100 * MINUTE, "sort": 1}
    rows = client("bitfinex").publicGetCandlesTradeTimeframeSymbolHist(request)
    assert [row[0] for row in rows[:2]] == [0, 1]
    assert rows[4][0] == LISTED
    request["start"] = LISTED
    rows = client("bitfinex").publicGetCandlesTradeTimeframeSymbolHist(request)
    assert rows[0][0] == LISTED


def test_a_fault_is_aimed_at_exchange_symbol_and_window(
    client: Callable[[str], Any], venue: VenueProcess
) -> None:
    venue.post_fault("server_error", exchange="binance", symbol="THIN-USDT")
    venue.post_fault("server_error", exchange="bitfinex", to_ms=START)
    venue.post_fault("server_error", exchange="coinbase", from_ms=STOP)
    for name in FULL_HISTORY:
        assert fetch(client, name)
    assert all(fault["hits"] == 0 for fault in venue.faults())
    venue.post_fault("server_error", exchange="coinbase", from_ms=STOP - MINUTE)
    with pytest.raises(ccxt.ExchangeNotAvailable):
        fetch(client, "coinbase")


def test_a_fault_hits_every_nth_request_as_often_as_told(
    client: Callable[[str], Any], venue: VenueProcess
) -> None:
    venue.post_fault("server_error", every=3, times=2)
    outcomes = []
    for _ in range(10):
        try:
            fetch(client, "binance")
            outcomes.append("ok")
        except ccxt.ExchangeNotAvailable:
            outcomes.append("502")
    assert [index for index, outcome in enumerate(outcomes) if outcome == "502"] == [2, 5]


def test_the_list_of_kinds_is_complete() -> None:
    asked = {
        *("rate_limit", "ban", "server_error", "timeout", "disconnect", "truncated"),
        *("truncated_json", "not_json", "empty_object", "prelisting_garbage", "outside_window"),
        *("duplicates", "clock_shift", "bad_values", "restate", "short_page", "unsorted"),
        *("not_paid", "page_token", "empty_body", "error_body"),
        *("another_subject", "bad_numbers", "other_unit"),
        *("gateway_error", "silence", "frozen", "garbled", "hang_up", "too_old"),
    }
    assert asked == KINDS
