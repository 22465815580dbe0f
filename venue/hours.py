"""When stocks trade: the hours of the New York exchanges, in the venue's own words.

On a trading day the market opens before hours at 04:00, regularly from 09:30 to 16:00, and after
hours until 20:00, New York time; a half day ends at 13:00, and after hours at 17:00. Days without
trading are those of the New York Stock Exchange since 2004, by its rules, or the ones that the
configuration names. Instants are UTC milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np

from venue.bars import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venue.bars import Ints

NEW_YORK: Final = ZoneInfo("America/New_York")
_DAY = timedelta(days=1)
_HOUR_MS = 3_600_000
_NOON = time(12)
_WHOLE = (time(4), time(9, 30), time(16), time(20))
_HALF = (time(4), time(9, 30), time(13), time(17))
_MONDAY, _THURSDAY, _FRIDAY, _SATURDAY, _SUNDAY = 0, 3, 4, 5, 6
_JUNETEENTH_SINCE = 2022
_UNSCHEDULED: Final = frozenset(
    date.fromisoformat(day)
    for day in (
        "2004-06-11",
        "2007-01-02",
        "2012-10-29",
        "2012-10-30",
        "2018-12-05",
        "2025-01-09",
    )
)


class Phase(IntEnum):
    """What part of a trading day a minute belongs to."""

    CLOSED = 0
    BEFORE = 1
    REGULAR = 2
    AFTER = 3


@dataclass(frozen=True)
class Hours:
    """The hours of one market; `holidays` and `half_days` replace those of the exchange."""

    holidays: frozenset[date] | None = None
    half_days: frozenset[date] | None = None

    def phases(self, ts: Ints) -> Ints:
        """Return the `Phase` of each minute."""
        if not len(ts):
            return ts
        days = _days(_local_date(int(ts.min())), _local_date(int(ts.max())))
        edges = np.array([edge for day in days for edge in _edges(self, day)], np.int64)
        phases: Ints = np.searchsorted(edges, ts, side="right") % len(Phase)
        return phases

    def is_trading_day(self, day: date) -> bool:
        """Return whether there is any trading on a day, by New York's date."""
        closed = _holidays(day.year) if self.holidays is None else self.holidays
        return day.weekday() < _SATURDAY and day not in closed

    def is_half_day(self, day: date) -> bool:
        """Return whether a trading day ends early."""
        return day in (_half_days(day.year) if self.half_days is None else self.half_days)


def midnights(start_ms: int, stop_ms: int) -> Ints:
    """Return New York's midnights from the last one at or before `start` to before `stop`."""
    days = _days(_local_date(start_ms), _local_date(stop_ms - 1))
    return np.array([_instant(day, time()) for day in days], np.int64)


def sessions(hours: Hours, since_ms: int) -> Iterator[tuple[int, ...]]:
    """Yield when each trading day opens, begins, ends and closes, from an instant's day on."""
    day = _local_date(since_ms)
    while True:
        if edges := _edges(hours, day):
            yield edges
        day += _DAY


def from_local(local_ms: Ints) -> Ints:
    """Return the instants of New York's wall-clock times, given as if they were UTC.

    A day has the offset of its noon: nobody trades in the night in which clocks change.
    """
    days, at = np.unique(local_ms // DAY_MS, return_inverse=True)
    offsets = [
        _instant(date(1970, 1, 1) + int(day) * _DAY, _NOON) - (int(day) * DAY_MS + DAY_MS // 2)
        for day in days
    ]
    return local_ms + np.array(offsets, np.int64)[at]


def to_local(ts: Ints) -> Ints:
    """Return New York's wall-clock times of instants, given as if they were UTC."""
    hours, at = np.unique(ts // _HOUR_MS, return_inverse=True)
    offsets = [
        int(moment.timestamp()) * 1000 - int(hour) * _HOUR_MS
        for hour in hours
        for moment in [_wall(int(hour) * _HOUR_MS)]
    ]
    return ts + np.array(offsets, np.int64)[at]


def _wall(instant_ms: int) -> datetime:
    """Return New York's wall-clock time of an instant, as if it were UTC."""
    return datetime.fromtimestamp(instant_ms // 1000, NEW_YORK).replace(tzinfo=UTC)


def _instant(day: date, at: time) -> int:
    return int(datetime.combine(day, at, NEW_YORK).timestamp()) * 1000


def _local_date(instant_ms: int) -> date:
    return datetime.fromtimestamp(instant_ms // 1000, NEW_YORK).date()


def _days(first: date, last: date) -> Iterator[date]:
    return (first + number * _DAY for number in range((last - first).days + 1))


@lru_cache(maxsize=100_000)
def _edges(hours: Hours, day: date) -> tuple[int, ...]:
    """Return when the phases of a day begin: before, regular, after, closed; none on a holiday."""
    if not hours.is_trading_day(day):
        return ()
    return tuple(_instant(day, at) for at in (_HALF if hours.is_half_day(day) else _WHOLE))


@lru_cache
def _holidays(year: int) -> frozenset[date]:
    days = {
        _nth(year, 1, _MONDAY, 3),  # Martin Luther King
        _nth(year, 2, _MONDAY, 3),  # Washington
        _easter(year) - 2 * _DAY,  # Good Friday
        _nth(year, 6, _MONDAY, 1) - 7 * _DAY,  # Memorial Day, the last Monday of May
        _observed(date(year, 7, 4)),
        _nth(year, 9, _MONDAY, 1),  # Labor Day
        _nth(year, 11, _THURSDAY, 4),  # Thanksgiving
        _observed(date(year, 12, 25)),
    }
    if date(year, 1, 1).weekday() != _SATURDAY:  # then it is not made up for
        days.add(_observed(date(year, 1, 1)))
    if year >= _JUNETEENTH_SINCE:
        days.add(_observed(date(year, 6, 19)))
    return frozenset(days | {day for day in _UNSCHEDULED if day.year == year})


@lru_cache
def _half_days(year: int) -> frozenset[date]:
    eves = {date(year, 7, 3), date(year, 12, 24), _nth(year, 11, _THURSDAY, 4) + _DAY}
    # Before a holiday that is observed on another day the market closes as ever.
    return frozenset(day for day in eves if day.weekday() <= _FRIDAY) - _holidays(year)


def _nth(year: int, month: int, weekday: int, count: int) -> date:
    first = date(year, month, 1)
    return first + ((weekday - first.weekday()) % 7 + 7 * (count - 1)) * _DAY


def _observed(day: date) -> date:
    return day + {_SATURDAY: -_DAY, _SUNDAY: _DAY}.get(day.weekday(), 0 * _DAY)


def _easter(year: int) -> date:
    """Return Easter Sunday (Gauss, as corrected by Lichtenberg)."""
    century = year // 100
    moon = (15 + (3 * century + 3) // 4 - (8 * century + 13) // 25 + 19 * (year % 19)) % 30
    moon -= (moon + year % 19 // 11) // 29
    sunday = 7 - (year + year // 4 + 2 - (3 * century + 3) // 4) % 7
    march = 21 + moon + 7 - (21 + moon - sunday) % 7
    return date(year, 3, 1) + (march - 1) * _DAY
