"""When answered minutes are asked again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.settling import DEFAULT, Settling
from tests.making import at

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_a_check_falls_due_in_whole_hours_and_whole_days() -> None:
    now = at("2024-05-10T14:37:12")
    assert DEFAULT.due(now) == [at("2024-05-10T13:00"), at("2024-05-09"), at("2024-05-03")]
    assert Settling((timedelta(hours=20),)).due(now) == [at("2024-05-09T18:00")]


def test_an_answer_counts_to_the_minute() -> None:
    now = at("2024-05-10T14:37:12")
    assert DEFAULT.answered_late(now) == [
        at("2024-05-10T13:37"),
        at("2024-05-09T14:37"),
        at("2024-05-03T14:37"),
    ]


@pytest.mark.parametrize("delays", [(), (DAY, HOUR), (HOUR, HOUR), (timedelta(0),), (-HOUR, DAY)])
def test_delays_that_mean_nothing_are_refused(delays: tuple[timedelta, ...]) -> None:
    with pytest.raises(ValueError, match="delay"):
        Settling(delays)
