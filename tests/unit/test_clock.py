"""The present of a rehearsal."""

from __future__ import annotations

import time

import pytest

from pipeline.clock import SYSTEM, Clock
from tests.making import at

NOON = at("2024-03-10 12:00")


def test_a_clock_goes_on_from_where_it_was_set_and_faster() -> None:
    clock = Clock(time.time() - 10, NOON.timestamp(), 60)

    assert 600 <= (clock.now() - NOON).total_seconds() < 660


def test_a_standing_clock_shows_its_moment_for_ever() -> None:
    assert Clock.standing(NOON).now() == NOON


def test_the_system_s_clock_shows_the_system_s_time() -> None:
    assert abs(SYSTEM.now().timestamp() - time.time()) < 1


def test_a_clock_is_written_as_it_is_read() -> None:
    clock = Clock(1790000000.125, 1709640000.0, 60.0)

    assert Clock.parse(str(clock)) == clock


@pytest.mark.parametrize("text", ["", "now", "1 2", "1 2 3 4", "1 2 fast"])
def test_what_is_no_clock_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write REAL SHOWN SPEED"):
        Clock.parse(text)
