"""What Alpha Vantage's words, faults and odd documents come to; and that no key is in any of it."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pipeline.asking import Asking, Patience
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.providers.alpha_vantage_series import SERIES, decode, refusal, to_bars
from pipeline.providers.errors import (
    AuthenticationFailed,
    MalformedAnswer,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestTimedOut,
    UnknownSymbol,
    Unsupported,
)
from pipeline.providers.limiter import Unlimited
from pipeline.quality import sift
from pipeline.questions import Part
from tests.wire.alpha_vantage import KEY, NOW, AlphaVantageOpener, keys, month, plain, published
from venue import VenueProcess

APRIL = month(2024, 4)
FAULTS: dict[str, tuple[type[ProviderError], bool]] = {
    "rate_limit": (RateLimited, True),
    "server_error": (ProviderUnavailable, True),
    "timeout": (RequestTimedOut, True),
    "disconnect": (ProviderUnavailable, True),
    "truncated": (ProviderUnavailable, True),
    "truncated_json": (MalformedAnswer, True),
    "not_json": (MalformedAnswer, True),
    "empty_object": (MalformedAnswer, True),
    "not_paid": (Unsupported, False),
}


class Pauses(Unlimited):
    """Notes how long everybody is made to wait, and what for."""

    def __init__(self) -> None:
        self.pauses: list[tuple[timedelta, str]] = []

    def pause(self, duration: timedelta, reason: str, *, ban: bool = False) -> None:
        del ban
        self.pauses.append((duration, reason))


def everything_about(error: BaseException) -> str:
    """Return all that an error and those it came from show, and what their attributes hold."""
    seen: list[BaseException] = []
    text: list[str] = []

    def visit(one: BaseException | None) -> None:
        if one is None or any(one is other for other in seen):
            return
        seen.append(one)
        text.extend([repr(one), str(one), *traceback.format_exception(one)])
        for value in vars(one).values():
            text.extend([repr(value), repr(getattr(value, "url", "")), repr(vars_of(value))])
        visit(one.__cause__)
        visit(one.__context__)

    visit(error)
    return "\n".join(text)


def vars_of(value: object) -> object:
    return getattr(value, "__dict__", "")


@pytest.mark.parametrize("kind", FAULTS)
def test_a_page_error_ended_the_loop_and_the_truncated_range_was_a_success_is_absent(
    kind: str, monthly: AlphaVantageOpener, monthly_venue: VenueProcess
) -> None:
    client, (expected, retryable) = monthly(), FAULTS[kind]
    monthly_venue.post_fault(kind)
    with pytest.raises(expected) as caught:
        client.fetch_bars("MSFT", "equity", APRIL)
    assert caught.value.retryable is retryable
    monthly_venue.clear_faults()
    rows = plain(client.fetch_bars("MSFT", "equity", APRIL))
    assert rows == published(monthly_venue, "MSFT", APRIL)


def test_a_note_in_the_middle_of_a_run_leaves_that_month_failed_and_the_others_whole(
    monthly: AlphaVantageOpener, monthly_venue: VenueProcess
) -> None:
    client = monthly()
    span = Interval(month(2024, 3).start, month(2024, 5).end)
    windows = [piece for piece in span.months() if piece != APRIL]
    listing = Listing(
        1, "alpha_vantage", "MSFT", "MSFT", "equity", span.start, None, None, None, in_universe=True
    )
    inside = APRIL.start + timedelta(days=10)
    monthly_venue.post_fault("rate_limit", from_ms=ms(inside), to_ms=ms(inside) + 1)
    impatient = Patience(attempts=1, longest_wait=timedelta(minutes=2))
    asking = Asking(client, impatient)
    parts = [Part(listing, window) for window in (windows[0], APRIL, windows[1])]
    outcomes = {one.window: one for one in asking.ask(parts)}
    asking.close()
    assert isinstance(outcomes[APRIL].error, RateLimited)
    for window in windows:
        answer = outcomes[window].answer
        assert answer is not None
        assert answer.answered == window
        assert plain(answer.bars) == published(monthly_venue, "MSFT", window)


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def test_the_minutes_limit_pauses_for_a_minute_and_the_days_until_the_next_one(
    monthly: AlphaVantageOpener, monthly_venue: VenueProcess
) -> None:
    limiter = Pauses()
    for retry_after in (5, 86_400):
        monthly_venue.clear_faults()
        monthly_venue.post_fault("rate_limit", retry_after=retry_after)
        with pytest.raises(RateLimited):
            monthly(limiter=limiter).fetch_bars("MSFT", "equity", APRIL)
    (minute, _), (day, reason) = limiter.pauses
    assert minute == timedelta(minutes=1)
    # 14:00:30 in New York: ten hours until midnight.
    assert day == timedelta(hours=10, seconds=-30)
    assert "25 requests per day" in reason
    assert KEY not in reason


@pytest.mark.parametrize("shift", [-600, -300, -60, 60, 300, 600])
def test_stamps_of_another_time_zone_are_noticed(
    shift: int, monthly: AlphaVantageOpener, monthly_venue: VenueProcess
) -> None:
    monthly_venue.post_fault("clock_shift", shift_minutes=shift)
    with pytest.raises(MalformedAnswer, match=r"outside of its hours|a row is stamped"):
        monthly().fetch_bars("MSFT", "equity", APRIL)


def test_none_nan_and_infinity_became_zero_is_a_defect_that_is_absent(
    monthly: AlphaVantageOpener, monthly_venue: VenueProcess
) -> None:
    truth = {row["ts"]: row for row in published(monthly_venue, "MSFT", APRIL)}
    for variant in ("nan", "null", "text", "negative", "high_below_low"):
        monthly_venue.clear_faults()
        monthly_venue.post_fault("bad_values", variant=variant)
        bars = monthly().fetch_bars("MSFT", "equity", APRIL)
        good, refused = sift(bars)
        assert len(refused) > 500
        assert len(good) + len(refused) == len(truth)
        assert all(row == truth[row["ts"]] for row in plain(good))
        assert all(row["close"] != 0 for row in bars.to_pylist())


def series(*rows: tuple[str, dict[str, Any]], about: dict[str, str] | None = None) -> bytes:
    """Return a body, in which a stamp may come twice."""
    meta = {
        "2. Symbol": "MSFT",
        "4. Interval": "1min",
        "5. Output Size": "Full size",
        "6. Time Zone": "US/Eastern",
    } | (about or {})
    members = ",".join(f"{json.dumps(stamp)}: {json.dumps(row)}" for stamp, row in rows)
    return f'{{"Meta Data": {json.dumps(meta)}, "{SERIES}": {{{members}}}}}'.encode()


def row(close: object = "2.0", volume: object = "7") -> dict[str, Any]:
    return {
        "1. open": "1.5",
        "2. high": "2.5",
        "3. low": "1.0",
        "4. close": close,
        "5. volume": volume,
    }


NOVEMBER = date(2020, 11, 1)


def read(body: bytes, month_: date = NOVEMBER) -> list[dict[str, Any]]:
    bars = to_bars("av", decode("av", body), "MSFT", month_)
    rows: list[dict[str, Any]] = bars.to_pylist()
    return rows


def test_a_stamp_is_the_end_of_its_minute_in_new_york_on_either_side_of_a_clock_change() -> None:
    rows = read(series(("2020-11-27 13:00:00", row()), ("2020-11-02 20:00:00", row())))
    assert [one["ts"] for one in rows] == [
        datetime(2020, 11, 27, 17, 59, tzinfo=UTC),
        datetime(2020, 11, 3, 0, 59, tzinfo=UTC),
    ]
    (summer,) = read(series(("2020-10-30 04:01:00", row())), date(2020, 10, 1))
    assert summer["ts"] == datetime(2020, 10, 30, 8, 0, tzinfo=UTC)


def test_a_word_instead_of_a_number_is_missing_and_two_rows_of_a_minute_stay_two() -> None:
    body = series(
        ("2020-11-27 13:00:00", row(volume="None")),
        ("2020-11-27 12:59:00", row(close="None")),
        ("2020-11-27 12:58:00", row(close="Infinity")),
        ("2020-11-27 12:57:00", row(close="1_000")),
        ("2020-11-27 12:56:00", row()),
        ("2020-11-27 12:56:00", row(close="1.2")),
    )
    bars = to_bars("av", decode("av", body), "MSFT", NOVEMBER)
    assert len(bars) == 6
    good, refused = sift(bars)
    assert [one["volume"] for one in good.to_pylist()] == [None]
    assert sorted(bar.rule for bar in refused) == [
        "close_finite",
        *["close_not_nullable"] * 2,
        *["one_bar_a_minute"] * 2,
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"{}",
        b'{"Meta Data": {}}',
        series(),
        series(("2020-11-27 13:00:00", row()), about={"5. Output Size": "Compact"}),
        series(("2020-11-27 13:00:00", row()), about={"6. Time Zone": "UTC"}),
        series(("2020-11-27 13:00:00", row()), about={"4. Interval": "5min"}),
        series(("2020-11-27 13:00:00", row()), about={"2. Symbol": "IBM"}),
        series(("2020-12-01 13:00:00", row())),
        series(("2020-11-27 03:59:00", row())),
        series(("2020-11-27 20:01:00", row())),
        series(("2020-11-31 13:00:00", row())),
        series(("27.11.2020 13:00", row())),
        series(("2020-11-27 13:00:00", row()))[:-2],
    ],
)
def test_a_document_about_something_else_or_half_of_one_is_no_answer(body: bytes) -> None:
    if body == series():
        assert read(body) == []  # only this one is: a month without a bar
        return
    with pytest.raises(MalformedAnswer):
        read(body)


@pytest.mark.parametrize(
    ("words", "kind", "wait"),
    [
        ("5 calls per minute and 500 calls per day", RateLimited, timedelta(minutes=1)),
        ("our standard API rate limit is 25 requests per day", RateLimited, None),
        (
            "sparingly (1 request per second), 25 requests per day",
            RateLimited,
            timedelta(seconds=2),
        ),
        ("This is a premium endpoint", Unsupported, None),
        ("the parameter apikey is invalid or missing", AuthenticationFailed, None),
        ("The **demo** API key is for demo purposes only", AuthenticationFailed, None),
        ("Invalid API call. Please retry", UnknownSymbol, None),
        ("We are moving house", MalformedAnswer, None),
    ],
)
@pytest.mark.parametrize("name", ["Note", "Information", "Error Message"])
def test_words_are_read_whatever_they_are_called(
    name: str, words: str, kind: type[ProviderError], wait: timedelta | None
) -> None:
    error = refusal("av", {name: words}, NOW, str)
    assert type(error) is kind
    if wait is not None:
        assert isinstance(error, RateLimited)
        assert error.retry_after == wait


@pytest.mark.parametrize("kind", [*FAULTS, "day_limit", "connection", "wrong_key", None])
def test_no_key_is_in_any_error_its_chain_or_the_logs(
    kind: str | None,
    monthly: AlphaVantageOpener,
    monthly_venue: VenueProcess,
    caplog: pytest.LogCaptureFixture,
) -> None:
    options: dict[str, Any] = {}
    other = "MARKEDOTHERKEY/42+X"
    if kind == "day_limit":
        monthly_venue.post_fault("rate_limit", retry_after=86_400)
    elif kind == "connection":
        options["base_url"] = "http://127.0.0.1:9"
    elif kind == "wrong_key":
        options["keys"] = keys(other)
    elif kind is not None:
        monthly_venue.post_fault(kind)
    limiter = Pauses()
    client = monthly(limiter=limiter, **options)
    shown: list[object] = [client, vars(client), vars(client._session), vars(client._watch)]
    with caplog.at_level(logging.DEBUG):
        for ask in (
            lambda: client.fetch_bars("NOPE", "equity", APRIL),
            lambda: client.find_market("NOPE", "equity"),
        ):
            with pytest.raises(ProviderError) as caught:
                ask()
            assert caught.value.__cause__ is None
            assert caught.value.__context__ is None
            shown.append(everything_about(caught.value))
    assert "apikey=***" in caplog.text or kind == "connection"
    everything = f"{shown} {limiter.pauses} {caplog.text} {[r.args for r in caplog.records]}"
    assert "MARKED" not in everything
    journal = monthly_venue.requests()
    assert "MARKED" not in json.dumps(journal)
