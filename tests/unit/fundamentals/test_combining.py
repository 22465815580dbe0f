"""Whose value is taken, by which rule, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fundamentals.candidates import Candidate
from pipeline.fundamentals.combining import Combined, combine
from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.strategies import STRATEGIES, strategy_name

AT = datetime(2025, 3, 1, tzinfo=UTC)
CLIENTS = ("fmp", "yahoo", "alpha_vantage", "ibkr")
RATES = {("EUR", "USD"): 1.1, ("USD", "EUR"): 1 / 1.1}


def says(provider: str, value: float | str | date, **changes: Any) -> Candidate:
    known: dict[str, Any] = {
        "provider": provider,
        "client": provider,
        "value": value,
        "currency": "USD",
        "period": "instant",
        "period_end": None,
        "filed_at": None,
        "fetched_at": AT - timedelta(days=1),
        "confirmed_at": AT - timedelta(days=1),
        "lasts": timedelta(days=3),
        "document": "profile",
        "snapshot": 1,
        "found_at": "somewhere",
    }
    return Candidate(**known | changes)


def rate(one: str, other: str, on: date, at: datetime) -> float | None:
    del on, at
    return RATES.get((one, other))


def combined(
    said: Sequence[Candidate], field: str = "market_cap", strategy: str | None = None
) -> Combined:
    (found,) = combine(registry(), {field: said}, AT, rates=rate, strategy=strategy)
    return found


def verdicts(found: Combined) -> dict[str, str]:
    return {one.candidate.provider: one.verdict for one in found.candidates}


def test_ratios_are_yahoos_first_and_statements_fmps() -> None:
    both = [says("fmp", 10.0), says("yahoo", 20.0)]
    assert combined(both, "pe_ratio").provider == "yahoo"
    assert combined(both, "revenue").provider == "fmp"


def test_the_freshest_is_what_was_confirmed_last() -> None:
    old = says("yahoo", 1.0)
    new = says("ibkr", 2.0, confirmed_at=AT)
    found = combined([old, new], strategy="freshest")
    assert (found.value, found.provider, found.rule) == (2.0, "ibkr", "freshest")


def test_quality_is_the_provider_that_states_most_and_others_fill_what_it_lacks() -> None:
    said = {
        "pe_ratio": [says("yahoo", 1.0), says("ibkr", 2.0)],
        "beta": [says("ibkr", 1.1)],
        "market_cap": [says("ibkr", 5.0)],
        "revenue": [says("yahoo", 7.0)],
    }
    rows = combine(registry(), said, AT, rates=rate, strategy="quality")
    assert {row.field: row.provider for row in rows} == {
        "pe_ratio": "ibkr",
        "beta": "ibkr",
        "market_cap": "ibkr",
        "revenue": "yahoo",
    }


def test_consensus_is_the_mean_of_those_that_are_near_and_else_the_first() -> None:
    near = [says("fmp", 100.0), says("yahoo", 104.0), says("ibkr", 96.0)]
    found = combined(near, strategy="consensus")
    assert (found.value, found.rule) == (100.0, "consensus of 3")
    assert found.provider == "yahoo+fmp+ibkr"
    far = combined([*near, says("alpha_vantage", 150.0)], strategy="consensus")
    assert (far.value, far.provider, far.rule) == (104.0, "yahoo", "priority: no consensus")


def test_consensus_of_nothing_and_something_divides_by_nothing() -> None:
    found = combined([says("fmp", 0.0), says("yahoo", 5.0)], "total_debt", "consensus")
    assert (found.value, found.state) == (0.0, "disagree")
    assert found.spread is None
    nothing = combined([says("fmp", 0.0), says("yahoo", 0.0)], "total_debt", "consensus")
    assert (nothing.value, nothing.state, nothing.spread) == (0.0, "agree", 0.0)


def test_amounts_are_compared_in_one_currency_and_kept_in_their_own() -> None:
    found = combined([says("fmp", 110.0), says("yahoo", 100.0, currency="EUR")], "revenue")
    assert (found.value, found.state) == (110.0, "agree")
    assert found.spread == pytest.approx(0)
    other = found.candidates[1]
    assert other.candidate.value == 100.0
    assert other.compared == pytest.approx(110.0)
    assert "1.1 USD for EUR" in other.why


def test_words_agree_whatever_their_case_and_signs() -> None:
    found = combined([says("fmp", "Technology"), says("yahoo", "TECHNOLOGY")], "sector")
    assert (found.state, found.value, found.spread) == ("agree", "Technology", None)


def test_days_that_differ_disagree_by_days() -> None:
    said = [says("fmp", date(2024, 9, 28)), says("yahoo", date(2024, 9, 30))]
    found = combined(said, "fiscal_period_end")
    assert (found.state, found.spread) == ("disagree", 2.0)


def test_a_fiscal_year_that_has_not_ended_does_not_count() -> None:
    ahead = says("fmp", 5.0, period_end=AT.date() + timedelta(days=30))
    found = combined([ahead, says("yahoo", 4.0, period_end=date(2024, 12, 31))], "revenue")
    assert (found.value, verdicts(found)["fmp"]) == (4.0, "out of bounds")


def test_two_fiscal_years_are_never_one_value() -> None:
    older = says("fmp", 5.0, period_end=date(2023, 12, 31))
    newer = says("yahoo", 6.0, period_end=date(2024, 12, 31))
    for strategy in STRATEGIES:
        found = combined([older, newer], "revenue", strategy)
        assert (found.value, found.state) == (6.0, "single")
        assert verdicts(found) == {"fmp": "older period", "yahoo": "won"}


def test_a_strategy_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="no strategy of combining; use priority, freshest"):
        strategy_name("median")


NUMBERS = st.floats(min_value=-1e6, max_value=1e13, allow_subnormal=False)
ENDS = st.sampled_from([None, date(2023, 12, 31), date(2024, 12, 31), date(2024, 12, 28)])
CANDIDATES = st.builds(
    says,
    st.sampled_from(CLIENTS),
    NUMBERS,
    currency=st.sampled_from(["USD", "EUR", "JPY"]),
    period_end=ENDS,
    confirmed_at=st.sampled_from([AT, AT - timedelta(days=2), AT - timedelta(days=50)]),
    held=st.sampled_from([None, None, None, "another unit"]),
)
FIELDS = ("market_cap", "revenue", "pe_ratio", "dividend_yield")
SAID = st.dictionaries(
    st.sampled_from(FIELDS),
    st.lists(CANDIDATES, max_size=4, unique_by=lambda one: one.provider),
)
STRATEGY = st.sampled_from([None, *STRATEGIES])


def all_of(said: Mapping[str, Sequence[Candidate]], strategy: str | None) -> list[Combined]:
    return combine(registry(), said, AT, rates=rate, strategy=strategy)


@given(SAID, STRATEGY, st.randoms(use_true_random=False))
def test_the_order_of_what_is_said_means_nothing(
    said: dict[str, list[Candidate]], strategy: str | None, generator: Any
) -> None:
    expected = all_of(said, strategy)
    shuffled = {name: generator.sample(said[name], len(said[name])) for name in reversed(said)}
    assert all_of(shuffled, strategy) == expected


@given(SAID, STRATEGY, st.sampled_from(FIELDS), NUMBERS)
def test_one_provider_more_never_loses_a_field(
    said: dict[str, list[Candidate]], strategy: str | None, field: str, number: float
) -> None:
    before = {row.field for row in all_of(said, strategy) if row.value is not None}
    more = {**said, field: [*said.get(field, []), says("coingecko", number)]}
    after = {row.field for row in all_of(more, strategy) if row.value is not None}
    assert before <= after


@given(SAID, STRATEGY)
def test_a_value_is_one_that_was_said_within_its_bounds_or_lies_between_such(
    said: dict[str, list[Candidate]], strategy: str | None
) -> None:
    for row in all_of(said, strategy):
        won = [one for one in row.candidates if one.verdict == "won"]
        assert bool(won) == (row.value is not None)
        if row.value is None:
            continue
        assert isinstance(row.value, float)
        assert registry().fields[row.field].bounds.why_not(row.value) == ""
        assert all(one.candidate.held is None for one in won)
        numbers = [one.compared for one in won if isinstance(one.compared, float)]
        if len(won) == 1:
            assert row.value == won[0].candidate.value
        else:
            assert min(numbers) <= row.value * (1 + 1e-12)
            assert max(numbers) >= row.value * (1 - 1e-12)
        assert {one.candidate.provider for one in won} == set(str(row.provider).split("+"))
