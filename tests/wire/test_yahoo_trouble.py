"""What Yahoo's refusals, faults and odd documents come to: never an empty answer, never a 0."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from curl_cffi.requests import Response
from yfinance import cache

from pipeline.intervals import MINUTE, Interval
from pipeline.providers.errors import (
    MalformedAnswer,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestTimedOut,
    UnknownSymbol,
)
from pipeline.providers.limiter import Unlimited
from pipeline.providers.yahoo_chart import decode, result_of, to_bars
from pipeline.quality import sift
from tests.wire.yahoo import FRIDAY, YahooOpener, plain, published
from venue import VenueProcess

FAULTS: dict[str, tuple[type[ProviderError], ...]] = {
    "rate_limit": (RateLimited,),
    "server_error": (ProviderUnavailable,),
    "timeout": (RequestTimedOut,),
    "disconnect": (ProviderUnavailable,),
    "truncated": (ProviderUnavailable,),
    "truncated_json": (MalformedAnswer,),
    "not_json": (MalformedAnswer,),
    "empty_object": (MalformedAnswer,),
    "not_paid": (ProviderUnavailable,),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which yfinance would keep its caches."""
    for manager in (cache._CookieDBManager, cache._TzDBManager, cache._ISINDBManager):
        monkeypatch.setattr(manager, "_cache_dir", str(tmp_path / manager.__name__))
    return tmp_path


class Pauses(Unlimited):
    """Notes how long everybody is made to wait, and how requests ended."""

    def __init__(self) -> None:
        self.pauses: list[timedelta] = []
        self.outcomes: list[str] = []

    def pause(self, duration: timedelta, reason: str, *, ban: bool = False) -> None:
        del reason, ban
        self.pauses.append(duration)

    def answered(self, send: Any, report: Any) -> None:
        del send
        self.outcomes.append(report.outcome)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_page_error_ended_the_loop_and_the_truncated_range_was_a_success_is_absent(
    kind: str, yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    client = yahoo_client()
    client.fetch_bars("AAPL", "equity", FRIDAY)
    yahoo_venue.post_fault(kind, symbol="AAPL")
    with pytest.raises(FAULTS[kind]) as caught:
        client.fetch_bars("AAPL", "equity", FRIDAY)
    assert caught.value.retryable
    yahoo_venue.clear_faults()
    rows = plain(client.fetch_bars("AAPL", "equity", FRIDAY))
    assert rows == published(yahoo_venue, "AAPL", FRIDAY)


def test_a_429_is_not_asked_again_at_once_and_makes_everybody_wait_long(
    yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    limiter = Pauses()
    client = yahoo_client(limiter=limiter)
    client.fetch_bars("AAPL", "equity", FRIDAY)
    yahoo_venue.clear_requests()
    yahoo_venue.post_fault("rate_limit", symbol="AAPL")
    with pytest.raises(RateLimited):
        client.fetch_bars("AAPL", "equity", FRIDAY)
    assert yahoo_venue.requests()["total"] == 1
    assert limiter.pauses == [timedelta(minutes=15)]
    assert limiter.outcomes[-1] == "RateLimited"


@pytest.mark.parametrize("kind", ["rate_limit", "server_error", "disconnect", "not_json"])
def test_bars_come_without_cookies_too(
    kind: str, yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    yahoo_venue.post_fault(kind, times=2)
    rows = plain(yahoo_client().fetch_bars("AAPL", "equity", FRIDAY))
    assert rows == published(yahoo_venue, "AAPL", FRIDAY)


def test_a_403_gets_other_cookies_and_a_second_try(
    yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    client = yahoo_client()
    client.fetch_bars("AAPL", "equity", FRIDAY)
    yahoo_venue.post_fault("not_paid", symbol="AAPL", times=1)
    rows = plain(client.fetch_bars("AAPL", "equity", FRIDAY))
    assert rows == published(yahoo_venue, "AAPL", FRIDAY)


@pytest.mark.parametrize("shift", [-600, -60, -30, 30, 60, 600])
def test_an_answer_with_wrong_stamps_is_discredited(
    shift: int, yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    yahoo_venue.post_fault("clock_shift", shift_minutes=shift)
    try:
        bars = yahoo_client().fetch_bars("BTC-USD", "crypto_spot", FRIDAY)
    except MalformedAnswer:
        return
    assert any(ts not in FRIDAY for ts in bars["ts"].to_pylist())


def test_none_nan_and_infinity_became_zero_is_a_defect_that_is_absent(
    yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    yahoo_venue.post_fault("bad_values")
    bars = yahoo_client().fetch_bars("AAPL", "equity", FRIDAY)
    good, refused = sift(bars)
    truth = {row["ts"]: row for row in published(yahoo_venue, "AAPL", FRIDAY)}
    assert len(refused) > 20
    assert all(row == truth[row["ts"]] for row in plain(good))
    assert all(0 not in (bar["open"], bar["close"]) for bar in bars.to_pylist())


def test_repeated_minutes_are_left_for_the_judge(
    yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    yahoo_venue.post_fault("duplicates", variant="conflicting")
    good, refused = sift(yahoo_client().fetch_bars("AAPL", "equity", FRIDAY))
    truth = published(yahoo_venue, "AAPL", FRIDAY)
    assert {bar.rule for bar in refused} == {"one_bar_a_minute"}
    assert len(plain(good)) < len(truth)


def test_nothing_is_printed_logged_or_left_in_the_home_folder(
    yahoo_client: YahooOpener,
    yahoo_venue: VenueProcess,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    home: Path,
) -> None:
    yahoo_venue.post_fault("server_error", times=3)
    client = yahoo_client()
    with caplog.at_level(logging.INFO):
        for symbol in ("AAPL", "GONE", "AAPL"):
            try:
                client.fetch_bars(symbol, "equity", FRIDAY)
            except ProviderError:
                continue
    assert not [record for record in caplog.records if record.name.startswith("yfinance")]
    assert capfd.readouterr() == ("", "")
    assert list(home.iterdir()) == []


def test_two_clients_do_not_share_a_session(
    yahoo_client: YahooOpener, yahoo_venue: VenueProcess
) -> None:
    one, nowhere = yahoo_client(), yahoo_client(base_url="http://127.0.0.1:9")
    assert len(one.fetch_bars("AAPL", "equity", FRIDAY)) > 100
    with pytest.raises(ProviderUnavailable):
        nowhere.fetch_bars("AAPL", "equity", FRIDAY)


META = {"symbol": "AAPL", "dataGranularity": "1m", "regularMarketTime": 1}
HOUR = Interval(FRIDAY.start, FRIDAY.start + timedelta(hours=1))
AT = int(HOUR.start.timestamp())


def answered(body: object, status: int = 200, **headers: str) -> Response:
    response = Response()
    response.status_code = status
    response.content = body if isinstance(body, bytes) else orjson.dumps(body)
    response.headers.update(headers)
    return response


def chart(*rows: tuple[Any, ...], **meta: Any) -> dict[str, Any]:
    stamps, *columns = map(list, zip(*rows, strict=True)) if rows else [[] for _ in range(6)]
    quote = dict(zip(("open", "high", "low", "close", "volume"), columns, strict=True))
    return {"meta": META | meta, "timestamp": stamps, "indicators": {"quote": [quote]}}


def bars_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    return plain(to_bars("yahoo", result, HOUR, timedelta(hours=1)))


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (404, "Not Found: No data found, symbol may be delisted", UnknownSymbol, "delisted"),
        (400, "Bad Request: Data doesn't exist for startDate = 1", MalformedAnswer, "exist"),
        (200, "Internal: something", MalformedAnswer, "Internal"),
        (401, "Unauthorized: Invalid Crumb", ProviderUnavailable, "Invalid Crumb"),
    ],
)
def test_an_error_in_whatever_body_is_an_error(
    status: int, body: str, kind: type[ProviderError], text: str
) -> None:
    code, description = body.split(": ")
    error = {"code": code, "description": description}
    for part in ("chart", "finance"):
        with pytest.raises(kind, match=text):
            decode("yahoo", answered({part: {"result": None, "error": error}}, status))


def test_a_refusal_waits_as_long_as_it_says() -> None:
    for status in (429, 999):
        with pytest.raises(RateLimited) as caught:
            decode("yahoo", answered(b"Too Many Requests\r\n", status, **{"Retry-After": "77"}))
        assert caught.value.retry_after == timedelta(seconds=77)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"chart": None},
        {"chart": {"result": None, "error": None}},
        {"chart": {"result": [], "error": None}},
        {"chart": {"result": [{}], "error": None}},
        {"chart": {"result": [chart(symbol="MSFT")], "error": None}},
        {"chart": {"result": [chart(dataGranularity="1d")], "error": None}},
    ],
)
def test_a_document_about_nothing_or_something_else_is_no_answer(document: dict[str, Any]) -> None:
    with pytest.raises(MalformedAnswer):
        result_of("yahoo", document, "AAPL", "1m")


def test_only_a_chart_without_stamps_and_without_values_is_empty() -> None:
    assert bars_of({"meta": META, "indicators": {"quote": [{}]}}) == []
    assert bars_of(chart()) == []
    whole = chart((AT, 1.0, 1.0, 1.0, 1.0, 5))
    assert len(bars_of(whole)) == 1
    for broken in (
        {key: value for key, value in whole.items() if key != "timestamp"},
        whole | {"timestamp": [AT, AT + 60]},
        whole | {"timestamp": ["2024"]},
        whole | {"indicators": {"quote": [{"open": [1.0]}]}},
        whole | {"indicators": {"quote": []}},
        whole | {"indicators": {}},
    ):
        with pytest.raises(MalformedAnswer):
            bars_of(broken)


def test_a_row_of_nulls_is_a_quiet_minute_and_a_row_with_some_is_refused() -> None:
    rows = [
        (AT, 1.0, 2.0, 1.0, 1.5, 5),
        (AT + 60, None, None, None, None, None),
        (AT + 120, None, None, None, None, 0),
        (AT + 180, 1.0, None, 1.0, 1.0, 5),
        (AT + 240, 1.0, 2.0, 1.0, "NaN", 5),
        (AT + 300, 1.0, 2.0, 1.0, 1.5, None),
    ]
    bars = to_bars("yahoo", chart(*rows), HOUR, timedelta(0))
    good, refused = sift(bars)
    assert [row["volume"] for row in plain(good)] == [5.0, None]
    assert [bar.rule for bar in refused] == ["high_not_nullable", "close_not_nullable"]


def test_the_latest_price_is_left_out_unless_it_is_the_only_word_on_its_minute() -> None:
    bar, price = (1.0, 2.0, 1.0, 1.5, 5), (1.5, 1.5, 1.5, 1.5, 0)
    inside, after = AT + 600, AT + 3 * 3600 + 17
    assert len(bars_of(chart((AT, *bar), (after, *price)))) == 1
    assert len(bars_of(chart((AT, *bar), (after - 17, *price), regularMarketTime=after))) == 1
    # Not the latest price, but an answer to another question:
    assert len(bars_of(chart((AT, *bar), (after - 17, *price)))) == 2
    assert len(bars_of(chart((AT, *bar), (after, *price), (after + 60, *price)))) == 2
    assert len(bars_of(chart((inside, *bar), (inside + 17, *price)))) == 1
    alone = to_bars("yahoo", chart((AT, *bar), (inside + 17, *price)), HOUR, timedelta(0))
    good, refused = sift(alone)
    assert (len(good), [bar.rule for bar in refused]) == (1, ["on_the_minute"])


def test_what_was_asked_for_before_the_window_is_left_out_and_what_is_older_is_not() -> None:
    bar = (1.0, 2.0, 1.0, 1.5, 5)
    rows = [(AT + 60 * offset, *bar) for offset in (-61, -60, -1, 0)]
    kept = [row["ts"] for row in bars_of(chart(*rows))]
    assert kept == [HOUR.start - 61 * MINUTE, HOUR.start]
