"""Pages and tokens: an answer is whole, or it is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from pipeline.providers.errors import (
    MalformedAnswer,
)
from tests.venue import recordings
from tests.wire.stocks import (
    HOUR,
    NOW,
    AlpacaOpener,
    Answers,
    bar,
    day,
    page,
)
from venue import VenueProcess

BROKEN = {
    "repeats": [page("a", AAPL=[bar(0)]), page("a", AAPL=[bar(1)])],
    "page of no bars": [page("a", AAPL=[bar(0)]), page("b")],
    "goes back in time": [page("a", AAPL=[bar(3)]), page(None, AAPL=[bar(2)])],
    "nobody asked for": [page(None, MSFT=[bar(0)])],
    "no end": [page(str(n), AAPL=[bar(n)]) for n in range(100)],
    "nothing of more pages": [{"bars": {"AAPL": [bar(0)]}}],
    "no bars, or": [{"next_page_token": None}],
    "sorted by symbol": [{"bars": [bar(0)], "next_page_token": None}],
    "no list of objects": [page(None, AAPL=[[1, 2]])],
    "no text": [page(None, AAPL=[bar(0)]) | {"next_page_token": 3}],
    "cannot be read": [page(None, AAPL=[bar(0) | {"t": "yesterday"}])],
    "no time": [page(None, AAPL=[{"c": 1}])],
}


@pytest.mark.parametrize(("reason", "documents"), BROKEN.items())
def test_pages_that_do_not_fit_together_are_no_answer(
    reason: str, documents: list[object], alpaca: AlpacaOpener
) -> None:
    provider = alpaca()
    broken = Answers(provider, *documents)
    with pytest.raises(MalformedAnswer, match=reason):
        provider.fetch_bars("AAPL", "equity", HOUR)
    assert len(broken.asked) <= 62


def test_pages_smaller_than_asked_for_are_followed_to_their_end(alpaca: AlpacaOpener) -> None:
    provider = alpaca()
    pages = [page(str(n), AAPL=[bar(n)]) for n in range(59)]
    Answers(provider, *pages, page(None, AAPL=[bar(59)]))
    assert provider.fetch_bars("AAPL", "equity", HOUR).num_rows == 60


@pytest.mark.parametrize("bars", [None, {}, {"AAPL": None}, {"AAPL": []}])
def test_every_spelling_of_nothing_is_an_answer_of_no_bars(
    bars: object, alpaca: AlpacaOpener
) -> None:
    provider = alpaca()
    Answers(provider, {"bars": bars, "next_page_token": None})
    assert provider.fetch_bars("AAPL", "equity", HOUR).num_rows == 0


def test_values_that_are_no_numbers_are_left_for_others_to_refuse(alpaca: AlpacaOpener) -> None:
    provider = alpaca()
    spoiled = [bar(0) | {"c": "NaN"}, bar(1) | {"c": None}, bar(2) | {"c": "abc"}, bar(3)]
    Answers(provider, page(None, AAPL=spoiled))
    closes = provider.fetch_bars("AAPL", "equity", HOUR)["close"].to_pylist()
    assert str(closes) == "[nan, None, None, 1.5]"


def test_a_token_that_repeats_at_the_venue_ends_as_an_error(
    alpaca: AlpacaOpener, stock_venue: VenueProcess
) -> None:
    provider = alpaca()
    long = day("2024-05-01T00:00", 20 * 1440)
    symbols = ["AAPL", "SPY"]
    whole = provider._ask(symbols, long)
    assert sum(table.num_rows for table in whole.values()) > 10_000
    assert stock_venue.requests()["total"] == 2
    stock_venue.post_fault("page_token", variant="repeated")
    with pytest.raises(MalformedAnswer, match="repeats"):
        provider._ask(symbols, long)


def test_a_clock_that_is_behind_has_no_minute_over(
    alpaca: AlpacaOpener, stock_venue: VenueProcess
) -> None:
    stock_venue.post_fault("clock_shift", shift_minutes=-120)
    stock_venue.set_clock(now=(NOW - timedelta(hours=2)).isoformat(), speed=0)
    provider = alpaca(feed="iex")
    with pytest.raises(MalformedAnswer, match="not over by its clock"):
        provider.fetch_bars("AAPL", "equity", day("2024-06-03T16:30", 60))


@recordings.needed
def test_recorded_pages_are_read_through_the_sdk(alpaca: AlpacaOpener) -> None:
    file = recordings.FOLDER / "_transcribed" / "alpaca_v2_stocks_bars_pages.json"
    many = orjson.loads(file.read_bytes())[2]["body"]
    provider = alpaca()
    Answers(provider, many)
    window = day("2022-03-09T00:00", 1440)
    found = provider._ask(["AAPL", "TSLA"], window)
    assert found["TSLA"].to_pylist() == [
        {
            "ts": datetime(2022, 3, 9, 5, tzinfo=UTC),
            "open": 839.0,
            "high": 860.56,
            "low": 832.01,
            "close": 858.97,
            "volume": 19227323.0,
            "vwap": 850.616587,
            "trades": 528531,
        }
    ]
    assert found["AAPL"]["trades"].to_pylist() == [700291]
