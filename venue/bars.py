"""Bars as exact integers, and what is done to them as columns.

Prices and volumes are integers in units of 1e-8 (`UNIT`), because every exchange here publishes at
most eight decimals: sums are exact, and a recorded number can be written again digit for digit.
Times are UTC milliseconds of the bar's start. How numbers become text is in `render`. Numbers of
trades, which sources do not have, are made up of the volumes of minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Ints = npt.NDArray[np.int64]
UNIT = 10**8
DECIMALS = 8
MINUTE_MS = 60_000
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
MONTH_MS = 31 * DAY_MS  # of calendar months, whatever their length
_ROUNDING_NOISE = 0.05  # of a unit; a ninth decimal would leave at least 0.1


@dataclass(frozen=True, slots=True)
class Bars:
    """Columns of equal length; `ts` in UTC milliseconds, prices and volume in units of 1e-8."""

    ts: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    trades: Ints

    def __len__(self) -> int:
        return len(self.ts)

    def columns(self) -> tuple[Ints, ...]:
        """Return all columns in the order of the fields."""
        return (*self.numbers(), self.trades)

    def numbers(self) -> tuple[Ints, ...]:
        """Return the columns that every source has: all but the trades."""
        return (self.ts, self.open, self.high, self.low, self.close, self.volume)

    def take(self, index: Ints | npt.NDArray[np.bool_] | slice) -> Bars:
        """Return the rows that a slice, a mask or an array of positions selects."""
        return Bars(*(column[index] for column in self.columns()))

    def between(self, start_ms: int, stop_ms: int) -> Bars:
        """Return the rows with start <= ts < stop; the bars must be ascending."""
        first, last = np.searchsorted(self.ts, [start_ms, stop_ms])
        return self.take(slice(int(first), int(last)))


class Source(Protocol):
    """Where the bars of one market come from: traded minutes only, ascending."""

    @property
    def span(self) -> tuple[int, int]:
        """First minute and the end (exclusive) of what the source can know, UTC milliseconds."""
        ...

    def bars(self, start_ms: int, stop_ms: int) -> Bars:
        """Return the traded minutes with start <= ts < stop."""
        ...


def empty() -> Bars:
    """Return bars without rows."""
    return Bars(*(np.empty(0, np.int64) for _ in range(7)))


def join(parts: Sequence[Bars]) -> Bars:
    """Return the rows of all parts, in the order given."""
    if not parts:
        return empty()
    by_column = zip(*map(Bars.columns, parts), strict=True)
    return Bars(*map(np.concatenate, by_column))


def from_floats(rows: npt.NDArray[np.float64]) -> Bars:
    """Make bars of an (n, 6) array in the order ts, open, high, low, close, volume.

    Exact for numbers below about 10 million with at most eight decimals, which is what the
    exchanges publish; raises ValueError for more decimals than that, and for negative numbers.
    """
    scaled = rows[:, 1:] * UNIT
    whole = np.rint(scaled)
    if len(rows) and whole.min() < 0:
        raise ValueError("a number is negative: no exchange publishes that")
    if len(rows) and np.abs(scaled - whole).max() > _ROUNDING_NOISE:
        raise ValueError("a number has more than eight decimals: the venue cannot repeat it")
    prices_and_volume = whole.astype(np.int64).T.copy()
    trades = made_up_trades(prices_and_volume[-1])
    return Bars(*(rows[:, 0].astype(np.int64), *prices_and_volume, trades))


def made_up_trades(volume: Ints) -> Ints:
    """Return numbers of trades in minutes: never more than whole units, and none without any."""
    return (volume // (2 * UNIT) % 997 + 1) * (volume > 0)


def aggregate(bars: Bars, keys: Ints) -> Bars:
    """Return one bar for each run of equal keys: the start of the longer step that a row is in."""
    if not len(bars):
        return bars
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    last = np.r_[first[1:], len(keys)] - 1
    return Bars(
        ts=keys[first],
        open=bars.open[first],
        high=np.maximum.reduceat(bars.high, first),
        low=np.minimum.reduceat(bars.low, first),
        close=bars.close[last],
        volume=np.add.reduceat(bars.volume, first),
        trades=np.add.reduceat(bars.trades, first),
    )


def fill_quiet(bars: Bars, start_ms: int, stop_ms: int, last_close: int | None) -> Bars:
    """Return one row for every minute of [start, stop): quiet ones flat at the last close.

    Minutes before the first trade ever (no earlier close known) are left out.
    """
    minutes = np.arange(start_ms, stop_ms, MINUTE_MS, dtype=np.int64)
    before = np.searchsorted(bars.ts, minutes, side="right") - 1
    closes = np.r_[0 if last_close is None else last_close, bars.close][before + 1]
    opened, high, low, close = (closes.copy() for _ in range(4))
    zeros = (np.zeros_like(minutes), np.zeros_like(minutes))
    filled = Bars(minutes, opened, high, low, close, *zeros)
    at = (bars.ts - start_ms) // MINUTE_MS
    for target, column in zip(filled.columns()[1:], bars.columns()[1:], strict=True):
        target[at] = column
    return filled if last_close is not None else filled.take(before >= 0)


def without(bars: Bars, ranges: Iterable[tuple[int, int]]) -> Bars:
    """Return the bars outside the half-open ranges (UTC milliseconds)."""
    for start_ms, stop_ms in ranges:
        bars = bars.take((bars.ts < start_ms) | (bars.ts >= stop_ms))
    return bars


def partial(bar: Bars, fraction: float) -> Bars:
    """Return a one-row bar as it looks when `fraction` (0..1) of it has passed."""
    _, opened, high, low, close, volume, trades = (int(column[0]) for column in bar.columns())
    now = opened + int((close - opened) * fraction)
    high = max(opened, now, int(opened + (high - opened) * fraction))
    low = min(opened, now, int(opened - (opened - low) * fraction))
    done = [int(volume * fraction), int(trades * fraction)]
    row = [int(bar.ts[0]), opened, high, low, now, *done]
    return Bars(*(np.array([value], np.int64) for value in row))
