from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.intervals import MINUTE, Interval, common, floor_minute, merged
from tests.making import at, span

_BASE = datetime(2024, 2, 27, tzinfo=UTC)
moments = st.integers(0, 6000).map(lambda n: _BASE + n * MINUTE)
intervals = st.tuples(moments, moments).map(lambda pair: Interval(min(pair), max(pair)))


def minutes(interval: Interval) -> list[datetime]:
    return [interval.start + n * MINUTE for n in range(interval.minutes)]


@given(intervals, st.integers(1, 700))
def test_splitting_keeps_every_minute_once_and_in_order(interval: Interval, size: int) -> None:
    pieces = list(interval.split(size))
    assert [minute for piece in pieces for minute in minutes(piece)] == minutes(interval)
    assert all(0 < piece.minutes <= size for piece in pieces)


@given(intervals)
def test_months_keep_every_minute_once_and_never_cross_a_border(interval: Interval) -> None:
    pieces = list(interval.months())
    assert [minute for piece in pieces for minute in minutes(piece)] == minutes(interval)
    assert all(len({(m.year, m.month) for m in minutes(piece)}) == 1 for piece in pieces)


@given(intervals, st.lists(moments, max_size=30))
def test_taking_minutes_out_leaves_exactly_the_others(
    interval: Interval, taken: list[datetime]
) -> None:
    left = [minute for piece in interval.without(taken) for minute in minutes(piece)]
    assert left == [minute for minute in minutes(interval) if minute not in set(taken)]


@given(intervals, intervals)
def test_the_intersection_holds_the_common_minutes(one: Interval, other: Interval) -> None:
    common = one.intersection(other)
    both = sorted(set(minutes(one)) & set(minutes(other)))
    assert (minutes(common) if common else []) == both


def test_a_month_ends_where_the_next_begins() -> None:
    assert Interval.month(at("2024-02-11").date()) == span("2024-02-01", "2024-03-01")
    assert Interval.month(at("2023-12-31").date()) == span("2023-12-01", "2024-01-01")


@pytest.mark.parametrize(
    ("start", "end", "complaint"),
    [
        (datetime(2024, 1, 1), at("2024-01-02"), "not in UTC"),  # noqa: DTZ001 - the point
        (at("2024-01-01T00:00:01"), at("2024-01-02"), "not on a whole minute"),
        (at("2024-01-02"), at("2024-01-01"), "before start"),
    ],
)
def test_an_interval_refuses_bounds_that_mean_something_else(
    start: datetime, end: datetime, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Interval(start, end)


def test_the_end_is_not_inside() -> None:
    hour = span("2024-01-01T10:00", "2024-01-01T11:00")
    assert hour.start in hour
    assert hour.end not in hour


def test_flooring_goes_to_the_start_of_the_minute() -> None:
    assert floor_minute(at("2024-01-01T10:00") + timedelta(seconds=59.9)) == at("2024-01-01T10:00")


@given(intervals, intervals)
def test_what_is_left_and_what_is_common_are_all_minutes_once(
    one: Interval, other: Interval
) -> None:
    shared = [minute for both in common([one], other) for minute in minutes(both)]
    left = [minute for rest in one.minus(other) for minute in minutes(rest)]
    assert sorted(shared + left) == minutes(one)
    assert set(shared) == set(minutes(one)) & set(minutes(other))


@given(st.lists(intervals, max_size=6))
def test_merged_intervals_hold_the_same_minutes_and_do_not_touch(pieces: list[Interval]) -> None:
    whole = list(merged(sorted(pieces)))
    assert {m for one in whole for m in minutes(one)} == {m for one in pieces for m in minutes(one)}
    assert all(one.end < two.start for one, two in pairwise(whole))


@given(intervals)
def test_an_interval_touches_the_months_of_its_minutes(interval: Interval) -> None:
    months = sorted({minute.date().replace(day=1) for minute in minutes(interval)})
    assert interval.first_days() == months
