"""Invented markets: a bar is a pure function of (seed, exchange, symbol, minute).

Nothing is stored, so any symbol and any range can be asked for, in any order, and two processes
with the same seed agree to the last digit. The path of a price is value noise: hashed points on
grids of several spacings, joined by straight lines and added up, which looks like a market on every
scale. The slow scales depend on the coin alone, so one coin costs about the same everywhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from venue.bars import DECIMALS, MINUTE_MS, UNIT, Bars, Ints, empty, made_up_trades
from venue.hours import Phase

if TYPE_CHECKING:
    from venue.hours import Hours

Words = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

# (spacing in minutes, amplitude of the logarithm of the price)
_SHARED_SCALES = ((240, 0.008), (4_320, 0.03), (86_400, 0.25))
_OWN_SCALES = ((1, 0.0004), (15, 0.0015))
_MAX_WORD = float(2**64)
_HALF = 16  # bits for each of the four small numbers that one hash gives
_FORTY_YEARS_MS = 2_240_000_000_000


def _mix(counter: Words) -> Words:
    """Return the splitmix64 hash of each word."""
    word = counter * np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def key(*parts: object) -> np.uint64:
    """Return a 64-bit seed that depends on all parts."""
    text = "/".join(map(str, parts)).encode()
    return np.uint64(int.from_bytes(hashlib.sha256(text).digest()[:8], "little"))


def _noise(seed: np.uint64, first: int, count: int, spacing: int) -> Floats:
    """Return `count` values of about -1..1 at minutes first, first + 1, ..., linear between."""
    grid = np.arange(first // spacing, (first + count - 1) // spacing + 2, dtype=np.uint64)
    points = _mix(grid + _mix(np.array([seed + np.uint64(spacing)], np.uint64))) / _MAX_WORD * 2 - 1
    if spacing == 1:
        return points[:count]
    minutes = np.arange(first, first + count)
    return np.interp(minutes, grid.astype(np.int64) * spacing, points)


@dataclass(frozen=True)
class Generated:
    """One invented market.

    `price` is the level around which it moves, `volume` the mean base units a minute, `quiet` the
    share (0..1) of minutes without a trade. Times are UTC milliseconds; the very first minute
    always trades. `price_decimals` and `volume_decimals` are the market's tick and lot.
    """

    own: np.uint64
    shared: np.uint64
    listed_at: int
    price: float = 100.0
    volume: float = 10.0
    quiet: float = 0.0
    price_decimals: int = 2
    volume_decimals: int = 5
    delisted_at: int = field(default=_FORTY_YEARS_MS)

    @property
    def span(self) -> tuple[int, int]:
        """First minute and end (exclusive), UTC milliseconds."""
        return self.listed_at, self.delisted_at

    def bars(self, start_ms: int, stop_ms: int) -> Bars:
        """Return the traded minutes with start <= ts < stop."""
        first = -(-max(start_ms, self.listed_at) // MINUTE_MS)
        count = -(-min(stop_ms, self.delisted_at) // MINUTE_MS) - first
        if count <= 0:
            return empty()
        ts = np.arange(first, first + count, dtype=np.int64)
        word = _mix(ts.view(np.uint64) + self.own)
        small = [(word >> np.uint64(_HALF * n) & np.uint64(0xFFFF)) / 65536.0 for n in range(4)]
        path = self._path(first, count + 1)
        top, bottom = np.maximum(path[:-1], path[1:]), np.minimum(path[:-1], path[1:])
        volume = self._lots(small[2])
        bars = Bars(
            ts=ts * MINUTE_MS,
            open=self._ticks(path[:-1]),
            high=self._ticks(top * (1 + 0.0006 * small[0] ** 2)),
            low=self._ticks(bottom * (1 - 0.0006 * small[1] ** 2)),
            close=self._ticks(path[1:]),
            volume=volume,
            trades=made_up_trades(volume),
        )
        if not self.quiet:
            return bars
        return bars.take((small[3] >= self.quiet) | (bars.ts == self.listed_at))

    def _path(self, first: int, count: int) -> Floats:
        """Return the price at the start of each minute: open and, one later, close."""
        total = np.zeros(count)
        for seed, scales in ((self.shared, _SHARED_SCALES), (self.own, _OWN_SCALES)):
            for spacing, amplitude in scales:
                total += amplitude * _noise(seed, first, count, spacing)
        return np.exp(total) * self.price

    def _ticks(self, prices: Floats) -> Ints:
        ticks: Ints = np.rint(prices * 10.0**self.price_decimals).astype(np.int64)
        tick: int = 10 ** (DECIMALS - self.price_decimals)
        return np.maximum(ticks, 1) * tick

    def _lots(self, uniform: Floats) -> Ints:
        """Return skewed volumes whose mean is `volume`, never below one lot."""
        lot: int = 10 ** (DECIMALS - self.volume_decimals)
        lots: Ints = (uniform**3 * (4 * self.volume * UNIT / lot)).astype(np.int64)
        return (lots + 1) * lot


@dataclass(frozen=True)
class InHours:
    """An invented market while it is open; `quiet` is the share of silent minutes before and after.

    The price moves on while the market is closed, so that it opens somewhere else.
    """

    invented: Generated
    hours: Hours
    quiet: float

    @property
    def span(self) -> tuple[int, int]:
        """First minute and end (exclusive), UTC milliseconds."""
        return self.invented.span

    def bars(self, start_ms: int, stop_ms: int) -> Bars:
        """Return the traded minutes with start <= ts < stop."""
        bars = self.invented.bars(start_ms, stop_ms)
        phases = self.hours.phases(bars.ts)
        chance = _mix((bars.ts // MINUTE_MS).view(np.uint64) + ~self.invented.own) / _MAX_WORD
        extended = (phases == Phase.BEFORE) | (phases == Phase.AFTER)
        return bars.take((phases == Phase.REGULAR) | extended & (chance >= self.quiet))
