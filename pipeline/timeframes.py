"""Timeframes: their names, and what a bar of each is made of.

What belongs here: reading names, and which timeframe is built from which. Building is
`pipeline.aggregation`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from typing import Final

_DAY_MINUTES: Final = 24 * 60
_NAME: Final = re.compile(r"([1-9][0-9]*)(m|h|d|w|mo|y)")


class Period(Enum):
    """What a bar of a day or longer is: whole days of trading, by their dates."""

    DAY = "1d"
    WEEK = "1w"
    MONTH = "1mo"
    YEAR = "1y"

    def first_day(self, day: date) -> date:
        """Return the first date of the period that a date lies in; weeks begin on Monday."""
        match self:
            case Period.DAY:
                return day
            case Period.WEEK:
                return day - timedelta(days=day.weekday())
            case Period.MONTH:
                return day.replace(day=1)
            case Period.YEAR:
                return day.replace(month=1, day=1)

    def next_first_day(self, day: date) -> date:
        """Return the first date of the period after the one that a date lies in."""
        longest = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 31, Period.YEAR: 366}[self]
        return self.first_day(self.first_day(day) + timedelta(days=longest))


@dataclass(frozen=True, slots=True)
class Timeframe:
    """How long the bars of a series are.

    Attributes:
        name: As in `5m`, `1h`, `1d`, `1mo`.
        length: Minutes from the opening of a day of trading on, or a period of whole days.
    """

    name: str
    length: int | Period

    @classmethod
    def named(cls, name: str) -> Timeframe:
        """Return the timeframe of a name.

        Raises:
            ValueError: It is none. Case matters: elsewhere `1M` is a month, and `1m` is a minute.
        """
        if name in {period.value for period in Period}:
            return cls(name, Period(name))
        found = _NAME.fullmatch(name)
        if found is not None and found[2] in {"m", "h"}:
            minutes = int(found[1]) * (60 if found[2] == "h" else 1)
            if 1 < minutes < _DAY_MINUTES and _DAY_MINUTES % minutes == 0:
                return cls(_name(minutes), minutes)
        raise ValueError(f"is {name!r}, which is no timeframe; {_hint(name)}")

    @property
    def shortest(self) -> int:
        """Minutes from the start of a bar to its end, at least; a day may end sooner."""
        if isinstance(self.length, int):
            return self.length
        days = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 28, Period.YEAR: 365}
        return days[self.length] * _DAY_MINUTES

    @property
    def longest(self) -> int:
        """Minutes from the start of a bar to its end, at most."""
        more = 3 if self.length is Period.MONTH else 1 if self.length is Period.YEAR else 0
        return self.shortest + more * _DAY_MINUTES

    @property
    def reach(self) -> timedelta:
        """How long before a minute a bar over it may begin; a day more, for clocks are changed."""
        return timedelta(minutes=self.longest, days=1)

    @property
    def period(self) -> Period | None:
        """The period whose days its bars are made of; None: they are made of minutes."""
        if isinstance(self.length, int) or self.length is Period.DAY:
            return None
        return self.length

    def __str__(self) -> str:
        return self.name


MINUTE_NAME: Final = "1m"
"""The name of what is downloaded; all others are built."""
DAY: Final = Timeframe.named("1d")
USUAL: Final = ("5m", "15m", "30m", "1h", "4h", "1d", "1w", "1mo")
"""The timeframes that are built if nothing is said."""


def in_order(names: Iterable[str]) -> Sequence[Timeframe]:
    """Return timeframes by their names, each once and the shortest first.

    Raises:
        ValueError: A name is none, or weeks, months or years are wanted without days.
    """
    found = {Timeframe.named(name) for name in names}
    longer = sorted(one.name for one in found if one.period)
    if longer and DAY not in found:
        raise ValueError(f"has {longer[0]}, which is built from 1d, and not 1d; add it")
    return sorted(found, key=_length)


def _length(timeframe: Timeframe) -> int:
    if isinstance(timeframe.length, Period):
        return _DAY_MINUTES + list(Period).index(timeframe.length)
    return timeframe.length


def _name(minutes: int) -> str:
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


def _hint(name: str) -> str:
    if name == "1M":
        return "a month is 1mo, a minute 1m"
    if name == MINUTE_NAME:
        return "minutes are what is downloaded, and always there"
    return "use minutes or hours that divide a day (5m, 90m, 4h), or 1d, 1w, 1mo, 1y"
