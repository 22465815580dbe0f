"""Finding the first minute that a provider has of a market, by asking.

What belongs here: the questions, and when their answers are believed. Venues do answer questions
about the time before a listing with garbage, so a wrong date is easy to get; no date at all is
better than that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import pyarrow as pa

from pipeline.intervals import MINUTE, Interval
from pipeline.providers.protocol import FirstTrade

Ask = Callable[[Literal["1m", "1d"], Interval, int], pa.Table]
"""Asks once for the bars of a timeframe that start in an interval, the first so many of them."""

BEGINNING: Final = datetime(2009, 1, 3, tzinfo=UTC)
"""No coin was traded before the first block of Bitcoin."""

_DAY: Final = timedelta(days=1)
_FEW: Final = 5


def from_the_beginning(ask: Ask, now: datetime) -> FirstTrade | None:
    """Take the first bar of the answer to "everything there is".

    Believed if the minute has the bar when it is asked for alone, and the time before has none.

    Args:
        ask: The provider.
        now: The end of what can be asked for, UTC, on a whole minute.
    """
    ts = _first_credible(ask("1m", Interval(BEGINNING, now), _FEW), Interval(BEGINNING, now))
    if ts is None or not _has_bar(ask, ts):
        return None
    before = Interval(BEGINNING, ts)
    if before.minutes and _first_credible(ask("1m", before, _FEW), before) is not None:
        return None
    return FirstTrade(
        ts,
        f"first bar when asked from {BEGINNING:%Y-%m-%d} on; it is there when asked for alone, "
        "and before it there is none",
    )


REQUESTS_FROM_THE_BEGINNING: Final = 3
"""How many requests `from_the_beginning` takes when it finds the first trade."""


def by_daily_bars(ask: Ask, now: datetime, page: int) -> FirstTrade | None:
    """Look for the first daily bar page by page, then for the first minute of that day.

    Args:
        ask: The provider.
        now: The end of what can be asked for, UTC, on a whole minute.
        page: Bars a request.
    """
    day = _search(ask, "1d", Interval(BEGINNING, now), page)
    if day is None:
        return None
    ts = _search(ask, "1m", Interval(day, min(day + _DAY, now)), page)
    if ts is None or not _has_bar(ask, ts):
        return None
    return FirstTrade(
        ts,
        f"first minute of the first daily bar ({day:%Y-%m-%d}), searched by pages of {page} bars",
    )


def requests_by_daily_bars(start: datetime, page: int) -> int:
    """Return how many requests `by_daily_bars` takes at most if the first minute is before `start`.

    Args:
        start: A time after the first minute, UTC.
        page: Bars a request.
    """
    days = Interval(BEGINNING, max(start, BEGINNING)).minutes // (_DAY // MINUTE) + 1
    return math.ceil(days / page) + math.ceil(_DAY / MINUTE / page) + 1


def _search(ask: Ask, timeframe: Literal["1m", "1d"], span: Interval, page: int) -> datetime | None:
    step = _DAY if timeframe == "1d" else MINUTE
    for window in span.split(page * (step // MINUTE)):
        if (ts := _first_credible(ask(timeframe, window, page), window)) is not None:
            return ts
    return None


def _has_bar(ask: Ask, ts: datetime) -> bool:
    minute = Interval(ts, ts + MINUTE)
    return _first_credible(ask("1m", minute, 1), minute) == ts


def _first_credible(bars: pa.Table, window: Interval) -> datetime | None:
    return min((row["ts"] for row in bars.to_pylist() if _credible(row, window)), default=None)


def _credible(row: dict[str, Any], window: Interval) -> bool:
    """Return whether a bar lies in the window, on a whole minute, with prices that can be paid."""
    ts, prices = row["ts"], [row[name] for name in ("open", "high", "low", "close")]
    if ts is None or ts not in window or ts.second or ts.microsecond:
        return False
    if any(price is None or not math.isfinite(price) or price <= 0 for price in prices):
        return False
    return bool(row["low"] <= min(prices) and row["high"] >= max(prices))
