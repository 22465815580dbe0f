"""One market of one exchange: its name, and its bars at any step.

A market cuts its source to its life, removes the minutes in which the venue was silent, and, for
exchanges that publish quiet minutes, fills those in. Days, and the weeks and months made of them,
are those of UTC, or of New York for a market that trades there. All times are UTC milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from venue.bars import (
    DAY_MS,
    MINUTE_MS,
    MONTH_MS,
    WEEK_MS,
    Bars,
    Source,
    aggregate,
    empty,
    fill_quiet,
    join,
    partial,
    without,
)
from venue.hours import Hours, midnights, to_local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venue.bars import Ints

_PERPETUAL = "PERP"
_WEEKDAY_OF_1970 = 3  # 1970-01-01 was a Thursday


@dataclass(frozen=True)
class Symbol:
    """A market's name in the venue's own configuration: `BTC-USD`, or `BTC-USDT-PERP`.

    A stock has no quote, and maybe a feed (`BRK.B`, `AAPL@iex`). A market known only from a
    recorded list has the exchange's id for a base, and no quote.
    """

    base: str
    quote: str = ""
    perpetual: bool = False
    feed: str = ""

    @classmethod
    def parse(cls, text: str) -> Symbol:
        """Read `BASE-QUOTE` or `BASE-QUOTE-PERP`; ValueError for anything else."""
        base, _, rest = text.partition("-")
        quote, _, kind = rest.partition("-")
        if not base or not quote or kind not in {"", _PERPETUAL}:
            raise ValueError(f"{text!r} is not a symbol: write BASE-QUOTE or BASE-QUOTE-PERP")
        return cls(base, quote, kind == _PERPETUAL)

    @classmethod
    def stock(cls, text: str) -> Symbol:
        """Read `AAPL` or `AAPL@iex`."""
        base, _, feed = text.partition("@")
        return cls(base, feed=feed)

    def __str__(self) -> str:
        kind = _PERPETUAL if self.perpetual else ""
        name = "-".join(filter(None, (self.base, self.quote, kind)))
        return f"{name}@{self.feed}" if self.feed else name


@dataclass(frozen=True)
class Market:
    """A symbol with its source and habits.

    `silent` are half-open ranges in which the venue published nothing at all (outages, halts), not
    even flat bars. `fills_quiet` is the exchange's habit of a zero-volume bar for a minute without
    a trade. The decimals are the market's tick and lot. `hours` has a market that does not trade
    around the clock; its bars are cut to them by its source. Weeks begin on `first_weekday`, 0 for
    Monday. `name`, `listed_on` and
    `kind` are for lists.
    """

    symbol: Symbol
    source: Source
    fills_quiet: bool
    silent: tuple[tuple[int, int], ...] = ()
    price_decimals: int = 2
    volume_decimals: int = 8
    hours: Hours | None = None
    first_weekday: int = 0
    name: str = ""
    listed_on: str = ""
    kind: str = ""

    @property
    def listed_at(self) -> int:
        """Start of the first minute that can hold a bar."""
        return self.source.span[0]

    def minutes(self, start_ms: int, stop_ms: int) -> Bars:
        """Return the published minutes with start <= ts < stop, as if all were over."""
        first, end = self.source.span
        start_ms, stop_ms = max(start_ms, first), min(stop_ms, end)
        start_ms = -(-start_ms // MINUTE_MS) * MINUTE_MS
        if start_ms >= stop_ms:
            return empty()
        bars = self.source.bars(start_ms, stop_ms)
        if self.fills_quiet:
            bars = fill_quiet(bars, start_ms, stop_ms, self._last_close(start_ms))
        return without(bars, self.silent)

    def bars(self, step_ms: int, start_ms: int, stop_ms: int) -> Bars:
        """Return the bars of a step whose start lies in [start, stop), as if all were over."""
        if step_ms == MINUTE_MS:
            return self.minutes(start_ms, stop_ms)
        if self._is_of_days(step_ms):
            return self._longer(step_ms, start_ms, stop_ms)
        first = -(-start_ms // step_ms) * step_ms
        minutes = self.minutes(first, -(-stop_ms // step_ms) * step_ms)
        return aggregate(minutes, minutes.ts // step_ms * step_ms)

    def step_start(self, step_ms: int, at_ms: int) -> int:
        """Return when the step began in which an instant lies."""
        if self._is_of_days(step_ms):
            return int(self._begins(step_ms, at_ms, at_ms + 1)[0])
        return at_ms // step_ms * step_ms

    def _is_of_days(self, step_ms: int) -> bool:
        """Return whether steps begin with certain days, and not whole lengths after 1970."""
        return step_ms in {WEEK_MS, MONTH_MS} or (self.hours is not None and step_ms == DAY_MS)

    def _begins(self, step_ms: int, start_ms: int, stop_ms: int) -> Ints:
        """Return when steps of days begin, from the one in which `start` lies to before `stop`."""
        first_ms = start_ms - step_ms
        if self.hours:
            days = midnights(first_ms, stop_ms)
            dates = to_local(days) // DAY_MS
        else:
            days = np.arange(first_ms // DAY_MS * DAY_MS, stop_ms, DAY_MS, dtype=np.int64)
            dates = days // DAY_MS
        if step_ms == WEEK_MS:
            days = days[(dates + _WEEKDAY_OF_1970) % 7 == self.first_weekday]
        elif step_ms == MONTH_MS:
            named = dates.astype("datetime64[D]")
            days = days[named == named.astype("datetime64[M]")]
        return days[max(0, int(np.searchsorted(days, start_ms, side="right")) - 1) :]

    def _longer(self, step_ms: int, start_ms: int, stop_ms: int) -> Bars:
        """Return the bars of days, weeks or months that begin in [start, stop)."""
        begin = self._begins(step_ms, start_ms, stop_ms + step_ms + 2 * DAY_MS)
        inside = begin[(begin >= start_ms) & (begin < stop_ms)]
        if not len(inside):
            return empty()
        end = begin[np.searchsorted(begin, inside[-1]) + 1]
        minutes = self.minutes(int(inside[0]), int(end))
        return aggregate(minutes, inside[np.searchsorted(inside, minutes.ts, side="right") - 1])

    def bars_until(self, step_ms: int, start_ms: int, stop_ms: int, now_ms: int) -> Bars:
        """Return the bars of [start, stop) as they look now, the forming one included."""
        forming_ms = self.step_start(step_ms, now_ms)
        final = self.bars(step_ms, start_ms, min(stop_ms, forming_ms))
        if not start_ms <= forming_ms < stop_ms:
            return final
        return join([final, self.forming(step_ms, now_ms)])

    def forming(self, step_ms: int, now_ms: int) -> Bars:
        """Return the bar in progress, with what has happened up to now; no row if nothing has."""
        start_ms, minute_ms = (self.step_start(step, now_ms) for step in (step_ms, MINUTE_MS))
        current = self.minutes(minute_ms, minute_ms + MINUTE_MS)
        if len(current):
            current = partial(current, (now_ms - minute_ms) / MINUTE_MS)
        minutes = join([self.minutes(start_ms, minute_ms), current])
        return aggregate(minutes, np.full(len(minutes), start_ms, np.int64))

    def _last_close(self, before_ms: int) -> int | None:
        for bars in self._backwards(before_ms):
            if len(bars):
                return int(bars.close[-1])
        return None

    def _backwards(self, before_ms: int) -> Iterator[Bars]:
        """Yield earlier and earlier stretches, longer each time, down to the listing."""
        length = 60 * MINUTE_MS
        while before_ms > self.listed_at:
            start_ms = max(self.listed_at, before_ms - length)
            yield self.source.bars(start_ms, before_ms)
            before_ms, length = start_ms, min(length * 8, 64 * DAY_MS)
