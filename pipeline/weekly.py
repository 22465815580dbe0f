"""Markets whose hours are declared by hand: the same every week.

What belongs here: reading such hours, and turning them into ranges of UTC minutes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from pipeline.intervals import MINUTE, Interval
from pipeline.sessions import Trading, local_moment

_DAY: Final = timedelta(days=1)
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SPAN: Final = re.compile(
    r"(?P<first>[A-Z][a-z]{2})(?:-(?P<last>[A-Z][a-z]{2}))? (?P<opens>\d{2}:\d{2})"
    r" - (?:(?P<closing>[A-Z][a-z]{2}) )?(?P<closes>\d{2}:\d{2})"
)
SPAN_HELP: Final = "write Mon-Fri 09:30 - 16:00, or Sun 17:00 - Fri 17:00 for one span over days"


@dataclass(frozen=True)
class WeeklySession:
    """The same hours every week, for markets whose exchange no calendar knows.

    Attributes:
        zone: The time zone of the hours, as in America/New_York.
        open: Spans of local time, as in `Mon-Fri 09:30 - 16:00` or `Sun 17:00 - Fri 17:00`.
        closed: Local days without trading.

    Raises:
        ValueError: A span cannot be read, or there is no such zone.
    """

    zone: str
    open: tuple[str, ...]
    closed: tuple[date, ...] = ()

    @property
    def rule(self) -> str:
        """The rule in words."""
        days = f"; closed {' '.join(map(str, self.closed))}" if self.closed else ""
        return f"{', '.join(self.open)} {self.zone}{days}"

    @property
    def calendar(self) -> str:
        """Nobody's."""
        return ""

    @property
    def known_from(self) -> date:
        """Every day is known."""
        return date.min

    def trading(self, first: date, last: date) -> Iterator[Trading]:
        """Yield the days of the spans that touch those from `first` up to and with `last`.

        A span over several days is one day of trading from its opening to the same time of the next
        day, and so on: currencies trade from 17:00 to 17:00 in New York. The date is that of the
        last minute there.
        """
        zone = ZoneInfo(self.zone)
        closed = [self._day(day) for day in self.closed]
        day = first - 8 * _DAY
        while day <= last + _DAY:
            for opens, days, closes in self._spans.get(day.weekday(), ()):
                end = local_moment(day + days * _DAY, closes, zone)
                for number in range(days + 1):
                    start = local_moment(day + number * _DAY, opens, zone)
                    until = min(end, local_moment(day + (number + 1) * _DAY, opens, zone))
                    if start < until and (left := _without(Interval(start, until), closed)):
                        date_of_last = (until - MINUTE).astimezone(zone).date()
                        yield Trading(date_of_last, left, Interval(left[0].start, left[-1].end))
            day += _DAY

    @cached_property
    def _spans(self) -> dict[int, list[tuple[time, int, time]]]:
        """What opens on each weekday: when, after how many days it closes, and when."""
        ZoneInfo(self.zone)
        spans: dict[int, list[tuple[time, int, time]]] = {}
        for text in self.open:
            for weekday, opens, days, closes in read_span(text):
                spans.setdefault(weekday, []).append((opens, days, closes))
        return spans

    def _day(self, day: date) -> Interval:
        zone = ZoneInfo(self.zone)
        return Interval(local_moment(day, time(), zone), local_moment(day + _DAY, time(), zone))


def read_span(text: str) -> Iterator[tuple[int, time, int, time]]:
    """Yield what a span of weekly hours says, day by day.

    Each is a weekday (0: Monday), when it opens, after how many days it closes, and when.

    Raises:
        ValueError: It is no span.
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"is {text!r}, which are no hours; {SPAN_HELP}")
    first, last, closing = (_weekday(found[part], text) for part in ("first", "last", "closing"))
    opens, closes = (_clock(found[part], text) for part in ("opens", "closes"))
    if first is None or (last is not None and closing is not None):
        raise ValueError(f"is {text!r}, which names too many days; {SPAN_HELP}")
    span = 0 if closing is None else (closing - first) % 7
    if span == 0 and closes <= opens:
        # Over midnight, or with the day named, around the week.
        span = 1 if closing is None else 7
    for day in range(1 if last is None else (last - first) % 7 + 1):
        yield (first + day) % 7, opens, span, closes


def _without(whole: Interval, closed: Iterable[Interval]) -> tuple[Interval, ...]:
    left = [whole]
    for gone in closed:
        left = [part for piece in left for part in piece.minus(gone)]
    return tuple(left)


def _weekday(name: str | None, text: str) -> int | None:
    if name is None:
        return None
    if name not in WEEKDAYS:
        raise ValueError(f"is {text!r}, and {name} is no day; use {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(name)


def _clock(value: str, text: str) -> time:
    try:
        return time.fromisoformat(value)
    except ValueError:
        raise ValueError(f"is {text!r}, and {value} is no time of day; {SPAN_HELP}") from None
