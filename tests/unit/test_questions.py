"""Windows of several listings share requests, and every window is asked for exactly once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.providers.capabilities import Sharing
from pipeline.questions import Part, Question, batched, questions
from tests.making import at

START = at("2024-06-03T13:30")
LISTING = Listing(
    id=0,
    provider="p",
    key="A",
    symbol="A",
    asset_class="equity",
    starts_at=START,
    ends_at=None,
    first_trade=None,
    first_trade_checked_at=None,
    in_universe=True,
)


def part(number: int, first: int, minutes: int) -> Part:
    start = START + timedelta(minutes=first)
    window = Interval(start, start + timedelta(minutes=minutes))
    return Part(replace(LISTING, id=number, key=str(number)), window)


parts = st.lists(
    st.builds(part, st.integers(1, 9), st.integers(0, 600), st.integers(1, 300)), max_size=40
)


def test_without_sharing_each_window_is_a_question_in_the_order_given() -> None:
    asked = [part(2, 50, 10), part(1, 0, 10)]
    assert questions(asked, None) == [Question((one,)) for one in asked]


def test_the_same_hour_of_many_listings_takes_as_few_requests_as_pages_hold_it() -> None:
    hour = [part(number, 0, 60) for number in range(500)]
    sizes = [len(one.parts) for one in questions(hour, Sharing(500, 10_000))]
    assert sizes == [166, 166, 166, 2]
    assert [len(one.parts) for one in questions(hour, Sharing(200, 60_000))] == [200, 200, 100]


def test_a_question_asks_for_what_holds_the_windows_of_all() -> None:
    (both,) = questions([part(1, 0, 10), part(2, 30, 5)], Sharing(5, 100))
    assert both.window == Interval(START, START + timedelta(minutes=35))
    assert [len(one.parts) for one in both.halves()] == [1, 1]
    assert both.without(both.parts[0].listing) == Question((both.parts[1],))
    assert both.halves()[0].without(both.parts[0].listing) is None


@given(parts, st.integers(1, 5), st.integers(1, 900))
def test_nothing_is_lost_or_asked_twice_and_no_question_is_too_large(
    asked: list[Part], listings: int, minutes: int
) -> None:
    found = questions(asked, Sharing(listings, minutes))

    def order(one: Part) -> tuple[object, ...]:
        return one.window.start, one.window.end, one.listing.id

    assert sorted((one for q in found for one in q.parts), key=order) == sorted(asked, key=order)
    for question in found:
        numbers = [one.listing.id for one in question.parts]
        assert len(set(numbers)) == len(numbers) <= listings
        assert not question.shared or question.window.minutes * len(numbers) <= minutes


@given(st.lists(st.integers()), st.integers(1, 7))
def test_batches_hold_everything_in_order(items: list[int], most: int) -> None:
    groups = list(batched(items, most))
    assert [item for group in groups for item in group] == items
    assert all(len(group) == most for group in groups[:-1])
