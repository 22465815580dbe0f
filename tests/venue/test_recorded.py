"""Where a recording exists, the venue answers as the recording does."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest

from tests.venue import recordings
from tests.venue.conftest import pointed_at
from venue import VenueProcess
from venue.bars import DAY_MS
from venue.config import ExchangeConfig, MarketConfig, VenueConfig
from venue.files import Files
from venue.service import Venue

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from venue.dialects.base import Json

pytestmark = recordings.needed

Options = Any  # whatever the configuration takes
TWO_HOURS_MS = 7_200_000
LONG_AFTER = 1_900_000_000_000


def venue_of(exchange: str, now: int = LONG_AFTER, **options: Options) -> Venue:
    config = ExchangeConfig(requests_per_second=0, **options)
    return Venue(VenueConfig({exchange: config}, now=now, speed=0))


def market_of(symbol: str, *files: Path, **options: Options) -> dict[str, MarketConfig]:
    return {symbol: MarketConfig(files=files, **options)}


def ask(venue: Venue, exchange: str, path: str, **query: object) -> bytes:
    reply = venue.reply(exchange, path, {name: str(value) for name, value in query.items()})
    assert reply.answer.status == 200, reply.answer.body
    return reply.answer.body


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    lines = ["ts,open,high,low,close,volume", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("folder", ["BTCUSD/Candles_1m/2016/raw", "LTCUSD/Candles_1m/2013/raw"])
def test_every_bitfinex_body_comes_back_byte_for_byte(folder: str) -> None:
    files = sorted((recordings.BITFINEX / folder).rglob("*.json"))
    venue = venue_of("bitfinex", markets=market_of("BTC-USD", recordings.BITFINEX / folder))
    assert len(files) >= 360
    for file in files:
        moment = datetime.strptime(file.stem, "%y-%m-%d %H-%M-%S").replace(tzinfo=UTC)
        start = int(moment.timestamp()) * 1000
        window = {"start": start, "end": start + TWO_HOURS_MS - 1, "sort": 1, "limit": 120}
        body = ask(venue, "bitfinex", "/v2/candles/trade:1m:tBTCUSD/hist", **window)
        assert body == file.read_bytes(), file.name


@pytest.mark.parametrize("name", ["BTCUSD/Candles_1m/2015", "LTCUSD/Candles_1m/2014"])
def test_a_merged_year_comes_back_with_the_published_digits(name: str) -> None:
    file = recordings.BITFINEX / name / "merged.csv.gz"
    venue = venue_of("bitfinex", markets=market_of("BTC-USD", file))
    rows: list[bytes] = []
    start = 0
    while True:
        window = {"start": start, "sort": 1, "limit": 10000}
        body = ask(venue, "bitfinex", "/v2/candles/trade:1m:tBTCUSD/hist", **window)
        if body == b"[]":
            break
        page = body[2:-2].split(b"],[")
        start = int(page[-1].split(b",")[0]) + 1
        rows += page
    assert rows == gzip.decompress(file.read_bytes()).split()


def test_gaps_of_a_recording_stay_gaps() -> None:
    file = recordings.BITFINEX / "BTCUSD/Candles_1m/2015/merged.csv.gz"
    source = Files((file,))
    assert len(source.bars(*source.span)) == 366_710
    longest = int(np.diff(source.bars(*source.span).ts).max())
    assert 29 * DAY_MS < longest < 32 * DAY_MS


def test_kraken_ohlc_has_the_recorded_shape(tmp_path: Path) -> None:
    recorded = orjson.loads((recordings.ADAPTERS / "kraken/test_data/http_ohlc.json").read_bytes())
    rows = recorded["result"]["XBTUSDT"]
    traded = [[r[0] * 1000, *r[1:5], r[6]] for r in rows if r[7] or r is rows[0]]
    traded[-1:] += [[rows[-1][0] * 1000, *rows[-1][1:5], rows[-1][6]]]
    file = write_csv(tmp_path / "bars.csv", traded)
    venue = venue_of(
        "kraken",
        now=rows[-1][0] * 1000 + 30_000,
        markets=market_of("BTC-USDT", file, price_decimals=1),
    )
    body = orjson.loads(ask(venue, "kraken", "/0/public/OHLC", pair="XBTUSDT", interval=1))
    assert body["error"] == recorded["error"]
    assert body["result"]["last"] == recorded["result"]["last"]
    served = body["result"]["XBTUSDT"]
    assert len(served) == len(rows) == 721
    quiet = [row for row, original in zip(served, rows, strict=True) if not original[7]]
    assert quiet == [original for original in rows if not original[7]]
    for row, original in zip(served[:-1], rows[:-1], strict=True):
        assert [*row[:5], row[6]] == [*original[:5], original[6]]
        assert [type(cell) for cell in row] == [type(cell) for cell in original]


def test_binance_klines_have_the_recorded_text(tmp_path: Path) -> None:
    recorded = orjson.loads((recordings.BINANCE / "http_spot_market_klines.json").read_bytes())
    file = write_csv(tmp_path / "bars.csv", [row[:6] for row in recorded])
    venue = venue_of("binance", markets=market_of("BTC-USDT", file))
    query = {"symbol": "BTCUSDT", "interval": "1m", "startTime": 0, "limit": 1000}
    served = orjson.loads(ask(venue, "binance", "/api/v3/klines", **query))
    assert [row[:7] for row in served] == [row[:7] for row in recorded]
    for row, original in zip(served, recorded, strict=True):
        assert [type(cell) for cell in row] == [type(cell) for cell in original]
        decimals = [str(cell).partition(".")[2] for cell in row]
        assert [len(text) for text in decimals] == [
            len(str(cell).partition(".")[2]) for cell in original
        ]


def test_coinbase_candles_are_the_recorded_bytes(tmp_path: Path) -> None:
    body = (recordings.ADAPTERS / "coinbase/test_data/http_candles.json").read_bytes().strip()
    names = ("open", "high", "low", "close", "volume")
    candles = orjson.loads(body)["candles"]
    rows = [[int(c["start"]) * 1000, *(c[name] for name in names)] for c in reversed(candles)]
    file = write_csv(tmp_path / "bars.csv", rows)
    venue = venue_of("coinbase", markets=market_of("BTC-USD", file))
    served = ask(
        venue,
        "coinbase",
        "/api/v3/brokerage/market/products/BTC-USD/candles",
        start=candles[-1]["start"],
        end=candles[0]["start"],
        granularity="ONE_HOUR",
    )
    assert served == body


@pytest.mark.parametrize(
    ("exchange", "path", "file"),
    [
        ("binance", "/api/v3/exchangeInfo", "BINANCE.0"),
        ("kraken", "/0/public/AssetPairs", "KRAKEN.0"),
        ("bitfinex", "/v2/conf/pub:list:pair:exchange", "BITFINEX.0"),
    ],
)
def test_a_recorded_market_list_is_served_as_it_is(exchange: str, path: str, file: str) -> None:
    recording = recordings.MARKET_LISTS / file
    venue = venue_of(exchange, recorded={path: recording})
    body = ask(venue, exchange, path)
    assert body in recording.read_bytes()
    assert orjson.loads(body)


def test_any_market_of_a_recorded_list_answers_candles() -> None:
    path = "/api/v3/exchangeInfo"
    venue = venue_of("binance", recorded={path: recordings.MARKET_LISTS / "BINANCE.0"})
    query = {"symbol": "LRCBTC", "interval": "1m", "limit": "3"}
    assert len(orjson.loads(ask(venue, "binance", "/api/v3/klines", **query))) == 3
    reply = venue.reply("binance", "/api/v3/klines", {**query, "symbol": "NOSUCH"})
    assert orjson.loads(reply.answer.body)["code"] == -1121


def test_ccxt_loads_recorded_market_lists() -> None:
    recorded = {
        "binance": {"/api/v3/exchangeInfo": recordings.MARKET_LISTS / "BINANCE.0"},
        "kraken": {"/0/public/AssetPairs": recordings.MARKET_LISTS / "KRAKEN.0"},
    }
    document = {
        "exchanges": {
            name: {
                "requests_per_second": 0,
                "recorded": bodies,
            }
            for name, bodies in recorded.items()
        }
    }
    with VenueProcess(document) as process:
        binance = pointed_at(process.url, "binance")
        assert len(binance.markets) > 1000
        assert len(binance.fetch_ohlcv("LRC/BTC", "1m", None, 5)) == 5
        kraken = pointed_at(process.url, "kraken")
        assert len(kraken.markets) > 200
        assert len(kraken.fetch_ohlcv("ETH/EUR", "1m")) == 721


@pytest.mark.parametrize(
    ("exchange", "path", "file"),
    [
        (
            "binance",
            "/api/v3/exchangeInfo",
            recordings.BINANCE / "http_spot_market_exchange_info.json",
        ),
        (
            "kraken",
            "/0/public/AssetPairs",
            recordings.ADAPTERS / "kraken/test_data/http_asset_pairs.json",
        ),
        (
            "coinbase",
            "/api/v3/brokerage/market/products",
            recordings.ADAPTERS / "coinbase/test_data/http_products.json",
        ),
    ],
)
def test_market_lists_have_the_keys_of_the_recorded_ones(
    exchange: str, path: str, file: Path
) -> None:
    venue = venue_of(exchange, markets={"BTC-USDT": MarketConfig()})
    served, recorded = orjson.loads(ask(venue, exchange, path)), orjson.loads(file.read_bytes())
    assert served.keys() == recorded.keys()
    one, other = (next(iter(_listed(document))) for document in (served, recorded))
    assert one.keys() <= other.keys()
    assert all(type(one[key]) is type(other[key]) for key in one)


def _listed(document: Json) -> list[dict[str, Any]]:
    for key in ("symbols", "products"):
        if key in document:
            return list(document[key])
    return list(document["result"].values())


def test_files_read_floats_back_exactly() -> None:
    file = recordings.BITFINEX / "LTCUSD/Candles_1m/2014/merged.csv.gz"
    source = Files((file,))
    bars = source.bars(*source.span)
    assert np.all(np.diff(bars.ts) > 0)
    assert int(bars.volume.min()) == 1


def test_bittrex_files_have_the_bars_that_ccxt_made_of_the_same_answer() -> None:
    original = recordings.BITTREX / "history_bittrex_1m_2018-01-20/BTC_ETH-1.json.gz"
    by_ccxt = recordings.BITTREX / "history_ccxt_shape_2018-01-20/ETH_BTC-1m.af75fb98.utc.json.gz"
    source, other = Files((original,)), Files((by_ccxt,), "ohlcv")
    assert source.span == other.span
    bars = source.bars(*source.span)
    assert len(bars) == 14_397
    for column, same in zip(bars.columns(), other.bars(*other.span).columns(), strict=True):
        assert np.array_equal(column, same)
