"""What is to be asked, cut into the fewest requests."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from pipeline.intervals import MINUTE, Interval
from pipeline.pages import pages
from tests.making import at, span

START = at("2024-02-01")
_minutes = st.frozensets(st.integers(0, 300), max_size=60)
_forbidden = st.frozensets(st.integers(0, 300), max_size=6)


def intervals(minutes: Iterable[int]) -> list[Interval]:
    """Return the runs of minutes as intervals."""
    runs = groupby(enumerate(sorted(minutes)), key=lambda item: item[1] - item[0])
    found = [[minute for _, minute in run] for _, run in runs]
    return [Interval(START + run[0] * MINUTE, START + (run[-1] + 1) * MINUTE) for run in found]


def minutes_of(window: Interval) -> set[int]:
    first = (window.start - START) // MINUTE
    return set(range(first, first + window.minutes))


def fewest(needed: frozenset[int], forbidden: frozenset[int], page: int) -> int:
    """Return the least number of windows, by looking at every choice of the first one's length."""
    best = {301: 0}
    for first in range(300, -1, -1):
        best[first] = best[first + 1]
        if first not in needed:
            continue
        ends = [end for end in range(first + 1, first + page + 1) if end <= 301]
        allowed = [end for end in ends if not forbidden & set(range(first, end))]
        best[first] = 1 + min(best[end] for end in allowed)
    return best[0]


@given(_minutes, _forbidden, st.integers(1, 120))
def test_every_needed_minute_is_asked_for_in_as_few_requests_as_possible(
    wanted: frozenset[int], forbidden: frozenset[int], page: int
) -> None:
    needed = wanted - forbidden
    askable = intervals(set(range(301)) - forbidden)
    windows = pages(intervals(needed), askable, page)
    asked = [minutes_of(window) for window in windows]
    assert needed <= set().union(*asked)
    assert sum(map(len, asked)) == len(set().union(*asked))
    assert all(minutes and len(minutes) <= page for minutes in asked)
    assert all({min(minutes), max(minutes)} <= needed for minutes in asked)
    assert not forbidden & set().union(*asked)
    assert windows == sorted(windows)
    assert len(windows) == fewest(needed, forbidden, page)


def test_a_gap_is_asked_for_exactly() -> None:
    gap = span("2024-02-03T10:07", "2024-02-03T11:19")
    assert pages([gap], [Interval.month(gap.start.date())], 1000) == [gap]


def test_gaps_that_fit_into_a_page_are_asked_for_together() -> None:
    one, other = (
        span("2024-02-03T10:07", "2024-02-03T10:08"),
        span("2024-02-03T14", "2024-02-03T15"),
    )
    month = Interval.month(one.start.date())
    assert pages([one, other], [month], 300) == [Interval(one.start, other.end)]
    assert pages([one, other], [month], 250) == [
        Interval(one.start, at("2024-02-03T14:17")),
        Interval(at("2024-02-03T14:17"), other.end),
    ]
