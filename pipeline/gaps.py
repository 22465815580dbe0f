"""Judging silences: which of them nobody's quiet explains, and what does.

What belongs here: the order of the steps, in one transaction. What is stored depends only on the
bars and answers that are there, and neither on the order in which they came nor on how often they
were judged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import psycopg

from pipeline.company import explained, silent_together
from pipeline.intervals import MINUTE, Interval, merged
from pipeline.silences import HABIT_DAYS, Habit, Silence, Silences, unusual
from pipeline.store import gaps as store
from pipeline.store import outages
from pipeline.store.gaps import Gap
from pipeline.store.outages import Witness

_HABIT, _DAY = timedelta(days=HABIT_DAYS), timedelta(days=1)
_HARDLY_EVER = 1e-9


def judge(
    connection: psycopg.Connection,
    provider: str,
    listing_ids: Collection[int],
    *,
    sends_quiet_minutes: bool,
) -> dict[int, list[date]]:
    """Judge the silences of listings wherever bars or answers have changed since the last time.

    Doing it again changes nothing, and costs one look at the coverage.

    Args:
        connection: An open connection; the work is one transaction.
        provider: The provider of the listings.
        listing_ids: Listings to judge; outages are looked for among all of the provider's.
        sends_quiet_minutes: The provider sends a bar for a minute without a trade, too.

    Returns:
        The months that were judged, first days, by listing.
    """
    with connection.transaction():
        store.lock(connection, provider)
        work = store.unjudged(connection, listing_ids)
        changed: list[Interval] = []
        for listing_id, months in work.items():
            changed += _Listing(connection, listing_id, months, flat=sends_quiet_minutes).judge()
        if work:
            changed_months = {month for months in work.values() for month in months}
            _look_for_outages(connection, provider, changed, changed_months)
    return work


class _Listing:
    """The silences of one listing around months that have changed."""

    def __init__(
        self,
        connection: psycopg.Connection,
        listing_id: int,
        months: Sequence[date],
        *,
        flat: bool,
    ) -> None:
        self._connection = connection
        self._id = listing_id
        self._months = months
        self._flat = flat

    def judge(self) -> Iterator[Interval]:
        """Store the silences beyond habit; yield where gaps came or went."""
        touched = list(merged(_widened(Interval.month(month), _HABIT) for month in self._months))
        yield from store.remove(self._connection, self._id, touched)
        for interval in touched:
            yield from self._judge(interval)
        store.mark_judged(self._connection, self._id, self._months)

    def _judge(self, interval: Interval) -> Iterator[Interval]:
        near = self._around(interval)
        strange = [
            gap
            for gap in map(self._gap, unusual(near, sends_quiet_minutes=self._flat))
            if gap.during.intersection(interval)
        ]
        store.insert(self._connection, strange)
        # A bar at the end of a month decides whether the next one begins with a silence.
        mine = [month for month in map(Interval.month, self._months) if month.start in interval]
        months = sorted({edge.date() for month in mine for edge in (month.start, month.end)})
        store.count(self._connection, self._id, months, near.starts)
        yield from (gap.during for gap in strange)

    def _around(self, interval: Interval) -> Silences:
        """Return the silences that touch an interval, and all that these are compared with."""
        near = store.silences(self._connection, self._id, _widened(interval, _HABIT + _DAY))
        touching = (near.starts < _minute(interval.end)) & (near.ends > _minute(interval.start))
        if not touching.any():
            return near
        first, last = _moment(near.starts[touching][0]), _moment(near.ends[touching][-1])
        whole = Interval(min(first, interval.start), max(last, interval.end))
        if whole.minutes - interval.minutes <= _DAY // MINUTE:
            return near
        return store.silences(self._connection, self._id, _widened(whole, _HABIT))

    def _gap(self, silence: Silence) -> Gap:
        during = Interval(_moment(silence.start), _moment(silence.end))
        return Gap(self._id, during, silence.expected, _in_words(during, silence))


def _look_for_outages(
    connection: psycopg.Connection,
    provider: str,
    changed: Iterable[Interval],
    months: Collection[date],
) -> None:
    where = outages.near(connection, provider, changed, months)
    if not where:
        return
    outages.forget_company(connection, provider, where)
    witnesses = outages.witnesses(connection, provider, where)
    gaps = list(explained(outages.beyond_habit(connection, provider, where), witnesses))
    store.explain(connection, gaps)
    store.insert(connection, _of_company(gaps, witnesses))


def _of_company(gaps: Sequence[Gap], witnesses: Iterable[Witness]) -> Iterator[Gap]:
    """Yield the silences of others that are within their habit, but were part of an outage."""
    by_gap: dict[tuple[int, Interval], list[Witness]] = {}
    for witness in witnesses:
        by_gap.setdefault((witness.listing_id, witness.during), []).append(witness)
    for gap in gaps:
        for witness in by_gap.get((gap.listing_id, gap.during), []):
            silent = witness.silent
            if gap.reason == "outage" and silent and silent_together(gap.during, silent):
                company = f"part of the outage of {gap.during}; alone it would be within habit"
                yield Gap(witness.peer_id, silent, None, None, "outage", company)


def _in_words(during: Interval, silence: Silence) -> str:
    sides = [
        _side(f"{HABIT_DAYS} days {name}", habit)
        for name, habit in (("before", silence.before), ("after", silence.after))
        if habit is not None
    ]
    if not sides:
        return (
            f"{during.minutes} minutes; nothing to compare with, for less than a day was answered "
            f"within {HABIT_DAYS} days on either side"
        )
    rare = silence.expected < _HARDLY_EVER
    usual = f"fewer than {_HARDLY_EVER:g}" if rare else f"{silence.expected:.1g}"
    return (
        f"{during.minutes} minutes; {usual} such silences would be usual in {HABIT_DAYS} days "
        f"({'; '.join(sides)})"
    )


def _side(name: str, habit: Habit) -> str:
    if not len(habit.lengths):
        return f"{name}: never silent in {habit.observed} minutes"
    return (
        f"{name}: {len(habit.lengths)} silences, one in a hundred of them for "
        f"{habit.longest_usual:.0f} minutes or longer"
    )


def _widened(interval: Interval, by: timedelta) -> Interval:
    return Interval(interval.start - by, interval.end + by)


def _moment(minute: int) -> datetime:
    return datetime.fromtimestamp(int(minute) * 60, UTC)


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60
