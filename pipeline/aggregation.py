"""Bars of a timeframe from the minutes, or days, below them.

What belongs here: the arithmetic, on columns, and nothing that reads or stores. Bars are grouped by
time and never by their number: a missing minute shifts nothing.

- A bar below a day begins at the opening of its day of trading, or a whole number of its lengths
  later, and ends with that day at the latest. Where markets never close the day is UTC's.
- A bar of a day is one day of trading; weeks, months and years are the days of their dates.
- Open is the first minute's, close the last one's; volume and trades are sums, vwap is weighted by
  volume. Each of the three is null when a minute of the bar lacks it: part of a sum is no sum.
- Minutes outside of the regular session are in no bar.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.calendars import SessionDay
from pipeline.intervals import Interval
from pipeline.timeframes import Timeframe

Moments = NDArray[np.int64]
"""Whole minutes since 1970, UTC."""
Column = NDArray[np.float64]

_MICROSECONDS = 60_000_000
_STAMP = pa.timestamp("us", tz="UTC")

TIMEFRAME_SCHEMA = pa.schema(
    [
        pa.field("ts", _STAMP, metadata={"doc": "start of the bar, UTC"}),
        pa.field("before", _STAMP, metadata={"doc": "end of the bar, UTC; not part of it"}),
        pa.field(
            "session_date",
            pa.date32(),
            metadata={
                "doc": "date of its day of trading; of 1w the Monday, of 1mo and 1y the first"
            },
        ),
        pa.field("open", pa.float64(), metadata={"doc": "first price"}),
        pa.field("high", pa.float64(), metadata={"doc": "highest price"}),
        pa.field("low", pa.float64(), metadata={"doc": "lowest price"}),
        pa.field("close", pa.float64(), metadata={"doc": "last price"}),
        pa.field("volume", pa.float64(), metadata={"doc": "traded amount in base units"}),
        pa.field("vwap", pa.float64(), metadata={"doc": "volume-weighted average price"}),
        pa.field("trades", pa.int64(), metadata={"doc": "number of trades"}),
        pa.field("minutes_expected", pa.int32(), metadata={"doc": "open minutes of the bar"}),
        pa.field("minutes_present", pa.int32(), metadata={"doc": "those with a 1-minute bar"}),
        pa.field(
            "complete",
            pa.bool_(),
            metadata={"doc": "whether the provider has answered for all of them"},
        ),
    ]
)
"""Columns of bars above a minute. A missing value is null, never zero or NaN."""


class Spans:
    """Ranges of minutes, to be counted from any moment to any other."""

    def __init__(self, pieces: Iterable[Interval]) -> None:
        bounds = [(_minute(piece.start), _minute(piece.end)) for piece in pieces]
        edges = np.array(sorted(bounds), dtype=np.int64).reshape(-1, 2)
        self._starts, self._lengths = edges[:, 0], edges[:, 1] - edges[:, 0]
        self._passed = np.concatenate([[0], np.cumsum(self._lengths)])

    def hold(self, moments: Moments) -> NDArray[np.bool_]:
        """Return whether each moment's minute lies in the ranges."""
        return self.passed(moments + 1) > self.passed(moments)

    def next(self, moments: Moments) -> Moments:
        """Return the first minute of the ranges that is not before each moment.

        Where there is none it is the moment itself, which is then in no range.
        """
        later = np.append(self._starts, np.iinfo(np.int64).max)
        following = later[np.searchsorted(self._starts, moments, side="left")]
        none = self.hold(moments) | (following == later[-1])
        return np.where(none, moments, following)

    def passed(self, moments: Moments) -> Moments:
        """Return how many minutes of the ranges lie before each moment."""
        begun = np.searchsorted(self._starts, moments, side="right")
        if not len(self._starts):
            return np.zeros_like(moments)
        latest = np.maximum(begun - 1, 0)
        within = np.clip(moments - self._starts[latest], 0, self._lengths[latest])
        return np.where(begun > 0, self._passed[latest] + within, 0)


@dataclass(frozen=True, slots=True)
class Market:
    """When a listing should have bars, and what its provider has answered for.

    Attributes:
        days: The days of trading around the bars, in order of time.
        open: The minutes in which its market was open.
        expected: Those of them since its first trade.
        answered: Those of them that the provider has answered, with a bar or without.
    """

    days: Sequence[SessionDay]
    open: Spans
    expected: Spans
    answered: Spans


NEVER_OPEN = Market((), Spans(()), Spans(()), Spans(()))


@dataclass(frozen=True, slots=True)
class Parts:
    """What bars are made of: minutes or days, in order of time; what is missing is NaN."""

    ts: Moments
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column
    turnover: Column
    trades: Column
    present: Moments

    @classmethod
    def of(cls, bars: pa.Table, market: Market) -> Parts:
        """Return the columns of those bars that are part of a longer one."""
        bars = parts_of(bars, market)
        days = "minutes_present" in bars.schema.names
        values = {
            name: bars[name].to_numpy().astype(np.float64, copy=False)
            for name in ("open", "high", "low", "close", "volume", "vwap", "trades")
        }
        # Where nothing was traded a price weighs nothing, also one that is not there.
        turnover = np.where(values["volume"] == 0, 0.0, values.pop("vwap") * values["volume"])
        return cls(
            ts=moments_of(bars),
            turnover=turnover,
            present=(
                bars["minutes_present"].to_numpy().astype(np.int64)
                if days
                else np.ones(bars.num_rows, dtype=np.int64)
            ),
            **values,
        )


def parts_of(bars: pa.Table, market: Market) -> pa.Table:
    """Return those bars that are part of a longer one.

    Args:
        bars: In order of time; minutes with the columns of `BAR_SCHEMA`, of which those in which
            the market was open are parts, or bars of a day with those of `TIMEFRAME_SCHEMA`.
        market: When there should be bars.
    """
    ts = moments_of(bars)
    if "minutes_present" not in bars.schema.names:
        chosen = market.open.hold(ts)
    else:
        # A day that begins otherwise now is still to be built, and so is then what it is part of.
        chosen = np.isin(ts, [_minute(day.start) for day in market.days])
    return bars if chosen.all() else bars.filter(pa.array(chosen))


def moments_of(bars: pa.Table, column: str = "ts") -> Moments:
    """Return when bars begin, or what another column of whole minutes has."""
    moments: Moments = bars[column].cast(pa.int64()).to_numpy() // _MICROSECONDS
    return moments


def aggregate(parts: Parts, timeframe: Timeframe, market: Market) -> pa.Table:
    """Return the bars of a timeframe that have at least one part.

    Args:
        parts: Minutes; for weeks, months and years days. Each bar to be built needs all of its own.
        timeframe: What to build.
        market: When there should be bars; all days of the bars to be built, and for weeks, months
            and years all days of these, whether they have bars or not.

    Returns:
        A table with `TIMEFRAME_SCHEMA` in order of time.
    """
    if not len(parts.ts):
        return TIMEFRAME_SCHEMA.empty_table()
    starts, ends, dates = bars_around(parts.ts, market.days, timeframe)
    first = np.flatnonzero(np.concatenate([[True], starts[1:] != starts[:-1]]))
    return _table(parts, first, (starts[first], ends[first], dates[first]), market)


def bars_around(
    ts: Moments, days: Sequence[SessionDay], timeframe: Timeframe
) -> tuple[Moments, Moments, Moments]:
    """Return start, end and date of the bar that each minute lies in, whether there is one or not.

    A period begins with its first day of trading, whether that has bars or not.

    Args:
        ts: Minutes within the days of trading.
        days: All days of trading of the bars, in order of time.
        timeframe: How long the bars are.
    """
    opens, closes = _bounds(days)
    which = np.searchsorted(opens, ts, side="right") - 1
    if (period := timeframe.period) is not None:
        labels = np.array([_date(period.first_day(day.day)) for day in days], dtype=np.int64)
        mine = labels[which]
        starts = opens[np.searchsorted(labels, mine, side="left")]
        return starts, closes[np.searchsorted(labels, mine, side="right") - 1], mine
    dates = np.array([_date(day.day) for day in days], dtype=np.int64)
    starts, ends = opens[which], closes[which]
    if isinstance(timeframe.length, int):
        starts = starts + (ts - starts) // timeframe.length * timeframe.length
        ends = np.minimum(ends, starts + timeframe.length)
    return starts, ends, dates[which]


def _bounds(days: Sequence[SessionDay]) -> tuple[Moments, Moments]:
    opens = np.array([_minute(day.start) for day in days], dtype=np.int64)
    closes = np.array([_minute(day.end) for day in days], dtype=np.int64)
    return opens, closes


def _table(
    parts: Parts, first: NDArray[np.intp], bounds: tuple[Moments, Moments, Moments], market: Market
) -> pa.Table:
    starts, ends, dates = bounds
    last = np.append(first[1:], len(parts.ts)) - 1
    volume = np.add.reduceat(parts.volume, first)
    with np.errstate(invalid="ignore", divide="ignore"):
        vwap = np.add.reduceat(parts.turnover, first) / volume
    expected = market.expected.passed(ends) - market.expected.passed(starts)
    answered = market.answered.passed(ends) - market.answered.passed(starts)
    columns = {
        "ts": pa.array(starts * _MICROSECONDS).cast(_STAMP),
        "before": pa.array(ends * _MICROSECONDS).cast(_STAMP),
        "session_date": pa.array(dates.astype(np.int32)).cast(pa.date32()),
        "open": pa.array(parts.open[first]),
        "high": pa.array(np.maximum.reduceat(parts.high, first)),
        "low": pa.array(np.minimum.reduceat(parts.low, first)),
        "close": pa.array(parts.close[last]),
        "volume": _nullable(volume),
        "vwap": _nullable(vwap),
        "trades": _nullable(np.add.reduceat(parts.trades, first)).cast(pa.int64()),
        "minutes_expected": pa.array(expected.astype(np.int32)),
        "minutes_present": pa.array(np.add.reduceat(parts.present, first).astype(np.int32)),
        "complete": pa.array(answered == expected),
    }
    return pa.table(columns, schema=TIMEFRAME_SCHEMA)


def _nullable(values: Column) -> pa.Array:
    return pa.array(values, from_pandas=True)


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


def _date(day: date) -> int:
    return day.toordinal() - date(1970, 1, 1).toordinal()
