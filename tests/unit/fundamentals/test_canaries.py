"""What counts as a change of unit, and who may say that it is none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from pipeline.fundamentals.canaries import Said, Statement, confirmed, watched
from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.values import Value

THEN = datetime(2025, 3, 1, tzinfo=UTC)


def value(field: str, number: float, end: date | None = None, currency: str = "USD") -> Value:
    return Value(field, number, currency, registry().fields[field].period, end, None, "there")


def statement(provider: str, snapshot: int, *values: Value) -> Statement:
    at = THEN + timedelta(days=snapshot)
    said = tuple(Said(one) for one in values)
    return Statement(provider, "yahoo", "quoteSummary", snapshot, at, at, timedelta(days=3), said)


def held(field: str, old: float, new: float, *, others: tuple[Statement, ...] = ()) -> str | None:
    before, after = (
        statement("yahoo", 1, value(field, old)),
        statement("yahoo", 2, value(field, new)),
    )
    return watched(registry(), after, before, others).said[0].held


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [
        ("dividend_yield", 0.0041, 0.41),
        ("dividend_yield", 0.41, 0.0042),
        ("dividend_yield", 0.0041, 0.428),
        ("dividend_yield", 0.0041, 0.36),
        ("pe_ratio", 30.0, 3010.0),
        ("revenue", 391e9, 391e6),
        ("revenue", 391e9, 391e3),
        ("market_cap", 5e9, 5e12),
        ("market_cap", 25e9, 998e9),
        ("shares_outstanding", 1e9, 0.05e9),
        ("free_cash_flow", -5e9, -5e6),
    ],
)
def test_a_change_of_unit_is_held(field: str, old: float, new: float) -> None:
    assert held(field, old, new) is not None


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [
        ("dividend_yield", 0.0041, 0.0062),
        ("pe_ratio", 30.0, 250.0),
        ("pe_ratio", 30.0, -12.0),
        ("revenue", 391e9, 420e9),
        ("market_cap", 2.2e12, 3.7e12),
        ("total_debt", 5e9, 0.0),
        ("total_debt", 0.0, 5e9),
        ("shares_outstanding", 1e9, 4e9),
    ],
)
def test_a_change_of_the_company_is_not(field: str, old: float, new: float) -> None:
    assert held(field, old, new) is None


def test_another_provider_that_says_so_too_is_believed() -> None:
    other = statement("fmp", 1, value("market_cap", 1000e9))
    assert held("market_cap", 25e9, 998e9, others=(other,)) is None
    elsewhere = statement("fmp", 1, value("market_cap", 1000e9, currency="TWD"))
    assert held("market_cap", 25e9, 998e9, others=(elsewhere,)) is not None


def test_what_is_held_is_set_free_when_another_says_so() -> None:
    before, after = (statement("yahoo", n, value("pe_ratio", 30.0 * n**7)) for n in (1, 2))
    waiting = watched(registry(), replace(after), before, ())
    assert waiting.said[0].held is None  # 128 times is no unit, and this field may change so far
    unit = statement("yahoo", 2, value("pe_ratio", 3000.0))
    waiting = watched(registry(), unit, before, ())
    assert waiting.said[0].instead is not None
    assert confirmed(waiting, [statement("fmp", 3, value("pe_ratio", 31.0))]) is waiting
    free = confirmed(waiting, [statement("fmp", 3, value("pe_ratio", 2950.0))])
    assert (free.said[0].held, free.said[0].instead) == (None, None)


def test_a_value_is_compared_with_the_last_that_counted_however_long_ago() -> None:
    first = statement("yahoo", 1, value("dividend_yield", 0.0041))
    second = watched(registry(), statement("yahoo", 2, value("dividend_yield", 0.41)), first, ())
    third = watched(registry(), statement("yahoo", 3, value("dividend_yield", 0.8)), second, ())
    instead = third.said[0].instead
    assert instead is not None
    assert (instead.value.value, instead.snapshot) == (0.0041, 1)
    right = statement("yahoo", 4, value("dividend_yield", 0.008))
    assert watched(registry(), right, third, ()).said[0].held is None


def test_a_year_is_compared_with_itself_and_a_new_one_with_the_last() -> None:
    old, new = date(2023, 9, 30), date(2024, 9, 28)
    before = statement("yahoo", 1, value("revenue", 383e9, old))
    after = statement("yahoo", 2, value("revenue", 383e6, old), value("revenue", 391e9, new))
    found = watched(registry(), after, before, ())
    assert [one.held is not None for one in found.said] == [True, False]


def test_a_person_who_says_that_it_is_right_is_believed() -> None:
    before = statement("yahoo", 1, value("dividend_yield", 0.0041))
    after = statement("yahoo", 2, value("dividend_yield", 0.41))
    accepted = replace(after, said=(replace(after.said[0], accepted=True),))
    assert watched(registry(), accepted, before, ()).said[0].held is None


def test_the_first_document_has_nothing_to_be_compared_with() -> None:
    first = statement("yahoo", 1, value("dividend_yield", 41.0))
    assert watched(registry(), first, None, ()) is first
