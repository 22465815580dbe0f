"""When markets are open: the minutes that a listing is expected to have, and those asked for.

What belongs here: which sessions there are by name, and from the rule of one (`sessions`, `weekly`)
to ranges of UTC minutes, month by month. Not here: which listing keeps which session (`universe`),
and what was judged by it (`store.sessions`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from pipeline.intervals import Interval, merged
from pipeline.sessions import AlwaysOpen, ExchangeSession, Session
from pipeline.weekly import WeeklySession

ALWAYS: Final = "24x7"
"""The session of a market that never closes."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, order=True)
class SessionDay:
    """One day of trading, to which bars of a day and below are anchored.

    Attributes:
        start: Its first minute, UTC.
        end: The end of its last minute, UTC; there may be breaks in between.
        day: The date that the market gives it.
    """

    start: datetime
    end: datetime
    day: date


@dataclass(frozen=True, slots=True)
class OpenMonth:
    """When a market is open in one calendar month of UTC.

    Attributes:
        month: First day of the month.
        open: The minutes that are expected to have bars, in order of time.
        asked: The minutes that are asked for: the open ones and extended hours, in order of time.
    """

    month: date
    open: tuple[Interval, ...]
    asked: tuple[Interval, ...]


_US_HOURS: Final = (time(4), time(20))
EXTENDED: Final = dict.fromkeys(
    ("XNYS", "XNAS", "NYSE", "NASDAQ", "XASE", "ARCX", "BATS", "IEXG"), _US_HOURS
)
"""The extended hours of exchanges where trading before and after the session is usual."""

KNOWN: Final[dict[str, Session]] = {
    ALWAYS: AlwaysOpen(),
    "24x5": WeeklySession("America/New_York", ("Sun 17:00 - Fri 17:00",)),
    "XNYS": ExchangeSession("XNYS", EXTENDED["XNYS"]),
}
"""Sessions that need no declaration; so does every other exchange of exchange_calendars."""


def session_named(name: str) -> Session:
    """Return a session that needs no declaration: one of `KNOWN`, or an exchange's.

    Raises:
        ValueError: There is none of that name.
    """
    if name in KNOWN:
        return KNOWN[name]
    import exchange_calendars

    if name not in exchange_calendars.get_calendar_names():
        raise ValueError(f"there is no session {name!r}")
    return ExchangeSession(name, EXTENDED.get(name))


def open_months(session: Session, first: date, last: date) -> Iterator[OpenMonth]:
    """Yield when a market is open in each calendar month of UTC.

    Args:
        session: The rule.
        first: Any day of the first month.
        last: Any day of the last month.

    Raises:
        ValueError: The rule cannot be worked out for these months.
    """
    whole = Interval(Interval.month(first).start, Interval.month(last).end)
    days = list(session.trading(whole.start.date(), (whole.end - _DAY).date()))
    regular = _by_month(piece for day in days for piece in day.open)
    asked = _by_month(day.asked for day in days)
    for month in whole.first_days():
        yield OpenMonth(month, tuple(regular[month]), tuple(asked[month]))


def _by_month(pieces: Iterable[Interval]) -> Mapping[date, Sequence[Interval]]:
    found: dict[date, list[Interval]] = defaultdict(list)
    for piece in merged(sorted(pieces)):
        for part in piece.months():
            found[part.start.date().replace(day=1)].append(part)
    return found


def session_days(session: Session, first: date, last: date) -> list[SessionDay]:
    """Return the days of trading that touch the months of two days, in order of time.

    Args:
        session: The rule.
        first: Any day of the first month.
        last: Any day of the last month.

    Raises:
        ValueError: The rule cannot be worked out for these months.
    """
    whole = Interval(Interval.month(first).start, Interval.month(last).end)
    hours: dict[date, list[Interval]] = {}
    for trading in session.trading(whole.start.date(), (whole.end - _DAY).date()):
        hours.setdefault(trading.day, []).extend(trading.open)
    days = [
        SessionDay(min(one.start for one in open_), max(one.end for one in open_), day)
        for day, open_ in hours.items()
    ]
    return sorted(day for day in days if Interval(day.start, day.end).intersection(whole))
