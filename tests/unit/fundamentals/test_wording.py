"""Values in words."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from pipeline.fundamentals.wording import aged, spread_worded, worded


@pytest.mark.parametrize(
    ("kind", "value", "currency", "words"),
    [
        ("amount", 391_035e6, "USD", "391.04 B USD"),
        ("amount", -1.5e12, "JPY", "-1.50 T JPY"),
        ("amount", 0.0, "USD", "0 USD"),
        ("fraction", 0.0041, None, "0.41 %"),
        ("fraction", 1.5, None, "150 %"),
        ("per_share", 6.08, "USD", "6.08 USD"),
        ("per_share", 0.000012, "USD", "1.2e-05 USD"),
        ("multiple", 37.2871, None, "37.29"),
        ("count", 164_000.0, None, "164,000"),
        ("text", "x" * 50, None, "x" * 39 + "…"),
        ("date", date(2024, 9, 28), None, "2024-09-28"),
        (None, 12.5, None, "12.5"),
        ("amount", None, "USD", ""),
    ],
)
def test_a_value_is_written_as_a_person_does(
    kind: str | None, value: float | str | date | None, currency: str | None, words: str
) -> None:
    assert worded(kind, value, currency) == words


def test_ages_are_days_or_hours_or_minutes() -> None:
    ages = [timedelta(minutes=59), timedelta(hours=47), timedelta(days=2), None]
    assert [aged(age) for age in ages] == ["59 min", "47 h", "2 d", ""]


def test_spreads_are_parts_of_the_value_or_days() -> None:
    assert spread_worded("amount", 0.10434) == "10 %"
    assert spread_worded("date", 2.0) == "2 d"
    assert spread_worded("text", None) == ""
