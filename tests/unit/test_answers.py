from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.answers import Answer, OutsideWindow, judge
from pipeline.bars import empty_bars
from pipeline.intervals import MINUTE
from pipeline.providers.errors import MalformedAnswer
from tests.making import at, bar, bars, span, table

WINDOW = span("2024-01-01T00:00", "2024-01-01T02:00")


def answer_of(*minutes: int) -> Answer:
    return judge("here", WINDOW, table(bar(WINDOW.start + n * MINUTE) for n in minutes))


def test_a_full_answer_settles_the_whole_window() -> None:
    answer = judge("here", WINDOW, bars(WINDOW))
    assert answer.answered == WINDOW
    assert answer.unsure == ()


def test_an_empty_answer_is_an_answer() -> None:
    answer = judge("here", WINDOW, empty_bars())
    assert answer.answered == WINDOW
    assert answer.unsure == ()


def test_a_tail_more_silent_than_the_rest_is_asked_again() -> None:
    answer = answer_of(*range(100))
    assert answer.answered == span("2024-01-01T00:00", "2024-01-01T01:40")
    assert answer.unsure == (span("2024-01-01T01:40", "2024-01-01T02:00"),)


def test_a_head_more_silent_than_the_rest_is_asked_again() -> None:
    answer = answer_of(*range(30, 120))
    assert answer.unsure == (span("2024-01-01T00:00", "2024-01-01T00:30"),)


def test_edges_as_silent_as_the_inside_are_believed() -> None:
    answer = answer_of(10, 30, 50, 100, 105)
    assert answer.answered == WINDOW
    assert answer.unsure == ()


@given(st.sets(st.integers(0, 119)))
def test_an_answer_settles_or_doubts_each_minute_and_holds_its_bars(minutes: set[int]) -> None:
    answer = answer_of(*sorted(minutes))
    parts = sorted([answer.answered, *answer.unsure])
    assert parts[0].start == WINDOW.start
    assert parts[-1].end == WINDOW.end
    assert all(left.end == right.start for left, right in pairwise(parts))
    assert all(ts in answer.answered for ts in answer.bars["ts"].to_pylist())


@pytest.mark.parametrize("minute", [-1, 120, 60 * 24])
def test_a_bar_outside_the_window_discredits_the_whole_answer(minute: int) -> None:
    with pytest.raises(OutsideWindow, match="1 bars came from") as caught:
        answer_of(1, 2, minute)
    assert caught.value.rows["ts"].to_pylist() == [WINDOW.start + minute * MINUTE]
    assert caught.value.retryable


def test_a_feed_stamped_one_hour_late_is_not_believed() -> None:
    shifted = bars(span("2024-01-01T01:00", "2024-01-01T03:00"))
    with pytest.raises(OutsideWindow, match="60 bars"):
        judge("here", WINDOW, shifted)


def test_a_bar_without_a_time_discredits_the_answer() -> None:
    with pytest.raises(MalformedAnswer, match="without a readable time"):
        judge("here", WINDOW, table([bar(at("2024-01-01")), bar(at("2024-01-01")) | {"ts": None}]))


def test_the_last_second_of_the_window_is_inside() -> None:
    late = table([bar(WINDOW.end - timedelta(seconds=1))])
    assert judge("here", WINDOW, late).bars.num_rows == 1
