"""First minutes are found among garbage, and doubted rather than invented."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

import pyarrow as pa
import pytest

from pipeline.bars import BAR_SCHEMA
from pipeline.intervals import MINUTE, Interval
from pipeline.providers.first_trade import BEGINNING, by_daily_bars, from_the_beginning

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
FIRST = datetime(2020, 2, 3, 4, 5, tzinfo=UTC)
DAY = datetime(2020, 2, 3, tzinfo=UTC)


def _bars(stamps: Iterable[datetime], price: float | None = 10.0) -> pa.Table:
    prices = dict.fromkeys(("open", "high", "low", "close"), price)
    rows = [{"ts": ts, **prices, "volume": 1.0, "vwap": None, "trades": None} for ts in stamps]
    return pa.Table.from_pylist(rows, BAR_SCHEMA)


class Venue:
    """Has a bar at FIRST and every minute after, and puts `garbage` into every answer."""

    def __init__(self, garbage: pa.Table | None = None) -> None:
        self.garbage = garbage
        self.asked: list[tuple[str, Interval]] = []

    def ask(self, timeframe: Literal["1m", "1d"], window: Interval, limit: int) -> pa.Table:
        self.asked.append((timeframe, window))
        first, step = (FIRST, MINUTE) if timeframe == "1m" else (DAY, timedelta(days=1))
        start = max(first, window.start)
        count = max(0, min(limit, -((start - window.end) // step)))
        bars = _bars(start + n * step for n in range(count))
        return bars if self.garbage is None else pa.concat_tables([self.garbage, bars])


def test_the_first_bar_of_everything_is_the_first_trade() -> None:
    venue = Venue()
    found = from_the_beginning(venue.ask, NOW)
    assert found is not None
    assert found.ts == FIRST
    assert len(venue.asked) == 3


@pytest.mark.parametrize("page", [60, 300, 10_000])
def test_the_first_day_and_then_its_first_minute_are_searched(page: int) -> None:
    venue = Venue()
    found = by_daily_bars(venue.ask, NOW, page)
    assert found is not None
    assert found.ts == FIRST
    assert "2020-02-03" in found.evidence
    assert all(window.minutes <= page for frame, window in venue.asked if frame == "1m")


_GARBAGE = [
    _bars([datetime(1970, 1, 1, tzinfo=UTC), NOW + timedelta(days=9)]),
    _bars([BEGINNING + timedelta(days=9)], price=0.0),
    _bars([BEGINNING + timedelta(days=9)], price=float("nan")),
    _bars([BEGINNING + timedelta(days=9)], price=None),
    _bars([BEGINNING + timedelta(seconds=17)]),
]


@pytest.mark.parametrize("garbage", _GARBAGE)
def test_garbage_before_the_listing_is_not_believed(garbage: pa.Table) -> None:
    found = from_the_beginning(Venue(garbage).ask, NOW)
    searched = by_daily_bars(Venue(garbage).ask, NOW, 1000)
    assert found is not None
    assert searched is not None
    assert found.ts == searched.ts == FIRST


def test_a_bar_that_is_gone_when_asked_for_alone_is_not_believed() -> None:
    def ask(timeframe: str, window: Interval, limit: int) -> pa.Table:
        return _bars([FIRST] if window.minutes > 1 and FIRST in window else [])

    assert from_the_beginning(ask, NOW) is None
    assert by_daily_bars(ask, NOW, 1000) is None


def test_an_api_that_answers_with_its_newest_bars_is_not_believed() -> None:
    def ask(timeframe: str, window: Interval, limit: int) -> pa.Table:
        newest = window.end - limit * MINUTE
        return _bars(max(newest, window.start) + n * MINUTE for n in range(min(limit, 5)))

    assert from_the_beginning(ask, NOW) is None


def test_days_that_have_no_minutes_give_no_date() -> None:
    def ask(timeframe: str, window: Interval, limit: int) -> pa.Table:
        return _bars([DAY] if timeframe == "1d" and DAY in window else [])

    assert by_daily_bars(ask, NOW, 1000) is None


def test_a_market_that_was_never_traded_has_no_first_trade() -> None:
    def ask(timeframe: str, window: Interval, limit: int) -> pa.Table:
        return _bars([])

    assert from_the_beginning(ask, NOW) is None
    assert by_daily_bars(ask, NOW, 10_000) is None
