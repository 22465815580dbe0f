from __future__ import annotations

import pytest

from pipeline.company import explained, silent_together
from pipeline.intervals import Interval
from pipeline.store.gaps import Gap
from pipeline.store.outages import Witness
from tests.making import span

GAP = span("2024-03-01T10:00", "2024-03-01T12:00")


def reason(**silent: Interval | None) -> tuple[str, str]:
    witnesses = [Witness(1, GAP, n, key, own) for n, (key, own) in enumerate(silent.items(), 2)]
    (gap,) = explained([Gap(1, GAP, 1e-9, "its habit")], witnesses)
    return gap.reason, gap.company


def test_alone_it_is_a_halt() -> None:
    assert reason() == ("halt", "")


def test_the_same_minutes_missed_together_are_an_outage() -> None:
    same = span("2024-03-01T09:58", "2024-03-01T12:03")
    assert reason(ETH=same) == ("outage", "silent together with ETH")


def test_while_another_trades_it_is_a_halt() -> None:
    assert reason(ETH=None) == ("halt", "while trading: ETH")


def test_one_that_traded_for_most_of_the_time_was_trading() -> None:
    assert reason(ETH=span("2024-03-01T10:50", "2024-03-01T11:20"))[0] == "halt"


def test_one_that_is_hardly_ever_traded_says_nothing() -> None:
    for_a_day = span("2024-03-01", "2024-03-02")
    assert reason(DEAD=for_a_day) == ("halt", "")
    assert reason(DEAD=for_a_day, ETH=GAP)[0] == "outage"
    assert reason(DEAD=for_a_day, ETH=None)[0] == "halt"


@pytest.mark.parametrize(("silent", "expected"), [(9, "outage"), (8, "halt")])
def test_one_in_ten_may_trade_through_an_outage(silent: int, expected: str) -> None:
    together = {f"L{n}": GAP for n in range(silent)}
    assert reason(**together, BUSY=None)[0] == expected


def test_of_many_the_first_few_are_named() -> None:
    _, company = reason(**{f"L{n:02}": GAP for n in range(12)})
    assert company == "silent together with L00 L01 L02 L03 L04 and 7 more"


@pytest.mark.parametrize(
    ("other", "together"),
    [
        (GAP, True),
        (None, False),
        (span("2024-03-01T11:00", "2024-03-01T13:00"), True),
        (span("2024-03-01T11:01", "2024-03-01T13:00"), False),
        (span("2024-03-01T08:00", "2024-03-01T12:00"), True),
        (span("2024-03-01T07:59", "2024-03-01T12:00"), False),
    ],
)
def test_half_of_each_silence_must_be_shared(
    other: Interval | None,
    together: bool,  # noqa: FBT001
) -> None:
    assert silent_together(GAP, other) is together
