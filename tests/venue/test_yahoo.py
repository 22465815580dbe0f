"""The venue answers as Yahoo does: columns, single precision, its refusals, its odd rows."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.venue import recordings
from venue.config import ExchangeConfig, MarketConfig, VenueConfig
from venue.service import Venue

NOW = 1_717_437_630_000  # 2024-06-03T18:00:30Z, a Monday, 14:00 in New York
DAY = 86_400
LISTED = 1_709_510_400_000
AMZN = recordings.FOLDER / "_transcribed" / "yahoo_v8_chart_AMZN_1m_range30m_2023-05-02.json"
CHARTS = recordings.FOLDER / "gadicc_node-yahoo-finance2/tests/fixtures/http"
CHART = "/v8/finance/chart/"
Json = Any


def venue_of(now: int = NOW, **options: Any) -> Venue:
    stock = {"listed_at": LISTED, "volume": 900.0}
    markets = {
        "AAPL": MarketConfig(**stock, quiet=0.2),  # type: ignore[arg-type]
        "BTC-USD": MarketConfig(**stock, hours="always"),  # type: ignore[arg-type]
    }
    config = ExchangeConfig(**{"requests_per_second": 0, "markets": markets, **options})
    return Venue(VenueConfig({"yahoo": config}, now=now, speed=0))


def ask(venue: Venue, symbol: str, **query: object) -> tuple[int, Json]:
    texts = {name: str(value) for name, value in query.items()}
    found = venue.reply("yahoo", CHART + symbol, texts).answer
    return found.status, orjson.loads(found.body)


def result(venue: Venue, symbol: str = "AAPL", **query: object) -> Json:
    status, document = ask(venue, symbol, **query)
    assert (status, document["chart"]["error"]) == (200, None)
    return document["chart"]["result"][0]


def ranged(start: int, minutes: int, **query: object) -> dict[str, Any]:
    return {"interval": "1m", "period1": start, "period2": start + 60 * minutes, **query}


TEN = 1_717_423_200 - 3 * DAY  # 10:00 in New York, on the Friday before


def values(chart: Json) -> list[list[Any]]:
    quote = chart["indicators"]["quote"][0]
    names = ("open", "high", "low", "close", "volume")
    return [list(row) for row in zip(*(quote[name] for name in names), strict=True)]


@recordings.needed
def test_a_recorded_chart_comes_back_byte_for_byte() -> None:
    venue = venue_of(recorded={f"{CHART}AMZN?range=30m&interval=1m": AMZN})
    answer = venue.reply("yahoo", f"{CHART}AMZN", {"range": "30m", "interval": "1m"}).answer
    assert answer.body == AMZN.read_bytes()


@recordings.needed
def test_a_market_made_of_a_recorded_chart_has_its_columns_byte_for_byte() -> None:
    recorded = orjson.loads(AMZN.read_bytes())["chart"]["result"][0]
    after_the_close = recorded["meta"]["regularMarketTime"] * 1000 + 120_000
    market = MarketConfig(files=(AMZN,), price_decimals=8)
    venue = venue_of(after_the_close, markets={"AMZN": market})
    first, *_, last = recorded["timestamp"]
    answered = result(venue, "AMZN", **ranged(first, (last - first) // 60))
    for part in ("timestamp", "indicators"):
        assert orjson.dumps(answered[part]) == orjson.dumps(recorded[part])
    assert answered["meta"]["regularMarketTime"] == recorded["meta"]["regularMarketTime"]
    assert answered["meta"]["regularMarketPrice"] == recorded["meta"]["regularMarketPrice"]


@recordings.needed
def test_an_empty_chart_has_the_shape_of_a_recorded_one_and_no_field_that_it_lacks() -> None:
    name = "chart-AAPL-2025-02-01-to-2025-02-02-includePrePost-false-interval-1m.json"
    body = orjson.loads((CHARTS / name).read_bytes())["response"]["bodyJson"]
    recorded = body["chart"]["result"][0]
    saturday = 1_717_200_000
    empty = result(venue_of(), **ranged(saturday, 1440, includePrePost="false"))
    assert empty.keys() == recorded.keys()
    assert empty["indicators"] == recorded["indicators"] == {"quote": [{}]}
    meta, known = empty["meta"], recorded["meta"]
    assert meta.keys() <= known.keys()
    for field in ("instrumentType", "exchangeTimezoneName", "dataGranularity", "validRanges"):
        assert meta[field] == known[field]
    assert meta["currentTradingPeriod"].keys() == known["currentTradingPeriod"].keys()


def test_a_quiet_minute_is_a_row_of_nulls_or_none_at_all() -> None:
    venue = venue_of()
    chart = result(venue, **ranged(TEN, 299))
    rows = values(chart)
    nulls = [row for row in rows if row == [None] * 5]
    truth = venue.truth("yahoo", "AAPL", TEN * 1000, (TEN + 300 * 60) * 1000)
    assert len(rows) - len(nulls) == len(truth["ts"]) < 300 - len(nulls) < 300
    assert len(nulls) > 10


def test_both_ends_are_included_and_the_first_volume_is_zero() -> None:
    chart = result(venue_of(), "BTC-USD", **ranged(TEN, 10))
    assert chart["timestamp"] == list(range(TEN, TEN + 601, 60))
    volumes = [row[-1] for row in values(chart)]
    assert volumes[0] == 0 < min(volumes[1:])


def test_extended_hours_come_when_asked_for_and_have_no_volume() -> None:
    venue, night = venue_of(), TEN - 10 * 3600
    whole = result(venue, **ranged(night, 1440, includePrePost="true"))
    regular = result(venue, **ranged(night, 1440, includePrePost="false"))
    assert set(regular["timestamp"]) < set(whole["timestamp"])
    outside = set(whole["timestamp"]) - set(regular["timestamp"])
    by_stamp = dict(zip(whole["timestamp"], values(whole), strict=True))
    traded = [by_stamp[stamp] for stamp in outside if by_stamp[stamp][0] is not None]
    assert len(traded) > 5
    assert {row[-1] for row in traded} == {0}


@pytest.mark.parametrize(
    ("first", "length", "text"),
    [
        (TEN, 7 * DAY + 60, "Only 7 days worth of 1m granularity data are allowed to be fetched"),
        (NOW // 1000 - 30 * DAY - 60, DAY, "The requested range must be within the last 30 days."),
    ],
)
def test_what_is_too_much_or_too_old_is_refused(first: int, length: int, text: str) -> None:
    query = {"interval": "1m", "period1": first, "period2": first + length}
    status, document = ask(venue_of(), "AAPL", **query)
    error = document["chart"]["error"]
    assert (status, error["code"]) == (422, "Unprocessable Entity")
    assert text in error["description"]
    assert f"startTime={first} and endTime={first + length}" in error["description"]


def test_an_unknown_symbol_is_not_found_in_words() -> None:
    assert ask(venue_of(), "NOPE", interval="1m", range="1d") == (
        404,
        {
            "chart": {
                "result": None,
                "error": {
                    "code": "Not Found",
                    "description": "No data found, symbol may be delisted",
                },
            }
        },
    )


def test_too_many_requests_are_told_in_plain_text() -> None:
    venue = venue_of(requests_per_second=1)
    answers = [venue.reply("yahoo", f"{CHART}AAPL", {}).answer for _ in range(2)]
    assert (answers[1].status, answers[1].content_type) == (429, "text/plain")
    assert answers[1].body == b"Too Many Requests\r\n"


def test_the_latest_price_follows_every_window_of_its_day() -> None:
    chart = result(venue_of(), **ranged(NOW // 1000 - 7200, 60))
    *_, last = zip(chart["timestamp"], values(chart), strict=True)
    assert last[0] == NOW // 1000  # with its second
    assert len(set(last[1][:4])) == 1
    assert last[1][4] == 0
    evening = venue_of(NOW + 5 * 3_600_000)
    closed = result(evening, **ranged(NOW // 1000 + 3600, 120))
    assert closed["timestamp"][-1] == 1_717_444_800  # the minute of the close
    assert result(evening, **ranged(TEN, 60))["timestamp"][-1] <= TEN + 3600


def test_who_is_quiet_at_the_close_has_no_price_of_a_minute_without_trades() -> None:
    close = 1_717_444_800
    names = [f"Q{number}" for number in range(20)]
    quiet = MarketConfig(listed_at=LISTED, quiet=0.5)
    evening = venue_of((close + 1800) * 1000, markets=dict.fromkeys(names, quiet))
    found = {}
    for name in names:
        chart = result(evening, name, **ranged(close - 1800, 30))
        rows = zip(chart["timestamp"], values(chart), strict=True)
        *_, before, last = [(stamp, row[4]) for stamp, row in rows if row[0] is not None]
        found[name] = last == (close, 0)
        assert found[name] == (before[0] == close - 60)
        assert found[name] or last[1] > 0  # traded, and no price that was put there
    assert len(set(found.values())) == 2


def test_cookies_and_a_crumb_are_given_to_whoever_asks() -> None:
    venue = venue_of()
    cookie = venue.reply("yahoo", "/", {}).answer
    assert "Domain=.yahoo.com" in cookie.headers["Set-Cookie"]
    crumb = venue.reply("yahoo", "/v1/test/getcrumb", {}).answer
    assert (crumb.status, crumb.content_type) == (200, "text/plain")


def test_days_are_those_of_new_york() -> None:
    chart = result(venue_of(), interval="1d", period1=TEN - 3 * DAY, period2=TEN + DAY)
    assert [stamp % DAY for stamp in chart["timestamp"]] == [4 * 3600] * 3
    assert chart["meta"]["dataGranularity"] == "1d"


@pytest.mark.parametrize("name", ["AAPL@iex", "BTC/USD", "btc-usd"])
def test_a_name_that_yahoo_does_not_use_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no symbol of Yahoo"):
        venue_of(markets={name: MarketConfig()})
