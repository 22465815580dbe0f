from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.timeframes import USUAL, Period, Timeframe, in_order

days = st.dates(date(1990, 1, 1), date(2060, 12, 31))


def test_the_usual_timeframes_are_known_and_in_order() -> None:
    assert [one.name for one in in_order(reversed(USUAL))] == list(USUAL)


@pytest.mark.parametrize(("name", "length"), [("5m", 5), ("60m", 60), ("1h", 60), ("90m", 90)])
def test_a_timeframe_below_a_day_has_minutes(name: str, length: int) -> None:
    assert Timeframe.named(name).length == length


def test_an_hour_has_one_name() -> None:
    assert Timeframe.named("60m") == Timeframe.named("1h")


def test_a_month_is_never_a_minute() -> None:
    with pytest.raises(ValueError, match="a month is 1mo, a minute 1m"):
        Timeframe.named("1M")
    assert Timeframe.named("1mo").length is Period.MONTH


@pytest.mark.parametrize("name", ["1m", "7m", "24h", "1440m", "2d", "0m", "5M", "1W", "", "5", "h"])
def test_what_is_no_timeframe_says_what_is(name: str) -> None:
    with pytest.raises(ValueError, match="which is no timeframe"):
        Timeframe.named(name)


def test_weeks_are_not_built_without_days() -> None:
    with pytest.raises(ValueError, match="built from 1d, and not 1d; add it"):
        in_order(["5m", "1w"])


@given(days)
def test_a_week_begins_on_the_monday_before_or_at_a_day(day: date) -> None:
    first = Period.WEEK.first_day(day)
    assert first.isoweekday() == 1
    assert 0 <= (day - first).days < 7
    assert Period.WEEK.next_first_day(day).isocalendar()[:2] != day.isocalendar()[:2]


@given(days, st.sampled_from(Period))
def test_periods_follow_each_other_without_a_hole(day: date, period: Period) -> None:
    following = period.next_first_day(day)
    assert period.first_day(day) <= day < following
    assert period.first_day(following) == following
    assert period.first_day(date.fromordinal(following.toordinal() - 1)) == period.first_day(day)
