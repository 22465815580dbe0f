"""Bars of all timeframes against ones that were worked out minute by minute."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.aggregation import Market, Parts, Spans, aggregate
from pipeline.bars import BAR_SCHEMA
from pipeline.calendars import SessionDay, open_months, session_days, session_named
from pipeline.intervals import MINUTE, Interval, merged
from pipeline.timeframes import DAY, Timeframe
from tests import oracle
from tests.oracle import Bar, Day, Minute

ALL = ("2m", "5m", "15m", "30m", "1h", "90m", "4h", "12h", "1d", "1w", "1mo", "1y")
SESSIONS = ("24x7", "24x5", "XNYS", "XTKS", "XLON", "CMES")
# Among them changes of clocks, half days, a lunch break, the ends of months and years.
MOMENTS = [
    datetime(2024, 3, 8, 20, tzinfo=UTC),
    datetime(2024, 10, 31, 12, tzinfo=UTC),
    datetime(2024, 11, 27, 20, tzinfo=UTC),
    datetime(2023, 12, 28, 0, tzinfo=UTC),
    datetime(2024, 2, 28, 22, tzinfo=UTC),
    datetime(2025, 1, 8, 14, tzinfo=UTC),
]


FIRST, LAST = date(2022, 12, 1), date(2025, 12, 31)
"""All moments are far from both."""


@cache
def known_days(session: str) -> Sequence[Day]:
    hours: dict[date, list[tuple[datetime, datetime]]] = {}
    for trading in session_named(session).trading(FIRST, LAST):
        hours.setdefault(trading.day, []).extend((one.start, one.end) for one in trading.open)
    return [Day(day, sorted(open_)) for day, open_ in sorted(hours.items())]


@cache
def known_hours(session: str) -> tuple[Sequence[SessionDay], Sequence[Interval]]:
    rule = session_named(session)
    open_ = [one for month in open_months(rule, FIRST, LAST) for one in month.open]
    return session_days(rule, FIRST, LAST), open_


def days_around(session: str, start: datetime, end: datetime, margin: int) -> list[Day]:
    first, last = start.date() - timedelta(days=margin), end.date() + timedelta(days=margin)
    return [day for day in known_days(session) if first <= day.day <= last]


def table(minutes: Mapping[datetime, Minute]) -> pa.Table:
    rows = [{"ts": ts, **minutes[ts]._asdict()} for ts in sorted(minutes)]
    return pa.Table.from_pylist(rows, schema=BAR_SCHEMA)


def to_bars(rows: pa.Table) -> list[Bar]:
    return [Bar(**row) for row in rows.to_pylist()]


def built(
    name: str,
    session: str,
    minutes: Mapping[datetime, Minute],
    answered: Collection[datetime],
    first_trade: datetime | None = None,
) -> list[Bar]:
    days, open_ = known_hours(session)
    life = Interval(first_trade or open_[0].start, open_[-1].end)
    expected = [one for one in map(life.intersection, open_) if one]
    known = list(merged(sorted(Interval(one, one + MINUTE) for one in answered)))
    near = [one for one in expected if one.end > known[0].start and one.start < known[-1].end]
    both = [one for piece in known for one in map(piece.intersection, near) if one]
    market = Market(days, Spans(open_), Spans(expected), Spans(both))
    below = table(minutes)
    timeframe = Timeframe.named(name)
    if timeframe.period is not None:
        below = aggregate(Parts.of(below, market), DAY, market)
    return to_bars(aggregate(Parts.of(below, market), timeframe, market))


def right(
    name: str,
    session: str,
    minutes: Mapping[datetime, Minute],
    answered: Collection[datetime],
    first_trade: datetime | None = None,
) -> list[Bar]:
    margin = {"1w": 7, "1mo": 31, "1y": 366}.get(name, 2)
    days = days_around(session, min(minutes), max(minutes), margin)
    return oracle.bars(name, days, minutes, answered, first_trade)


def some_minutes(
    session: str, start: datetime, hours: int, share: float, seed: int
) -> tuple[dict[datetime, Minute], set[datetime]]:
    """Random bars in open and closed minutes, some answered ones without a bar, some unanswered."""
    generator = random.Random(seed)
    minutes, answered = {}, set()
    for number in range(hours * 60):
        ts = start + number * MINUTE
        if generator.random() < 0.98:
            answered.add(ts)
            if generator.random() < share:
                minutes[ts] = _bar(generator)
    days = days_around(session, start, start + hours * 60 * MINUTE, 1)
    opens = [one for day in days for one in day.minutes]
    inside = next((one for one in opens if one >= start), None)
    if inside is not None:
        answered.add(inside)
        minutes[inside] = _bar(generator)
    return minutes, answered


def _bar(generator: random.Random) -> Minute:
    low, high = sorted(generator.uniform(90, 110) for _ in range(2))
    volume = generator.choice([0.0, None, *[generator.uniform(0, 1e6)] * 40])
    return Minute(
        generator.uniform(low, high),
        high,
        low,
        generator.uniform(low, high),
        volume,
        generator.choice([None, *[generator.uniform(low, high)] * 30]),
        generator.choice([None, *[generator.randrange(10**6)] * 30]),
    )


@dataclass(frozen=True)
class Case:
    session: str
    moment: datetime
    shift: int
    hours: int
    share: float
    seed: int
    late: bool


cases = st.builds(
    Case,
    session=st.sampled_from(SESSIONS),
    moment=st.sampled_from(MOMENTS),
    shift=st.integers(0, 3000),
    hours=st.integers(1, 120),
    share=st.sampled_from([0.001, 0.05, 0.5, 0.97, 1.0]),
    seed=st.integers(0, 10**9),
    late=st.booleans(),
)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=20)
@given(case=cases)
def test_bars_are_those_worked_out_minute_by_minute(name: str, case: Case) -> None:
    start = case.moment + case.shift * MINUTE
    minutes, answered = some_minutes(case.session, start, case.hours, case.share, case.seed)
    if not minutes:
        return
    first_trade = min(minutes) if case.late else None
    found = built(name, case.session, minutes, answered, first_trade)
    assert not oracle.differences(found, right(name, case.session, minutes, answered, first_trade))
