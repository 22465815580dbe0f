"""The venue answers as Alpha Vantage does: refusals in words, stamps of ends, numbers as text."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.venue import recordings
from venue.config import Account, ExchangeConfig, MarketConfig, VenueConfig
from venue.service import Venue

NOW = 1_717_437_630_000  # 2024-06-03T18:00:30Z
LISTED = 1_690_848_000_000
RECORDED = recordings.FOLDER / "RomelTorres_alpha_vantage" / "test_data"
SERIES = "Time Series (1min)"
KEY = "MARKEDKEY"
QUERY = {
    "function": "TIME_SERIES_INTRADAY",
    "symbol": "MSFT",
    "interval": "1min",
    "outputsize": "full",
    "apikey": KEY,
}
Json = Any


def venue_of(now: int = NOW, **options: Any) -> Venue:
    markets = {"MSFT": MarketConfig(listed_at=LISTED, volume=900.0, name="Microsoft Corporation")}
    config = ExchangeConfig(**{"requests_per_second": 0, "markets": markets, **options})
    return Venue(VenueConfig({"alpha_vantage": config}, now=now, speed=0))


def body(venue: Venue, **query: str) -> bytes:
    answer = venue.reply("alpha_vantage", "/query", {**QUERY, **query}).answer
    assert answer.status == 200
    return answer.body


def ask(venue: Venue, **query: str) -> Json:
    return orjson.loads(body(venue, **query))


@recordings.needed
def test_a_recorded_body_comes_back_but_for_what_the_vendor_has_renamed_since() -> None:
    recorded = (RECORDED / "mock_time_series").read_bytes()
    market = MarketConfig(files=(RECORDED / "mock_time_series",), price_decimals=4)
    venue = venue_of(1_513_627_000_000, markets={"MSFT": market})
    answered = body(venue, outputsize="compact")
    renamed = answered.replace(
        b"Intraday (1min) open, high, low, close prices and volume",
        b"Intraday (1min) prices and volumes",
    )
    assert renamed == recorded.rstrip()


@recordings.needed
def test_the_months_of_the_recorded_table_are_its_lines() -> None:
    file = RECORDED / "mock_time_series_extended"
    market = MarketConfig(files=(file,), price_decimals=8)
    venue = venue_of(markets={"MSFT": market})
    head, *lines = file.read_bytes().splitlines(keepends=True)
    assert head == b"time,open,high,low,close,volume\r\n"
    found = []
    for month in ("2020-12", "2020-11"):
        answered = body(venue, month=month, datatype="csv")
        first, *rows = answered.splitlines(keepends=True)
        assert first == b"timestamp,open,high,low,close,volume\r\n"
        found += rows
    assert found == lines


def test_a_month_is_new_yorks_newest_first_by_the_ends_of_minutes() -> None:
    document = ask(venue_of(), month="2023-11")
    stamps = list(document[SERIES])
    assert (stamps[0], stamps == sorted(stamps, reverse=True)) != ("", False)
    assert {stamp[:7] for stamp in stamps} == {"2023-11"}
    assert "2023-11-24 13:00:00" in stamps  # the half day after Thanksgiving
    assert not [stamp for stamp in stamps if stamp.startswith("2023-11-23")]
    assert max(stamp[11:] for stamp in stamps) <= "20:00:00"
    assert min(stamp[11:] for stamp in stamps) >= "04:01:00"
    regular = ask(venue_of(), month="2023-11", extended_hours="false")[SERIES]
    assert max(regular)[11:] == "16:00:00"
    assert len([s for s in regular if s.startswith("2023-11-24")]) == 210
    row = document[SERIES][stamps[0]]
    assert list(row) == ["1. open", "2. high", "3. low", "4. close", "5. volume"]
    assert all(isinstance(value, str) for value in row.values())


def test_without_a_month_it_is_the_newest_and_compact_means_a_hundred() -> None:
    assert len(ask(venue_of(), outputsize="compact")[SERIES]) == 100
    newest = next(iter(ask(venue_of())[SERIES]))
    assert newest == "2024-06-03 14:00:00"
    meta = ask(venue_of())["Meta Data"]
    assert meta["6. Time Zone"] == "US/Eastern"
    assert meta["3. Last Refreshed"] == newest


@pytest.mark.parametrize(
    "query",
    [
        {"symbol": "NOPE"},
        {"symbol": ""},
        {"interval": "2min"},
        {"month": "1999-12"},
        {"month": "2031-01"},
        {"month": "2020-13"},
    ],
)
def test_what_it_does_not_know_is_an_invalid_call(query: dict[str, str]) -> None:
    answered = ask(venue_of(), **query)
    assert list(answered) == ["Error Message"]
    assert answered["Error Message"].startswith("Invalid API call. Please retry")


def test_keys_are_wanted_and_the_examples_one_opens_nothing() -> None:
    venue = venue_of(account=Account(keys=(KEY,)))
    assert SERIES in ask(venue)
    for key in ("", "OTHER"):
        assert "apikey is invalid or missing" in ask(venue, apikey=key)["Error Message"]
    assert "demo purposes only" in ask(venue, apikey="demo")["Information"]


@pytest.mark.usefixtures("standing")
def test_a_limit_is_told_in_words_and_the_days_with_the_key_in_them() -> None:
    venue = venue_of(requests_per_second=None)
    for _ in range(25):
        assert SERIES in ask(venue, month="2024-05")
    refused = ask(venue)
    assert f"your API key as {KEY}" in refused["Information"]
    assert "25 requests per day" in refused["Information"]
    minute = venue_of(requests_per_second=1)
    assert [next(iter(ask(minute, month="2024-05"))) for _ in range(2)] == ["Meta Data", "Note"]


def test_the_list_is_a_table_of_what_trades() -> None:
    etf = MarketConfig(listed_at=LISTED, kind="etf", listed_on="NYSE ARCA")
    gone = MarketConfig(listed_at=LISTED, delisted_at=NOW - 1)
    venue = venue_of(markets={"SPY": etf, "GONE": gone})
    query = {"function": "LISTING_STATUS"}
    head = b"symbol,name,exchange,assetType,ipoDate,delistingDate,status\r\n"
    active, delisted = body(venue, **query), body(venue, **query, state="delisted")
    assert active == head + b"SPY,SPY Inc,NYSE ARCA,ETF,2023-08-01,null,Active\r\n"
    assert delisted == head + b"GONE,GONE Inc,NASDAQ,Stock,2023-08-01,2024-06-03,Delisted\r\n"


@pytest.mark.parametrize("name", ["BRK.B", "msft", "MSFT@iex"])
def test_a_name_that_it_does_not_use_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no symbol of Alpha Vantage"):
        venue_of(markets={name: MarketConfig()})
