"""The cursor of sensors, by its rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sensors.pacing import Pace, Pacing

NOW = datetime(2024, 3, 10, 12, tzinfo=UTC)
PACE = Pace(timedelta(minutes=10), timedelta(hours=2))
KEYS = ("kraken", "bitfinex")
delays = st.timedeltas(timedelta(0), timedelta(days=3))
whats = st.text(max_size=3)
launches = st.lists(st.tuples(st.sampled_from(KEYS), whats, delays), max_size=8)


def after(steps: list[tuple[str, str, timedelta]]) -> tuple[Pacing, datetime]:
    """Return the pacing after launches, each so long after the one before, and the time."""
    pacing, now = Pacing(), NOW
    for key, what, delay in steps:
        now += delay
        pacing = pacing.launched(key, what, now, PACE)
    return pacing, now


@given(launches)
def test_a_cursor_is_read_as_it_was_written(steps: list[tuple[str, str, timedelta]]) -> None:
    pacing, _ = after(steps)
    assert Pacing.read(pacing.dump(), KEYS) == pacing


@given(st.text())
def test_a_cursor_that_cannot_be_read_is_an_empty_one_and_says_so(text: str) -> None:
    pacing = Pacing.read(text + "}", KEYS)
    assert pacing.launches == {}
    assert pacing.unreadable


@given(launches, st.sets(st.sampled_from(KEYS)))
def test_unknown_keys_are_dropped(steps: list[tuple[str, str, timedelta]], keys: set[str]) -> None:
    pacing, _ = after(steps)
    assert set(Pacing.read(pacing.dump(), keys).launches) == set(pacing.launches) & keys


@given(launches, st.sampled_from(KEYS), whats, delays)
def test_nothing_is_launched_again_before_its_pause_and_all_is_after_the_longest(
    steps: list[tuple[str, str, timedelta]], key: str, what: str, delay: timedelta
) -> None:
    pacing, now = after(steps)
    launched = pacing.launched(key, "once", now, PACE)
    wait = launched.wait(key, what, now + delay, PACE)
    assert wait == 0 * delay or delay < PACE.longest
    assert wait > 0 * delay or delay >= PACE.pause
    assert launched.wait(key, what, now + delay + wait, PACE) == timedelta(0)


@given(st.integers(1, 9))
def test_what_is_still_there_is_asked_for_after_pauses_that_double(times: int) -> None:
    pacing, now = Pacing(), NOW
    for _ in range(times):
        now += pacing.wait("kraken", "down", now, PACE)
        pacing = pacing.launched("kraken", "down", now, PACE)
    expected = min(PACE.pause * 2 ** (times - 1), PACE.longest)
    assert pacing.wait("kraken", "down", now, PACE) == expected
    assert pacing.wait("kraken", "other", now, PACE) == PACE.pause
    assert pacing.wait("bitfinex", "down", now, PACE) == timedelta(0)


@given(launches, delays)
def test_a_clock_that_was_set_back_keeps_nothing_waiting_for_ever(
    steps: list[tuple[str, str, timedelta]], back: timedelta
) -> None:
    pacing, now = after(steps)
    for key in KEYS:
        assert pacing.wait(key, "x", now - back, PACE) <= PACE.longest
