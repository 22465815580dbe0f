"""What Yahoo really sent for half an hour of Amazon, and what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from pipeline.intervals import MINUTE, Interval
from pipeline.providers.errors import MalformedAnswer
from pipeline.providers.yahoo_chart import result_of, to_bars
from pipeline.quality import sift
from tests.venue.recordings import FOLDER, needed

pytestmark = needed

AMZN = FOLDER / "_transcribed" / "yahoo_v8_chart_AMZN_1m_range30m_2023-05-02.json"
FIXTURES = FOLDER / "gadicc_node-yahoo-finance2/tests/fixtures/http"
CLOSE = datetime(2023, 5, 2, 20, 0, tzinfo=UTC)


def chart() -> Any:
    return result_of("yahoo", orjson.loads(AMZN.read_bytes()), "AMZN", "1m")


def test_every_recorded_minute_is_credible_and_the_close_is_the_minute_that_it_names() -> None:
    window = Interval(CLOSE - timedelta(minutes=30), CLOSE + MINUTE)
    good, refused = sift(to_bars("yahoo", chart(), window, timedelta(0)))
    assert (len(good), refused) == (31, [])
    last, before = good.to_pylist()[-1], good.to_pylist()[-2]
    assert (last["ts"], last["close"], last["volume"]) == (CLOSE, 103.62999725341797, 0)
    assert (before["close"], before["volume"]) == (103.66000366210938, 862_819)


def test_asked_for_until_the_close_the_latest_price_is_left_out() -> None:
    window = Interval(CLOSE - timedelta(minutes=29), CLOSE)
    bars = to_bars("yahoo", chart(), window, MINUTE)
    assert len(bars) == 29
    assert 0 not in bars["volume"].to_pylist()


def test_a_recorded_weekend_is_an_empty_answer_and_charts_without_stamps_are_none() -> None:
    saturday = datetime(2025, 2, 1, tzinfo=UTC)
    window = Interval(saturday, saturday + timedelta(days=1))

    def recorded(name: str, step: str) -> Any:
        body = orjson.loads((FIXTURES / name).read_bytes())["response"]["bodyJson"]
        return result_of("yahoo", body, "AAPL", step)

    name = "chart-AAPL-2025-02-01-to-2025-02-02-includePrePost-false-interval-1m.json"
    assert len(to_bars("yahoo", recorded(name, "1m"), window, MINUTE)) == 0
    for odd in ("quotes-length", "weird-quote"):
        with pytest.raises(MalformedAnswer, match="not made of columns of one length"):
            to_bars("yahoo", recorded(f"chart-notimestamp-{odd}.fake.json", "1d"), window, MINUTE)
