"""What counts as a change of unit, and who may say that it is none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from pipeline.fundamentals.canaries import Said, Statement
from pipeline.fundamentals.known import Known
from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.values import Value

THEN = datetime(2025, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def value(field: str, number: float, end: date | None = None, currency: str = "USD") -> Value:
    return Value(field, number, currency, registry().fields[field].period, end, None, "there")


def statement(provider: str, snapshot: int, *values: Value) -> Statement:
    at = THEN + timedelta(days=snapshot)
    said = tuple(Said(one) for one in values)
    return Statement(
        subject=("yahoo", "fmp", "alpha_vantage", "second", "third").index(provider),
        provider=provider,
        client="yahoo",
        asked=((datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),),
        document="quoteSummary",
        snapshot=snapshot,
        fetched_at=at,
        seen=(at,),
        lasts=timedelta(days=3),
        said=said,
    )


def learnt(*statements: Statement) -> dict[str, Statement]:
    """Return what is known of each provider after documents in this order."""
    known = Known()
    for one in statements:
        known.learn(registry(), one)
        known.set_free(one.fetched_at)
    return {one.provider: one for one in known.statements.values()}


def held(field: str, *numbers: float, others: tuple[Statement, ...] = ()) -> str | None:
    """Return why the last of some numbers is held."""
    mine = [statement("yahoo", n, value(field, one)) for n, one in enumerate(numbers, 1)]
    return learnt(*others, *mine)["yahoo"].said[0].held


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [
        ("dividend_yield", 0.0041, 0.41),
        ("dividend_yield", 0.41, 0.0042),
        ("dividend_yield", 0.0041, 0.428),
        ("dividend_yield", 0.0041, 0.36),
        ("dividend_yield", 0.0030, 0.41),
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
    mine = [statement("yahoo", n, value("pe_ratio", one)) for n, one in ((1, 30.0), (2, 3000.0))]
    assert learnt(*mine)["yahoo"].said[0].instead is not None
    far, near = (statement("fmp", 3, value("pe_ratio", one)) for one in (31.0, 2950.0))
    assert learnt(*mine, far)["yahoo"].said[0].held is not None
    free = learnt(*mine, near)["yahoo"].said[0]
    assert (free.held, free.instead) == (None, None)


def test_a_provider_that_has_not_been_heard_for_long_confirms_nothing() -> None:
    long_ago = statement("fmp", -900, value("dividend_yield", 0.41))
    assert held("dividend_yield", 0.0041, 0.41, others=(long_ago,)) is not None


def test_a_value_is_compared_with_the_last_that_counted_however_long_ago() -> None:
    numbers = [0.0041, 0.41, 0.8]
    mine = [statement("yahoo", n, value("dividend_yield", x)) for n, x in enumerate(numbers, 1)]
    instead = learnt(*mine)["yahoo"].said[0].instead
    assert instead is not None
    assert (instead.value.value, instead.snapshot) == (0.0041, 1)
    assert held("dividend_yield", *numbers, 0.008) is None


def test_a_document_that_says_nothing_of_a_field_or_zero_makes_nobody_forget() -> None:
    first = statement("yahoo", 1, value("dividend_yield", 0.0041))
    third = statement("yahoo", 3, value("dividend_yield", 0.41))
    nothing: tuple[tuple[Value, ...], ...] = ((), (value("dividend_yield", 0.0),))
    for second in nothing:
        found = learnt(first, statement("yahoo", 2, *second), third)["yahoo"].said[0]
        assert found.held is not None
        assert found.instead is not None
        assert found.instead.value.value == 0.0041


def test_a_year_is_compared_with_itself_and_a_new_one_with_the_last() -> None:
    old, new = date(2023, 9, 30), date(2024, 9, 28)
    before = statement("yahoo", 1, value("revenue", 383e9, old))
    after = statement("yahoo", 2, value("revenue", 383e6, old), value("revenue", 391e9, new))
    found = learnt(before, after)["yahoo"]
    assert [one.held is not None for one in found.said] == [True, False]


def test_a_quarter_is_not_compared_with_a_year() -> None:
    end = date(2024, 9, 28)
    quarter = replace(value("revenue", 5e9, end), period="quarter")
    before = statement("yahoo", 1, value("revenue", 391e9, end))
    found = learnt(before, statement("yahoo", 2, value("revenue", 391e9, end), quarter))
    assert all(one.held is None for one in found["yahoo"].said)


def test_time_does_not_go_back() -> None:
    old, new = date(2023, 9, 30), date(2024, 9, 28)
    first = statement("yahoo", 1, value("revenue", 383e9, old), value("revenue", 391e9, new))
    second = statement("yahoo", 2, value("revenue", 383e9, old))
    other = statement("fmp", 3, value("revenue", 383e9, old))
    found = learnt(first, second, other)["yahoo"].said[0]
    assert "2024-09-28 was told" in str(found.held)
    assert found.instead is not None
    assert (found.instead.value.value, found.instead.snapshot) == (391e9, 1)


def test_a_person_who_says_that_it_is_right_is_believed() -> None:
    before = statement("yahoo", 1, value("dividend_yield", 0.0041))
    after = statement("yahoo", 2, value("dividend_yield", 0.41))
    accepted = replace(after, said=(replace(after.said[0], accepted=True),))
    assert learnt(before, accepted)["yahoo"].said[0].held is None


def test_the_first_document_has_nothing_to_be_compared_with() -> None:
    assert held("dividend_yield", 41.0) is None


def test_a_year_of_nothing_is_remembered_as_a_year() -> None:
    new, old = date(2025, 9, 30), date(2024, 9, 30)
    first = statement("fmp", 1, value("total_debt", 0.0, new), value("total_debt", 5e9, old))
    (only,) = learnt(first, statement("fmp", 2, value("total_debt", 5e9, old)))["fmp"].said
    assert only.held is not None
    assert "2025-09-30 was told" in only.held
    assert only.instead is not None
    assert only.instead.value.value == 0


def test_what_was_told_years_ago_says_nothing_of_the_scale_of_today() -> None:
    years = statement("yahoo", 1, value("market_cap", 0.18e12))
    now = replace(statement("yahoo", 9, value("market_cap", 3e12)), fetched_at=THEN + 400 * DAY)
    assert learnt(years, now)["yahoo"].said[0].held is None
    unit = replace(statement("yahoo", 9, value("market_cap", 180e12)), fetched_at=now.fetched_at)
    assert learnt(years, unit)["yahoo"].said[0].held is not None


def test_an_earlier_year_that_a_person_accepts_makes_the_later_one_wrong() -> None:
    wrong, right = date(2025, 9, 30), date(2024, 9, 30)
    first = statement("yahoo", 1, value("revenue", 300e9, wrong))
    second = statement("yahoo", 2, value("revenue", 391e9, right))
    assert learnt(first, second)["yahoo"].said[0].held is not None
    accepted = replace(second, said=(replace(second.said[0], accepted=True),))
    third = statement("yahoo", 3, value("revenue", 391e9, right))
    assert learnt(first, accepted, third)["yahoo"].said[0].held is None
