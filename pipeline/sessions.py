"""The rules of when a market is open.

What belongs here: the protocol of a rule, markets that never close, and exchanges. The rules of
exchanges (holidays, half days, unscheduled closures, daylight saving) are exchange_calendars'. Not
here: hours that are declared by hand (`weekly`), and months of minutes (`calendars`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Protocol
from zoneinfo import ZoneInfo

from pipeline.intervals import Interval

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

_DAY: Final = timedelta(days=1)
_LIBRARY: Final = "exchange_calendars"


@dataclass(frozen=True, slots=True)
class Trading:
    """One day of trading.

    Attributes:
        day: Its date, the one that the market gives it; it may begin the evening before.
        open: The ranges that are open, in order of time.
        asked: The range that is asked for.
    """

    day: date
    open: tuple[Interval, ...]
    asked: Interval


class Session(Protocol):
    """The rule of when a market is open."""

    @property
    def rule(self) -> str:
        """The rule in words; another rule has other words."""
        ...

    @property
    def calendar(self) -> str:
        """Whose calendar it is, with its version; empty when the rule says everything."""
        ...

    @property
    def known_from(self) -> date:
        """The first day for which the rule can be worked out."""
        ...

    def trading(self, first: date, last: date) -> Iterator[Trading]:
        """Yield at least what is open in the UTC days from `first` up to and with `last`."""
        ...


@dataclass(frozen=True)
class AlwaysOpen:
    """A market that never closes."""

    rule: str = "always open"
    calendar: str = ""
    known_from: date = date.min

    def trading(self, first: date, last: date) -> Iterator[Trading]:
        """Yield the days, each from midnight to midnight of UTC."""
        start = datetime.combine(first, time(), UTC)
        while start.date() <= last:
            whole = Interval(start, start + _DAY)
            yield Trading(start.date(), (whole,), whole)
            start += _DAY


@dataclass(frozen=True)
class ExchangeSession:
    """The regular sessions of an exchange.

    Attributes:
        name: The exchange's name in exchange_calendars, as in XNYS.
        extended: Start and end of the extended hours on its trading days, in its own time; None
            where nothing beyond the regular session is asked for.

    Raises:
        ValueError: exchange_calendars has no such exchange.
    """

    name: str
    extended: tuple[time, time] | None = None

    @property
    def rule(self) -> str:
        """The rule in words."""
        hours = "" if self.extended is None else "; extended {:%H:%M} - {:%H:%M}"
        return f"regular sessions of {self.name}" + hours.format(*self.extended or ())

    @property
    def calendar(self) -> str:
        """The library and its version."""
        return f"{_LIBRARY} {version(_LIBRARY)}"

    @property
    def known_from(self) -> date:
        """The first day that the library knows of the exchange."""
        earliest = _made(self.name).bound_min()
        return date.min if earliest is None else earliest.date()

    def trading(self, first: date, last: date) -> Iterator[Trading]:
        """Yield the sessions from `first` up to and with `last`, and one more on either side.

        Raises:
            ValueError: The calendar does not go back so far, or there is none.
        """
        import pandas as pd

        calendar = _exchange_calendar(self.name, first, last)
        schedule = calendar.schedule.loc[str(first - _DAY) : str(last + _DAY)]
        for day, opens, break_starts, break_ends, closes in schedule.itertuples():
            bounds = [opens, break_starts, break_ends, closes]
            known = [bound for bound in bounds if not pd.isna(bound)]  # most have no break
            pieces = zip(known[::2], known[1::2], strict=True)
            regular = tuple(Interval(_utc(start), _utc(end)) for start, end in pieces)
            whole = Interval(regular[0].start, regular[-1].end)
            yield Trading(day.date(), regular, self._widened(whole, day.date(), calendar))

    def _widened(self, whole: Interval, day: date, calendar: ExchangeCalendar) -> Interval:
        if self.extended is None:
            return whole
        zone = ZoneInfo(str(calendar.tz))
        start, end = (local_moment(day, clock, zone) for clock in self.extended)
        return Interval(min(whole.start, start), max(whole.end, end))


def local_moment(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """Return when a clock in a time zone shows that time of a day; UTC."""
    return datetime.combine(day, clock, zone).astimezone(UTC)


def _exchange_calendar(name: str, first: date, last: date) -> ExchangeCalendar:
    """Return the calendar of an exchange, with some days more than those from `first` to `last`.

    Raises:
        ValueError: There is no such exchange, or it is not known what it did on these days.
    """
    from exchange_calendars.errors import CalendarError

    start, end = first - 7 * _DAY, last + 7 * _DAY
    try:
        usual = _made(name)
        if usual.first_session.date() <= start and end <= usual.last_session.date():
            return usual
        earliest = usual.bound_min()
        if earliest is not None:
            # One that is asked for too early says so itself.
            start = min(first, max(start, earliest.date()))
        return _made(name, start, end)
    except (ValueError, CalendarError) as error:
        raise ValueError(f"session {name}: {error}") from None


@lru_cache(maxsize=64)
def _made(name: str, start: date | None = None, end: date | None = None) -> ExchangeCalendar:
    """Make a calendar, of the last twenty years and the next one unless told: a quarter second."""
    import exchange_calendars

    return exchange_calendars.get_calendar(name, start=start, end=end)


def _utc(moment: datetime) -> datetime:
    return datetime.fromtimestamp(moment.timestamp(), UTC)
