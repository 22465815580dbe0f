"""How complete what is known of an instrument is."""

from __future__ import annotations

import pytest

from pipeline.fundamentals.completeness import completeness, expected
from pipeline.fundamentals.registry import registry


@pytest.mark.parametrize("asset_class", ["equity", "etf", "crypto_spot"])
def test_all_that_is_expected_is_a_hundred_and_nothing_is_none(asset_class: str) -> None:
    wanted = expected(registry(), asset_class)
    assert wanted
    whole = completeness(registry(), asset_class, {*wanted, "beta"})
    assert whole is not None
    assert (whole.score, whole.missing) == (100.0, ())
    nothing = completeness(registry(), asset_class, {"beta"})
    assert nothing is not None
    assert (nothing.score, nothing.missing) == (0.0, wanted)


def test_what_is_missing_is_named_in_the_order_of_the_registry() -> None:
    known = set(expected(registry(), "crypto_spot")) - {"total_supply", "company_name"}
    found = completeness(registry(), "crypto_spot", known)
    assert found is not None
    assert found.missing == ("company_name", "total_supply")
    assert found.score == pytest.approx(100 * len(known) / (len(known) + 2))


def test_a_coin_is_not_expected_to_have_revenue_nor_a_company_a_supply() -> None:
    assert "revenue" not in expected(registry(), "crypto_spot")
    assert "circulating_supply" not in expected(registry(), "equity")


def test_an_asset_class_of_which_nothing_is_expected_has_no_score() -> None:
    assert completeness(registry(), "fx", {"current_price"}) is None
