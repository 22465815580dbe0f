"""Bars of stocks: by the opening in New York, in winter as in summer; weeks and months of these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from pathlib import Path

import pytest

from pipeline.store.database import Database
from pipeline.store.server import EmbeddedServer
from pipeline.timeframes import USUAL
from tests import oracle
from tests.conftest import new_database
from tests.files.conftest import Home
from tests.making import at
from tests.oracle import Bar, Day
from tests.realdata import imported, published
from tests.realdata.ledgers import build_bars
from tests.realdata.published import NEW_YORK, Bars, in_new_york
from tests.realdata.reading import bars_above

TIMEFRAMES = (*USUAL, "90m")
HALF_DAYS = {
    *(date(2023, 7, 3), date(2023, 11, 24)),
    *(date(2024, 7, 3), date(2024, 11, 29), date(2024, 12, 24)),
    date(2025, 7, 3),
}


def trading_days(first: date, last: date, closed: set[date]) -> list[Day]:
    """Return the sessions of New York: 09:30 to 16:00, on half days to 13:00, by its clock."""
    every = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [
        Day(
            day,
            [
                (
                    in_new_york(day, time(9, 30)),
                    in_new_york(day, time(13 if day in HALF_DAYS else 16)),
                )
            ],
        )
        for day in every
        if day.weekday() < 5 and day not in closed
    ]


@dataclass
class Stock:
    """A ledger with bars of all timeframes of a stock, and what was published of it."""

    home: Home
    minutes: Bars
    days: Sequence[Day]

    def bars(self, timeframe: str) -> list[Bar]:
        return bars_above(self.home.database, self.home.symbols[0], timeframe)

    def right(self, timeframe: str) -> list[Bar]:
        """Return the bars worked out by hand. Files answer up to their last row."""
        first, last = min(self.minutes), max(self.minutes)
        answered = {ts for day in self.days for ts in day.minutes if ts <= last}
        minutes = published.as_minutes(self.minutes)
        return oracle.bars(timeframe, self.days, minutes, answered, first)


@pytest.fixture(scope="module")
def fxy(shared_database: Database, market_data: Path) -> Stock:
    """Two years with minutes before and after the session, holidays, half days, quiet minutes."""
    minutes = published.fxy(market_data)
    home = imported.fxy(shared_database, market_data, TIMEFRAMES)
    build_bars(shared_database)
    traded = {ts.astimezone(NEW_YORK).date() for ts in minutes}
    first, last = min(traded), max(traded)
    within = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    closed = {date(2023, 7, 4), *within} - traded
    return Stock(home, minutes, trading_days(date(2023, 7, 1), date(2025, 7, 31), closed))


@pytest.fixture(scope="module")
def spy(server: EmbeddedServer, migrated_template: str, market_data: Path) -> Iterator[Stock]:
    """The month of 2011 in which New York's clocks changed, on the 13th; every minute is there."""
    with new_database(server, migrated_template) as database:
        home = imported.spy(database, market_data, TIMEFRAMES)
        build_bars(database)
        days = trading_days(date(2011, 2, 28), date(2011, 4, 1), set())
        yield Stock(home, published.spy(market_data), days)


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_bars_of_fxy_are_those_worked_out_minute_by_minute(fxy: Stock, timeframe: str) -> None:
    right = fxy.right(timeframe)
    assert oracle.differences(fxy.bars(timeframe), right)[:9] == []
    # The provider was silent from its last row on, in the midst of a week and a month.
    lacking = [bar.session_date for bar in right if not bar.complete]
    unfinished = {"1w": [date(2025, 7, 7)], "1mo": [date(2025, 7, 1)]}
    assert lacking == unfinished.get(timeframe, [])


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_bars_of_spy_are_those_worked_out_minute_by_minute(spy: Stock, timeframe: str) -> None:
    assert oracle.differences(spy.bars(timeframe), spy.right(timeframe))[:9] == []


def test_four_hours_of_a_stock_begin_at_its_opening_in_winter_as_in_summer(spy: Stock) -> None:
    bars = spy.bars("4h")
    clocks = [bar.ts.astimezone(NEW_YORK).time() for bar in bars]
    assert Counter(clocks) == {time(9, 30): 23, time(13, 30): 23}
    assert {bar.before.astimezone(NEW_YORK).time() for bar in bars} == {time(13, 30), time(16)}
    summer = at("2011-03-13")
    assert {bar.ts.time() for bar in bars if bar.ts < summer} == {time(14, 30), time(18, 30)}
    assert {bar.ts.time() for bar in bars if bar.ts > summer} == {time(13, 30), time(17, 30)}
    assert Counter(bar.minutes_present for bar in bars) == {240: 23, 150: 23}
    assert all(bar.minutes_expected == bar.minutes_present for bar in bars)


def test_weeks_of_a_stock_begin_on_monday_and_months_on_the_first(fxy: Stock) -> None:
    weeks, months = fxy.bars("1w"), fxy.bars("1mo")
    first = date(2023, 7, 10)
    mondays = [first + timedelta(weeks=number) for number in range(len(weeks))]
    assert [bar.session_date for bar in weeks] == mondays
    assert mondays[-1] == date(2025, 7, 7)
    ordinals = range(2023 * 12 + 6, 2025 * 12 + 7)
    assert [bar.session_date for bar in months] == [date(n // 12, n % 12 + 1, 1) for n in ordinals]
    # They open with their first session: ten Mondays were holidays.
    assert Counter(bar.ts.astimezone(NEW_YORK).weekday() for bar in weeks) == {0: 95, 1: 10}
    assert {bar.ts.astimezone(NEW_YORK).time() for bar in [*weeks, *months]} == {time(9, 30)}
    assert months[0].ts == in_new_york(date(2023, 7, 3), time(9, 30))


def test_minutes_outside_of_the_session_are_in_no_bar(fxy: Stock) -> None:
    hours = {ts for day in fxy.days for ts in day.minutes}
    inside = sum(ts in hours for ts in fxy.minutes)
    assert inside < len(fxy.minutes)
    for timeframe in TIMEFRAMES:
        assert sum(bar.minutes_present for bar in fxy.bars(timeframe)) == inside
