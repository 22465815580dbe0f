"""When markets are open, against dates that anybody can look up."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.calendars import KNOWN, OpenMonth, open_months, session_named
from pipeline.intervals import Interval
from pipeline.sessions import ExchangeSession, Session
from pipeline.weekly import WeeklySession


def month_of(session: Session | str, year: int, month: int) -> OpenMonth:
    """Return one month of a session."""
    rule = session_named(session) if isinstance(session, str) else session
    (found,) = open_months(rule, date(year, month, 1), date(year, month, 1))
    return found


def on(day: str, pieces: tuple[Interval, ...]) -> list[str]:
    """Return what is open on a UTC day, as `opens-closes` in UTC."""
    return [f"{p.start:%H:%M}-{p.end:%H:%M}" for p in pieces if f"{p.start:%Y-%m-%d}" == day]


def test_new_york_opens_at_half_past_nine_whatever_the_offset() -> None:
    march = month_of("XNYS", 2011, 3)
    assert on("2011-03-11", march.open) == ["14:30-21:00"]
    assert on("2011-03-14", march.open) == ["13:30-20:00"]
    assert len(march.open) == 23
    assert {piece.minutes for piece in march.open} == {390}


def test_half_days_end_at_one() -> None:
    november = month_of("XNYS", 2020, 11)
    assert on("2020-11-26", november.open) == []
    assert on("2020-11-27", november.open) == ["14:30-18:00"]
    assert sum(piece.minutes for piece in november.open) == 19 * 390 + 210


@pytest.mark.parametrize("day", ["2001-09-11", "2012-10-29", "2018-12-05", "2025-01-09"])
def test_unscheduled_closures_are_known(day: str) -> None:
    closed = date.fromisoformat(day)
    assert on(day, month_of("XNYS", closed.year, closed.month).open) == []


def test_extended_hours_are_asked_for_and_not_expected() -> None:
    july = month_of("XNYS", 2024, 7)
    assert on("2024-07-03", july.open) == ["13:30-17:00"]
    assert on("2024-07-03", july.asked) == ["08:00-00:00"]
    assert on("2024-07-04", july.asked) == []


def test_hours_after_midnight_utc_belong_to_the_month_they_lie_in() -> None:
    january, february = (month_of("XNYS", 2025, month) for month in (1, 2))
    first, last = january.asked[0], january.asked[-1]
    assert first.start == datetime(2025, 1, 1, tzinfo=UTC)  # the end of New Year's Eve
    assert first.minutes == 60
    assert last.end == february.asked[0].start == datetime(2025, 2, 1, tzinfo=UTC)


def test_a_lunch_break_is_closed() -> None:
    assert on("2025-01-03", month_of("XHKG", 2025, 1).open) == ["01:30-04:00", "05:00-08:00"]


def test_currencies_trade_from_sunday_to_friday_in_new_york() -> None:
    march = month_of("24x5", 2025, 3)
    assert [str(piece) for piece in march.open[:3]] == [
        "[2025-03-02 22:00, 2025-03-07 22:00)",
        "[2025-03-09 21:00, 2025-03-14 21:00)",
        "[2025-03-16 21:00, 2025-03-21 21:00)",
    ]
    assert march.asked == march.open


def test_hours_of_ones_own_keep_their_zone_and_closed_days() -> None:
    rule = WeeklySession(
        "Europe/Warsaw", ("Mon-Fri 09:00 - 17:00", "Sat 22:00 - 02:00"), (date(2025, 3, 31),)
    )
    march = month_of(rule, 2025, 3)
    assert on("2025-03-28", march.open) == ["08:00-16:00"]
    assert on("2025-03-29", march.open) == ["21:00-01:00"]
    assert on("2025-03-31", march.open) == []
    assert on("2025-04-01", month_of(rule, 2025, 4).open) == ["07:00-15:00"]


def test_spans_may_go_around_the_weekend_and_meet() -> None:
    rule = WeeklySession("UTC", ("Fri-Mon 12:00 - 12:00",))
    assert [str(piece) for piece in month_of(rule, 2024, 6).open[:2]] == [
        "[2024-06-01 00:00, 2024-06-04 12:00)",
        "[2024-06-07 12:00, 2024-06-11 12:00)",
    ]
    whole_week = WeeklySession("UTC", ("Sun 00:00 - Sun 00:00",))
    assert month_of(whole_week, 2024, 6).open == month_of("24x7", 2024, 6).open


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Mon 9:00 - 17:00", "no hours"),
        ("Mon-Fri 09:00 - Sat 17:00", "too many days"),
        ("Mun 09:00 - 17:00", "Mun is no day"),
        ("Mon 09:00 - 25:00", "25:00 is no time"),
    ],
)
def test_hours_that_cannot_be_read_are_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        month_of(WeeklySession("UTC", (text,)), 2024, 6)


def test_a_calendar_that_does_not_go_back_so_far_says_so() -> None:
    with pytest.raises(ValueError, match=r"XTKS.*1997-01-01"):
        month_of("XTKS", 1990, 1)
    assert month_of("XTKS", 1997, 1).open


def test_there_are_no_other_sessions() -> None:
    with pytest.raises(ValueError, match="no session 'NYSY'"):
        session_named("NYSY")


def test_another_rule_has_other_words() -> None:
    rules = [*KNOWN.values(), ExchangeSession("XNYS"), ExchangeSession("XNYS", (time(7), time(18)))]
    assert len({rule.rule for rule in rules}) == len(rules)


# Half a second each: a calendar is made for the dates.
@settings(max_examples=25)
@given(st.sampled_from(["XNYS", "24x5", "24x7"]), st.dates(date(2015, 1, 1), date(2025, 12, 1)))
def test_months_taken_one_by_one_are_those_taken_together(name: str, day: date) -> None:
    rule = session_named(name)
    together = list(open_months(rule, day, day + timedelta(days=62)))
    assert [month_of(rule, m.month.year, m.month.month) for m in together] == together
    for found in together:
        pieces = found.open
        assert all(one.end < two.start for one, two in pairwise(pieces))
        assert all(any(p.intersection(a) == p for a in found.asked) for p in pieces)
