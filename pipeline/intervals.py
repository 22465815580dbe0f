"""Half-open intervals of time: the one helper for them.

What belongs here: a single interval `[start, end)` of whole UTC minutes and the cuts made of it.
Sets of intervals live in PostgreSQL as `tstzmultirange`, which already has their algebra.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """The half-open interval `[start, end)`, both aware UTC datetimes on whole minutes.

    Raises:
        ValueError: A bound is naive, not in UTC or not on a whole minute, or `end` is before
        `start`.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name, bound in (("start", self.start), ("end", self.end)):
            if bound.tzinfo is None or bound.utcoffset() != timedelta(0):
                raise ValueError(f"{name} {bound!r} is not in UTC; give an aware UTC datetime")
            if bound.second or bound.microsecond:
                raise ValueError(f"{name} {bound.isoformat()} is not on a whole minute")
        if self.end < self.start:
            raise ValueError(f"end {self.end.isoformat()} is before start {self.start.isoformat()}")

    @classmethod
    def month(cls, first: date) -> Interval:
        """Return the calendar month that contains `first`."""
        start = datetime(first.year, first.month, 1, tzinfo=UTC)
        end = (start + timedelta(days=32)).replace(day=1)
        return cls(start, end)

    @property
    def minutes(self) -> int:
        """The number of minutes in the interval."""
        return (self.end - self.start) // MINUTE

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def intersection(self, other: Interval) -> Interval | None:
        """Return what both intervals share, or None when that is nothing."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Interval(start, end) if start < end else None

    def split(self, minutes: int) -> Iterator[Interval]:
        """Yield consecutive pieces of at most `minutes` minutes, in order of time."""
        step = timedelta(minutes=minutes)
        start = self.start
        while start < self.end:
            end = min(start + step, self.end)
            yield Interval(start, end)
            start = end

    def months(self) -> Iterator[Interval]:
        """Yield the pieces that lie in one calendar month each, in order of time."""
        start = self.start
        while start < self.end:
            end = min(Interval.month(start.date()).end, self.end)
            yield Interval(start, end)
            start = end

    def years(self) -> Iterator[Interval]:
        """Yield the pieces that lie in one calendar year each, in order of time."""
        start = self.start
        while start < self.end:
            end = min(datetime(start.year + 1, 1, 1, tzinfo=UTC), self.end)
            yield Interval(start, end)
            start = end

    def first_days(self) -> list[date]:
        """Return the first day of each calendar month that it touches, in order of time."""
        return [piece.start.date().replace(day=1) for piece in self.months()]

    def minus(self, other: Interval) -> Iterator[Interval]:
        """Yield what is left, in order of time, when another interval is taken out."""
        if self.start < other.start:
            yield Interval(self.start, min(self.end, other.start))
        if other.end < self.end:
            yield Interval(max(self.start, other.end), self.end)

    def without(self, minutes: Iterable[datetime]) -> Iterator[Interval]:
        """Yield what is left, in order of time, when whole minutes are taken out."""
        start = self.start
        for minute in sorted(minutes):
            if minute < start or minute >= self.end:
                continue
            if start < minute:
                yield Interval(start, minute)
            start = minute + MINUTE
        if start < self.end:
            yield Interval(start, self.end)

    def __str__(self) -> str:
        return f"[{self.start:%Y-%m-%d %H:%M}, {self.end:%Y-%m-%d %H:%M})"


def common(pieces: Iterable[Interval], during: Interval) -> list[Interval]:
    """Return what of some pieces lies in a time, in their order."""
    return [both for piece in pieces if (both := piece.intersection(during)) is not None]


def merged(intervals: Iterable[Interval]) -> Iterator[Interval]:
    """Yield ascending intervals with those that touch each other made one."""
    current: Interval | None = None
    for interval in intervals:
        if current is not None and interval.start <= current.end:
            current = Interval(current.start, max(current.end, interval.end))
            continue
        if current is not None:
            yield current
        current = interval
    if current is not None:
        yield current


def floor_minute(moment: datetime) -> datetime:
    """Return the whole UTC minute that contains the aware datetime `moment`."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def ceil_minute(moment: datetime) -> datetime:
    """Return the first whole UTC minute that is not before the aware datetime `moment`."""
    whole = floor_minute(moment)
    return whole if whole == moment else whole + MINUTE
