from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.silences import EXPECTED, Silence, Silences, _Sides, expected_silences, unusual

DAY = 1440
MONTH = 30 * DAY
START = 1_000_000


def silences(*runs: tuple[int, int], length: int = 2 * MONTH) -> Silences:
    """Return silences, given as minute and length, of a listing observed from START on."""
    starts = np.array([START + minute for minute, _ in runs], np.int64)
    lengths = np.array([length for _, length in runs], np.int64)
    return Silences(starts, starts + lengths, np.array([[START, START + length]]))


def of_quiet(quiet: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Silences:
    """Return the silences of a series of minutes, given as whether each is quiet."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]])))
    starts, ends = edges[::2] + START, edges[1::2] + START
    return Silences(starts, ends, np.array([[START, START + len(quiet)]]))


def quiet_market(share: float, minutes: int = 2 * MONTH, seed: int = 1) -> np.ndarray:
    """Return minutes of a market in which each is quiet by chance."""
    return np.random.default_rng(seed).random(minutes) < share


def lengths(found: Iterable[Silence]) -> list[int]:
    return [one.end - one.start for one in found]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_market_that_is_quiet_by_chance_is_never_called_broken(share: float, seed: int) -> None:
    assert unusual(of_quiet(quiet_market(share, 4 * MONTH, seed))) == []


def test_a_market_with_busy_days_and_quiet_nights_is_not_called_broken_at_night() -> None:
    minutes = 4 * MONTH
    hour = np.arange(minutes) // 60 % 24
    share = np.where(hour < 8, 0.7, 0.02)
    quiet = np.random.default_rng(5).random(minutes) < share
    assert unusual(of_quiet(quiet)) == []


@pytest.mark.parametrize(("share", "hole"), [(0.0, 3), (0.01, 10), (0.3, 30), (0.6, 90)])
def test_a_hole_far_longer_than_the_habit_is_found_whole(share: float, hole: int) -> None:
    quiet = quiet_market(share)
    middle = MONTH
    quiet[middle - 1], quiet[middle : middle + hole], quiet[middle + hole] = False, True, False
    (found,) = unusual(of_quiet(quiet))
    assert (found.start, found.end) == (START + middle, START + middle + hole)
    assert found.expected < EXPECTED


def test_other_holes_nearby_hide_none() -> None:
    quiet = quiet_market(0.3)
    for start in range(20 * DAY, 40 * DAY, 4 * DAY):
        quiet[start : start + 300] = True
    assert len(unusual(of_quiet(quiet))) == 5


def test_a_hole_of_a_quarter_of_a_year_is_compared_with_what_is_before_and_after_it() -> None:
    quiet = quiet_market(0.3, 6 * MONTH)
    quiet[MONTH : 4 * MONTH] = True
    (found,) = unusual(of_quiet(quiet))
    assert found.end - found.start >= 3 * MONTH
    assert found.before is not None
    assert found.after is not None
    assert len(found.before.lengths) > 1000


def test_a_market_that_becomes_busier_is_not_judged_by_its_future_alone() -> None:
    quiet = np.concatenate([quiet_market(0.95, MONTH), quiet_market(0.05, MONTH, 2)])
    assert unusual(of_quiet(quiet)) == []


def test_with_nothing_to_compare_only_a_whole_day_of_silence_is_unusual() -> None:
    one_day = Silences(np.array([START]), np.array([START + DAY]), np.array([[START, START + DAY]]))
    assert lengths(unusual(one_day)) == [DAY]
    shorter = Silences(
        np.array([START]), np.array([START + DAY - 1]), np.array([[START, START + DAY - 1]])
    )
    assert unusual(shorter) == []


def test_a_provider_that_sends_quiet_minutes_has_no_usual_silence() -> None:
    one = silences((MONTH, 1))
    assert unusual(one) == []
    assert lengths(unusual(one, sends_quiet_minutes=True)) == [1]


def test_a_listing_shows_that_its_provider_does_leave_out_its_quiet_minutes() -> None:
    assert unusual(of_quiet(quiet_market(0.3)), sends_quiet_minutes=True) == []


def test_what_happens_every_other_day_is_usual() -> None:
    maintained = silences(*((2 * day * DAY, 60) for day in range(30)))
    assert unusual(maintained) == []


def test_without_silences_none_is_unusual() -> None:
    assert unusual(silences()) == []


@given(
    st.lists(st.integers(1, 50), max_size=200),
    st.integers(DAY, MONTH),
    st.integers(1, 500),
)
def test_a_longer_silence_is_never_more_usual(
    others: list[int], observed: int, minutes: int
) -> None:
    usual = expected_silences(np.array(others, np.int64), observed, minutes)
    assert 0 <= expected_silences(np.array(others, np.int64), observed, minutes + 1) <= usual


@given(st.lists(st.booleans(), min_size=10, max_size=400), st.booleans())
def test_the_quick_look_leaves_out_nothing_that_the_rule_would_find(
    quiet: list[bool],
    flat: bool,  # noqa: FBT001
) -> None:
    # Each bool stands for an hour, so that the sides have days enough to say something.
    data = of_quiet(np.repeat(np.array(quiet), 60))
    sides = _Sides(data)
    found = set(lengths(unusual(data, sends_quiet_minutes=flat)))
    for i, conceivable in enumerate(sides.conceivable().tolist()):
        one = Silence(int(data.starts[i]), int(data.ends[i]), *sides.of(i))
        if one.beyond_habit:
            assert conceivable
            assert one.end - one.start in found
