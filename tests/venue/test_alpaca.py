"""Alpaca's wire format: recorded pages, tokens, many symbols, errors, limits, faults."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from tests.venue import recordings
from venue import config
from venue.faults import Fault
from venue.service import Venue

if TYPE_CHECKING:
    from pathlib import Path

    from venue.dialects.base import Answer

DAY_MS = 86_400_000
NOW = "2024-06-03T18:00:30Z"
KEYS = {"APCA-API-KEY-ID": "PKTEST", "APCA-API-SECRET-KEY": "secret"}
PAGES = recordings.FOLDER / "_transcribed" / "alpaca_v2_stocks_bars_pages.json"
MARKETS = {
    "AAPL": {"price": 180, "name": "Apple Inc. Common Stock"},
    "AAPL@iex": {"price": 180, "quiet": 0.5, "volume": 2},
    "BRK.B": {"price": 350, "quiet": 0.9, "listed_on": "NYSE"},
    "MSFT": {"price": 330},
    "OLD": {"price": 3, "delisted_at": "2023-01-01"},
}


def venue_of(markets: dict[str, Any] | None = None, now: str = NOW, **options: Any) -> Venue:
    options = {"requests_per_second": 0, **options}
    section = {"markets": MARKETS if markets is None else markets, **options}
    return Venue(
        config.parse({"now": now, "speed": 0, "exchanges": {"alpaca": section}}, recordings.FOLDER)
    )


def ask(venue: Venue, path: str = "/v2/stocks/bars", **query: object) -> Answer:
    texts = {name: str(value) for name, value in query.items()}
    return venue.reply("alpaca", path, texts, KEYS).answer


def bars(venue: Venue, **query: object) -> Any:
    named = {"timeframe": "1Min", "start": "2024-05-31T13:30:00Z", **query}
    answered = ask(venue, "/v2/stocks/bars", **named)
    assert answered.status == 200, answered.body
    return orjson.loads(answered.body)


def true_rows(venue: Venue, symbol: str, start: str, end: str) -> list[tuple[str, float, float]]:
    millis = [int(datetime.fromisoformat(text).timestamp()) * 1000 for text in (start, end)]
    truth = venue.truth("alpaca", symbol, *millis)
    stamps = [f"{datetime.fromtimestamp(ts // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}" for ts in truth["ts"]]
    return list(zip(stamps, truth["close"], truth["volume"], strict=True))


def rows(document: Any, symbol: str) -> list[tuple[str, float, float]]:
    return [(bar["t"], bar["c"], bar["v"]) for bar in document["bars"].get(symbol, [])]


def parts(url: str) -> tuple[str, dict[str, str]]:
    split = urlsplit(url)
    return split.path, dict(parse_qsl(split.query))


def derived_hidden(body: bytes) -> bytes:
    """Return a body without the number of trades and the mean price, which are not recorded."""
    return re.sub(rb'"(n|vw)":[0-9.]+', rb'"\1":0', body)


@recordings.needed
def test_recorded_pages_are_answered_byte_for_byte() -> None:
    recorded = orjson.loads(PAGES.read_bytes())[:4]
    paths = [urlsplit(one["url"]).path + "?" + urlsplit(one["url"]).query for one in recorded]
    venue = venue_of({}, recorded={path: str(PAGES) for path in paths[:3]})
    for one in recorded[:3]:
        path, query = parts(one["url"])
        assert venue.reply("alpaca", path, query, KEYS).answer.body == orjson.dumps(one["body"])


def daily(folder: Path, symbol: str, listed: list[Any]) -> dict[str, Any]:
    """Return a market with recorded days: each stands for a minute, at midnight in New York."""
    stamps = [int(datetime.fromisoformat(bar["t"]).timestamp()) * 1000 for bar in listed]
    around = [(at, [1] * 5) for at in (min(stamps) - DAY_MS, max(stamps) + DAY_MS)]
    days = [(at, [bar[name] for name in "ohlcv"]) for at, bar in zip(stamps, listed, strict=True)]
    lines = [",".join(map(str, [at, *values])) for at, values in sorted(around + days)]
    file = folder / f"{symbol}.csv"
    file.write_text("\n".join(["ts,open,high,low,close,volume", *lines]))
    return {"files": [str(file)]}


@recordings.needed
def test_what_is_rendered_looks_like_the_recorded_pages(tmp_path: Path) -> None:
    for one in orjson.loads(PAGES.read_bytes()):
        (path, query), body = parts(one["url"]), one["body"]
        recorded = {body["symbol"]: body["bars"]} if "symbol" in body else body["bars"]
        listed = {symbol: part for symbol, part in recorded.items() if part}
        venue = venue_of(
            {symbol: daily(tmp_path, symbol, part) for symbol, part in listed.items()},
            now="2024-01-01T00:00:00Z",
        )
        stamps = [bar["t"] for part in listed.values() for bar in part]
        if stamps and "limit" not in query:
            query |= {"start": min(stamps), "end": max(stamps)}
        elif stamps:  # there is one more, which makes the token
            end = query.get("sort") == "desc"
            query |= {"end": max(stamps)} if end else {"start": min(stamps)}
        answered = orjson.loads(venue.reply("alpaca", path, query, KEYS).answer.body)
        found, expected = (
            orjson.dumps(document, option=orjson.OPT_SORT_KEYS) for document in (answered, body)
        )
        assert derived_hidden(found) == derived_hidden(expected)


def test_a_page_is_filled_symbol_by_symbol_and_goes_on_where_it_ended() -> None:
    venue = venue_of()
    window = {"start": "2024-05-31T13:30:00Z", "end": "2024-05-31T14:29:00Z"}
    query = {"symbols": "MSFT,AAPL,BRK.B", "limit": 50, **window}
    pages = [bars(venue, **query)]
    while token := pages[-1]["next_page_token"]:
        pages.append(bars(venue, **query, page_token=token))
    assert [list(page["bars"]) for page in pages[:2]] == [["AAPL"], ["AAPL", "BRK.B", "MSFT"]]
    assert all(sum(map(len, page["bars"].values())) == 50 for page in pages[:-1])
    for symbol in ("AAPL", "BRK.B", "MSFT"):
        found = [row for page in pages for row in rows(page, symbol)]
        truth = true_rows(venue, symbol, window["start"], "2024-05-31T14:30:00Z")
        assert found == truth


def test_a_page_that_holds_exactly_everything_is_the_last_one() -> None:
    document = bars(venue_of(), symbols="AAPL,MSFT", end="2024-05-31T13:39:00Z", limit=20)
    assert {symbol: len(part) for symbol, part in document["bars"].items()} == {
        "AAPL": 10,
        "MSFT": 10,
    }
    assert document["next_page_token"] is None


def test_the_end_is_inclusive_and_the_newest_come_first_when_asked() -> None:
    venue = venue_of()
    found = bars(venue, symbols="AAPL", end="2024-05-31T13:33:00Z", sort="desc", limit=3)
    stamps = [bar["t"][11:16] for bar in found["bars"]["AAPL"]]
    assert stamps == ["13:33", "13:32", "13:31"]
    rest = bars(
        venue,
        symbols="AAPL",
        end="2024-05-31T13:33:00Z",
        sort="desc",
        limit=3,
        page_token=found["next_page_token"],
    )
    assert [bar["t"][11:16] for bar in rest["bars"]["AAPL"]] == ["13:30"]
    assert rest["next_page_token"] is None


def test_silence_is_null_for_one_symbol_and_an_empty_object_for_many() -> None:
    query = {
        "timeframe": "1Min",
        "start": "2024-06-01T13:30:00Z",
        "end": "2024-06-01T15:00:00Z",
    }
    one = ask(venue_of(), "/v2/stocks/AAPL/bars", **query)
    assert one.body == b'{"bars":null,"next_page_token":null,"symbol":"AAPL"}'
    many = ask(venue_of(), symbols="AAPL,ZZZZ", **query)
    assert many.body == b'{"bars":{},"next_page_token":null}'


def test_the_feeds_are_of_different_truth() -> None:
    venue = venue_of()
    end = "2024-05-31T13:59:00Z"
    sip, iex = (bars(venue, symbols="AAPL", end=end, feed=feed) for feed in ("sip", "iex"))
    assert rows(iex, "AAPL") == true_rows(
        venue, "AAPL@iex", "2024-05-31T13:30:00Z", "2024-05-31T14:00:00Z"
    )
    assert len(rows(iex, "AAPL")) < len(rows(sip, "AAPL")) == 30


def test_a_bar_comes_when_its_minute_is_over() -> None:
    found = bars(venue_of(), symbols="AAPL", feed="iex", start="2024-06-03T17:40:00Z")
    assert max(bar["t"] for bar in found["bars"]["AAPL"]) <= "2024-06-03T17:59:00Z"


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({"timeframe": "1Foo"}, 422, "invalid timeframe: 1Foo"),
        ({"limit": "10001"}, 422, "invalid limit: 10001"),
        ({"feed": "cta"}, 422, "invalid feed: cta"),
        ({"adjustment": "none"}, 422, "invalid adjustment: none"),
        ({"start": "yesterday"}, 422, "invalid start: yesterday"),
        ({"end": "2024-05-30T00:00:00Z"}, 422, "end should not be before start"),
        ({"page_token": "???"}, 422, "invalid page_token"),
        ({"symbols": ""}, 400, "symbols is required"),
        ({"symbols": "BRK-B"}, 400, "invalid symbol: BRK-B"),
        (
            {"end": "2024-06-03T17:46:00Z"},
            403,
            "subscription does not permit querying recent SIP data",
        ),
    ],
)
def test_what_it_would_not_answer_is_refused(
    query: dict[str, str], status: int, message: str
) -> None:
    base = {"symbols": "AAPL", "timeframe": "1Min", "start": "2024-05-31T13:30:00Z"}
    answered = ask(venue_of(), **{**base, **query})
    assert (answered.status, orjson.loads(answered.body)) == (status, {"message": message})


def test_recent_minutes_are_for_those_who_pay() -> None:
    query = {"symbols": "AAPL", "start": "2024-06-03T17:40:00Z", "end": "2024-06-03T17:59:00Z"}
    paid = bars(venue_of(account={"plan": "paid"}), **query)
    assert len(paid["bars"]["AAPL"]) == 20
    unsaid = bars(venue_of(), symbols="AAPL", start="2024-06-03T17:40:00Z")
    assert unsaid["bars"]["AAPL"][-1]["t"] == "2024-06-03T17:45:00Z"


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/v2/stocks/bars", 403, b'{"message":"forbidden."}'),
        ("/v2/assets", 401, b'{"code":40110000,"message":"request is not authorized"}'),
    ],
)
def test_nothing_is_answered_without_keys(path: str, status: int, body: bytes) -> None:
    half = {"APCA-API-KEY-ID": "PKTEST"}
    strangers = venue_of(account={"keys": ["PKOTHER", "secret"]})
    for venue, headers in ((venue_of(), {}), (venue_of(), half), (strangers, KEYS)):
        answered = venue.reply("alpaca", path, {}, headers).answer
        assert (answered.status, answered.body) == (status, body)


def test_assets_are_listed_with_their_class_and_status() -> None:
    venue = venue_of()
    listed = orjson.loads(ask(venue, "/v2/assets", asset_class="us_equity").body)
    assert [(asset["symbol"], asset["status"]) for asset in listed] == [
        ("AAPL", "active"),
        ("BRK.B", "active"),
        ("MSFT", "active"),
        ("OLD", "inactive"),
    ]
    assert {asset["class"] for asset in listed} == {"us_equity"}
    active = orjson.loads(ask(venue, "/v2/assets", status="active", exchange="NYSE").body)
    assert [asset["symbol"] for asset in active] == ["BRK.B"]
    assert orjson.loads(ask(venue, "/v2/assets", asset_class="crypto").body) == []
    assert orjson.loads(ask(venue, "/v2/assets/AAPL").body)["name"] == "Apple Inc. Common Stock"
    assert ask(venue, "/v2/assets/NOPE").status == 404


def test_the_limit_is_told_by_headers() -> None:
    venue = venue_of(requests_per_second=None)
    query = {"symbols": "AAPL", "timeframe": "1Min", "start": "2024-05-31T13:30:00Z"}
    first = ask(venue, **query)
    reset = str(int(datetime.fromisoformat("2024-06-03T18:01:00Z").timestamp()))
    assert [first.headers[f"X-RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")] == [
        "200",
        "199",
        reset,
    ]
    for _ in range(199):
        ask(venue, **query)
    refused = ask(venue, **query)
    assert (refused.status, refused.body) == (429, b'{"message":"too many requests."}')
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert int(refused.headers["X-RateLimit-Reset"]) > int(reset) - 60


def test_a_token_can_repeat_or_be_dropped() -> None:
    venue = venue_of()
    query = {"symbols": "AAPL", "limit": 10}
    token = bars(venue, **query)["next_page_token"]
    venue.faults.add(Fault.parse({"kind": "page_token", "variant": "repeated"}))
    assert bars(venue, **query, page_token=token)["next_page_token"] == token
    venue.faults.clear()
    venue.faults.add(Fault.parse({"kind": "page_token", "variant": "dropped"}))
    assert bars(venue, **query)["next_page_token"] is None


def test_a_fault_of_one_symbol_leaves_the_others_whole() -> None:
    venue = venue_of()
    query = {"symbols": "AAPL,MSFT", "end": "2024-05-31T13:39:00Z"}
    venue.faults.add(Fault.parse({"kind": "short_page", "symbol": "MSFT"}))
    shrunk = bars(venue, **query)
    assert {symbol: len(part) for symbol, part in shrunk["bars"].items()} == {"AAPL": 10, "MSFT": 5}
    assert shrunk["next_page_token"] is None
    venue.faults.clear()
    venue.faults.add(Fault.parse({"kind": "not_paid", "symbol": "MSFT"}))
    assert ask(venue, timeframe="1Min", **query, start="2024-05-31T13:30:00Z").status == 403
    assert len(bars(venue, symbols="AAPL", end="2024-05-31T13:39:00Z")["bars"]["AAPL"]) == 10


@pytest.mark.parametrize("variant", ["nan", "null", "text", "high_below_low", "off_minute"])
def test_values_can_be_spoiled(variant: str) -> None:
    venue = venue_of()
    query = {"symbols": "AAPL", "end": "2024-05-31T13:39:00Z"}
    before = bars(venue, **query)
    venue.faults.add(Fault.parse({"kind": "bad_values", "variant": variant}))
    assert bars(venue, **query) != before


def test_days_are_new_yorks_and_the_sums_of_their_minutes() -> None:
    venue = venue_of()
    query = {"symbols": "AAPL", "timeframe": "1Day", "start": "2024-03-07T05:00:00Z"}
    days = bars(venue, **query, end="2024-03-12T23:00:00Z")["bars"]["AAPL"]
    assert [day["t"] for day in days] == [
        "2024-03-07T05:00:00Z",
        "2024-03-08T05:00:00Z",
        "2024-03-11T04:00:00Z",
        "2024-03-12T04:00:00Z",
    ]
    minutes = true_rows(venue, "AAPL", "2024-03-11T04:00:00Z", "2024-03-12T04:00:00Z")
    assert days[2]["v"] == sum(volume for _, _, volume in minutes)
    today = bars(venue, symbols="AAPL", timeframe="1Day", start="2024-06-03T04:00:00Z", feed="iex")
    assert [day["t"] for day in today["bars"]["AAPL"]] == ["2024-06-03T04:00:00Z"]
