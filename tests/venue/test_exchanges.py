"""Real ccxt sees the markets, pages, habits and errors of each exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ccxt
import numpy as np
import pytest

from tests.venue.conftest import CONFIG, HALT, LISTED, NOW, OUTAGE, Ccxt

if TYPE_CHECKING:
    from collections.abc import Callable

    from venue import VenueProcess

MINUTE, DAY = 60_000, 86_400_000
FORMING = NOW // MINUTE * MINUTE
NAMES = list(CONFIG["exchanges"])
BTC = {
    name: ("BTC-USDT", "BTC/USDT") if name == "binance" else ("BTC-USD", "BTC/USD")
    for name in NAMES
}
FULL_HISTORY = [name for name in NAMES if name != "kraken"]
PAGE = {"binance": 1000, "bitfinex": 10_000, "coinbase": 300}


def rows_of(truth: dict[str, list[Any]]) -> list[list[float]]:
    columns = [truth[name] for name in ("ts", "open", "high", "low", "close", "volume")]
    return [list(row) for row in zip(*columns, strict=True)]


def download(exchange: Ccxt, symbol: str, start: int, stop: int, page: int) -> list[list[float]]:
    """Walk over [start, stop) in windows of a page, as a careful client does."""
    rows: list[list[float]] = []
    for since in range(start, stop, page * MINUTE):
        until = min(since + page * MINUTE, stop) - 1
        rows += exchange.fetch_ohlcv(symbol, "1m", since, page, {"until": until})
    return rows


@pytest.mark.parametrize("name", NAMES)
def test_markets_are_listed_by_type(name: str, client: Callable[[str], Any]) -> None:
    markets = client(name).markets
    types = {symbol: market["type"] for symbol, market in markets.items()}
    configured = CONFIG["exchanges"][name]["markets"]
    spot = {symbol.replace("/", "-") for symbol, kind in types.items() if kind == "spot"}
    assert spot == {symbol for symbol in configured if not symbol.endswith("-PERP")}
    swaps = {symbol for symbol, kind in types.items() if kind == "swap"}
    assert swaps == ({"BTC/USDT:USDT"} if name in {"binance", "bitfinex"} else set())
    assert all(market["active"] for market in markets.values())


@pytest.mark.parametrize("name", FULL_HISTORY)
def test_paging_delivers_exactly_the_truth(
    name: str, client: Callable[[str], Any], venue: VenueProcess
) -> None:
    ours, theirs = BTC[name]
    start, stop = FORMING - 3 * 1000 * MINUTE, FORMING
    rows = download(client(name), theirs, start, stop, PAGE[name])
    assert rows == rows_of(venue.truth(name, ours, start, stop))


@pytest.mark.parametrize("name", NAMES)
def test_quiet_minutes_follow_the_habit_of_the_exchange(name: str, venue: VenueProcess) -> None:
    start, stop = LISTED, LISTED + 2000 * MINUTE
    truth = venue.truth(name, BTC[name][0].replace("BTC", "THIN"), start, stop)
    volumes = np.array(truth["volume"])
    if name in {"bitfinex", "coinbase"}:
        assert 50 < len(volumes) < 200
        assert volumes.min() > 0
        return
    assert truth["ts"] == list(range(start, stop, MINUTE))
    quiet = volumes == 0
    assert 0.9 < quiet.mean() < 1
    closes, flat = np.array(truth["close"]), np.flatnonzero(quiet)
    for column in ("open", "high", "low", "close"):
        assert np.array_equal(np.array(truth[column])[flat], closes[flat - 1])


@pytest.mark.parametrize("name", FULL_HISTORY)
@pytest.mark.parametrize("silence", [OUTAGE, HALT])
def test_an_outage_or_a_halt_has_no_rows_at_all(
    name: str, silence: tuple[int, int], client: Callable[[str], Any]
) -> None:
    start, stop = silence
    rows = download(client(name), BTC[name][1], start - 5 * MINUTE, stop + 5 * MINUTE, 100)
    inside = [row for row in rows if start <= row[0] < stop]
    assert not inside
    assert rows


@pytest.mark.parametrize("name", NAMES)
def test_the_forming_minute_is_served_and_grows(
    name: str, client: Callable[[str], Any], venue: VenueProcess
) -> None:
    def last() -> list[float]:
        since = FORMING - 10 * MINUTE
        params = {} if name == "kraken" else {"until": FORMING + 10 * MINUTE}
        rows: list[list[float]] = client(name).fetch_ohlcv(BTC[name][1], "1m", since, 100, params)
        return rows[-1]

    venue.set_clock(now=FORMING + 20_000)
    early = last()
    venue.set_clock(now=FORMING + 55_000)
    late = last()
    if name in {"binance", "kraken"}:
        assert early[0] == FORMING
    assert early[0] == late[0]
    assert early[5] <= late[5]
    assert FORMING not in venue.truth(name, BTC[name][0], FORMING - MINUTE, NOW)["ts"]


def test_kraken_knows_only_the_newest_720_whatever_since(
    client: Callable[[str], Any], venue: VenueProcess
) -> None:
    rows = client("kraken").fetch_ohlcv("BTC/USD", "1m", LISTED)
    assert len(rows) == 721
    assert rows[-1][0] == FORMING
    assert rows[0][0] == FORMING - 720 * MINUTE
    truth = venue.truth("kraken", "BTC-USD", FORMING - 720 * MINUTE, FORMING)
    assert rows[:-1] == rows_of(truth)
    assert len(client("kraken").fetch_ohlcv("BTC/USD", "1m", FORMING - 4 * MINUTE)) == 5


def test_binance_jumps_to_the_first_bar_when_asked_before_listing(
    client: Callable[[str], Any],
) -> None:
    rows = client("binance").fetch_ohlcv("BTC/USDT", "1m", 0, 2000)
    assert rows[0][0] == LISTED
    assert len(rows) == 1000


def test_bitfinex_answers_an_empty_window_with_an_empty_list(client: Callable[[str], Any]) -> None:
    params = {"until": LISTED - 1}
    assert client("bitfinex").fetch_ohlcv("BTC/USD", "1m", LISTED - DAY, 100, params) == []


def test_bitfinex_answers_newest_first_unless_told_to_sort(client: Callable[[str], Any]) -> None:
    exchange = client("bitfinex")
    request = {"symbol": "tBTCUSD", "timeframe": "1m", "limit": 50, "end": OUTAGE[0]}
    newest = exchange.publicGetCandlesTradeTimeframeSymbolHist(request)
    assert [row[0] for row in newest] == sorted((row[0] for row in newest), reverse=True)
    assert newest[0][0] >= OUTAGE[0] - 10 * MINUTE
    oldest = exchange.publicGetCandlesTradeTimeframeSymbolHist({**request, "sort": 1})
    assert oldest[0][0] == LISTED


def test_coinbase_refuses_a_span_of_350_candles(client: Callable[[str], Any]) -> None:
    exchange = client("coinbase")
    with pytest.raises(ccxt.BadRequest, match="less than 350"):
        exchange.fetch_ohlcv("BTC/USD", "1m", LISTED, 300, {"until": LISTED + 350 * MINUTE})
    assert exchange.fetch_ohlcv("BTC/USD", "1m", LISTED, 300, {"until": LISTED + 349 * MINUTE})


@pytest.mark.parametrize("name", FULL_HISTORY)
def test_daily_candles_start_on_the_day_of_the_listing(
    name: str, client: Callable[[str], Any], venue: VenueProcess
) -> None:
    first_day = LISTED // DAY * DAY
    symbol = BTC[name][1]
    rows = client(name).fetch_ohlcv(symbol, "1d", first_day - 20 * DAY, 50)
    assert rows[0][0] == first_day
    minutes = rows_of(venue.truth(name, BTC[name][0], first_day, first_day + DAY))
    assert rows[0][1:5] == [
        minutes[0][1],
        max(row[2] for row in minutes),
        min(row[3] for row in minutes),
        minutes[-1][4],
    ]
    assert rows[0][5] == pytest.approx(sum(row[5] for row in minutes))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("timeframe", "step"), [("5m", 5 * MINUTE), ("1h", 60 * MINUTE)])
def test_longer_candles_are_made_of_the_minutes(
    name: str, timeframe: str, step: int, client: Callable[[str], Any], venue: VenueProcess
) -> None:
    start = NOW // step * step - 20 * step
    params = {} if name == "kraken" else {"until": start + 10 * step - 1}
    rows = client(name).fetch_ohlcv(BTC[name][1], timeframe, start, 10, params)
    assert [row[0] for row in rows] == list(range(start, start + 10 * step, step))
    for row in rows:
        minutes = rows_of(venue.truth(name, BTC[name][0], row[0], row[0] + step))
        assert (row[1], row[4]) == (minutes[0][1], minutes[-1][4])
        assert row[5] == pytest.approx(sum(minute[5] for minute in minutes))


def test_a_swap_is_another_market_than_its_spot(client: Callable[[str], Any]) -> None:
    exchange = client("binance")
    spot = exchange.fetch_ohlcv("BTC/USDT", "1m", LISTED, 10)
    swap = exchange.fetch_ohlcv("BTC/USDT:USDT", "1m", LISTED, 10)
    assert [row[0] for row in spot] == [row[0] for row in swap]
    assert spot != swap


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("binance", ccxt.BadSymbol),
        ("bitfinex", ccxt.BadSymbol),
        ("kraken", ccxt.ExchangeError),
        ("coinbase", ccxt.ExchangeError),
    ],
)
def test_an_unknown_symbol_is_a_permanent_error(
    name: str, error: type[Exception], client: Callable[[str], Any]
) -> None:
    exchange = client(name)
    stranger = {**exchange.market(BTC[name][1]), "id": "tNOSUCH", "symbol": "NO/SUCH"}
    exchange.markets["NO/SUCH"] = stranger
    with pytest.raises(error) as caught:
        exchange.fetch_ohlcv("NO/SUCH", "1m", LISTED, 10)
    assert not isinstance(caught.value, ccxt.NetworkError)
    del exchange.markets["NO/SUCH"]


def test_ccxt_can_ask_for_time_and_status(client: Callable[[str], Any]) -> None:
    assert client("binance").fetch_time() == NOW
    assert client("kraken").fetch_time() == NOW // 1000 * 1000
    assert client("coinbase").fetch_time() == NOW // 1000 * 1000
    assert client("bitfinex").fetch_status()["status"] == "ok"
    assert client("kraken").fetch_status()["status"] == "ok"


def test_bad_parameters_are_bad_requests(client: Callable[[str], Any]) -> None:
    with pytest.raises(ccxt.BadRequest, match="Invalid interval"):
        client("binance").fetch_ohlcv("BTC/USDT", "7m", LISTED, 10)
    with pytest.raises(ccxt.BadRequest, match="interval"):
        client("binance").publicGetKlines({"symbol": "BTCUSDT"})
    request = {"symbol": "tBTCUSD", "timeframe": "1m", "limit": 10_001}
    with pytest.raises(ccxt.BadRequest, match="limit: invalid"):
        client("bitfinex").publicGetCandlesTradeTimeframeSymbolHist(request)
