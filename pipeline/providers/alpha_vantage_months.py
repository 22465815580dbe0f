"""Months in New York and windows in UTC: as few requests as it takes, and each minute once.

What belongs here: which months a window touches, and what is left of a month when a window has had
its part. A month of UTC begins with the evening of New York's month before: from November to March,
its first hour is still traded. That hour came with the month before, so it is kept for the window
that asks for it, as are all minutes of a month that were not asked for yet.

What is kept answers as if it were asked for later than it was, which matters while minutes still
change. So only minutes are kept that were settled when the answer came; and each is given out once,
so that whoever asks again is told anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import pyarrow as pa

from pipeline.bars import inside
from pipeline.intervals import Interval
from pipeline.providers.alpha_vantage_series import CLOSES, NEW_YORK, OPENS

_DAY: Final = timedelta(days=1)
_KEPT: Final = 24
"""Answers that are kept at once; a liquid month takes about a megabyte."""


def local_months(window: Interval) -> Iterator[tuple[date, Interval]]:
    """Yield the months in New York in which minutes of a window may have bars, and these minutes.

    Yields:
        First days of months, and the parts of the window that lie in them; what lies outside of the
        vendor's hours belongs to no part, if nothing within does.
    """
    month = window.start.astimezone(NEW_YORK).date().replace(day=1)
    while part := month_in_utc(month).intersection(window):
        if _has_hours(part):
            yield month, part
        month = (month + 32 * _DAY).replace(day=1)


def month_in_utc(month: date) -> Interval:
    """Return a month in New York, given by its first day."""
    after = (month + 32 * _DAY).replace(day=1)
    start, end = (datetime.combine(day, time(), NEW_YORK).astimezone(UTC) for day in (month, after))
    return Interval(start, end)


def _has_hours(part: Interval) -> bool:
    """Return whether some minute of a part lies within the vendor's hours."""
    day, last = (at.astimezone(NEW_YORK).date() for at in (part.start, part.end))
    while day <= last:
        opens, closes = (
            datetime.combine(day, at, NEW_YORK).astimezone(UTC) for at in (OPENS, CLOSES)
        )
        if part.intersection(Interval(opens, closes)):
            return True
        day += _DAY
    return False


@dataclass(slots=True)
class Kept:
    """An answer about a month.

    Attributes:
        bars: Its bars.
        left: What of its minutes may be given out later, in order of time.
    """

    bars: pa.Table
    left: list[Interval]

    def holds(self, part: Interval) -> bool:
        """Return whether all minutes of a part may be given out later."""
        return any(one.start <= part.start and part.end <= one.end for one in self.left)

    def take(self, part: Interval) -> pa.Table:
        """Give out the bars of a part, for the only time."""
        self.left = [rest for one in self.left for rest in one.minus(part)]
        return self.bars.filter(inside(self.bars, part))


class Shelf:
    """Answers that still have minutes to give out, the latest ones."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, date], Kept] = OrderedDict()

    def find(self, symbol: str, month: date, part: Interval) -> Kept | None:
        """Return an answer that may still give out all minutes of a part."""
        kept = self._kept.get((symbol, month))
        return kept if kept and kept.holds(part) else None

    def put(self, symbol: str, month: date, kept: Kept) -> None:
        """Keep an answer instead of an older one about the same."""
        self._kept.pop((symbol, month), None)
        self._kept[symbol, month] = kept
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
