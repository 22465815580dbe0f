"""What the field registry may say, and what is said of what it may not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from pipeline.fundamentals.documents import DATA_TYPES, DOCUMENTS, UnknownDocument
from pipeline.fundamentals.fields import AssetClass, Bounds, Client
from pipeline.fundamentals.registry import (
    FILE,
    Registry,
    RegistryError,
    UnknownField,
    load,
    registry,
)
from pipeline.universe.parts import AssetClass as UniverseClass

# The fields that were asked for, written down apart from the registry.
WANTED = """
current_price market_cap pe_ratio forward_pe dividend_yield earnings_per_share price_to_book
return_on_equity return_on_assets debt_to_equity current_ratio quick_ratio revenue revenue_growth
net_income net_income_growth free_cash_flow operating_margin profit_margin beta sector industry
country exchange currency shares_outstanding float_shares short_ratio payout_ratio peg_ratio
price_to_sales enterprise_value enterprise_value_to_ebitda company_name cash total_assets total_debt
total_liabilities shareholders_equity gross_profit operating_income ebitda operating_cash_flow
capital_expenditure earnings_per_share_basic earnings_per_share_diluted fiscal_period_end
book_value_per_share revenue_ttm target_price dividend_per_share ex_dividend_date
next_earnings_date employees circulating_supply total_supply max_supply fully_diluted_valuation
volume_24h
"""

SMALL: dict[str, Any] = {
    "priority": ["fmp", "yahoo", "alpha_vantage", "ibkr", "coingecko"],
    "fields": {
        "revenue": {
            "meaning": "Revenue.",
            "data_type": "statements",
            "kind": "amount",
            "period": "annual",
            "sources": {"fmp": {"document": "income-statement", "name": "revenue"}},
        }
    },
}


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Registry]:
    """Loads a small registry after a change to the field `revenue`, or to its source."""

    def change(source: dict[str, Any] | None = None, **field: Any) -> Registry:
        content = yaml.safe_load(yaml.safe_dump(SMALL))
        content["fields"]["revenue"] |= field
        if source is not None:
            content["fields"]["revenue"]["sources"]["fmp"] |= source
        path = tmp_path / "small.yaml"
        path.write_text(yaml.safe_dump(content))
        return load(path)

    return change


def test_the_registry_has_every_field_that_was_asked_for() -> None:
    assert set(WANTED.split()) <= set(registry().fields)


def test_the_words_for_clients_and_asset_classes_are_those_of_everybody_else() -> None:
    assert set(get_args(Client)) == set(DOCUMENTS)
    assert set(get_args(AssetClass)) <= set(get_args(UniverseClass))


def test_a_priority_names_all_clients_whatever_the_file_says() -> None:
    assert registry().field("revenue").priority[:3] == ("fmp", "alpha_vantage", "yahoo")
    assert registry().field("pe_ratio").priority[:3] == ("yahoo", "fmp", "alpha_vantage")
    assert registry().field("sector").priority[:3] == ("fmp", "yahoo", "alpha_vantage")
    assert all(len(one.priority) == len(DOCUMENTS) for one in registry().fields.values())


def test_a_field_may_have_a_priority_of_its_own(loaded: Callable[..., Registry]) -> None:
    field = loaded(priority=["ibkr"]).field("revenue")
    assert field.priority == ("ibkr", "fmp", "yahoo", "alpha_vantage", "coingecko")


def test_every_document_is_there_for_some_field() -> None:
    for client, documents in DOCUMENTS.items():
        for document in documents:
            assert registry().names(client, document), (client, document)


def test_debt_may_be_nothing_and_cash_may_not() -> None:
    assert not registry().field("total_debt").bounds.why_not(0.0)
    assert registry().field("cash").bounds.why_not(0.0) == "must be above 0"


@pytest.mark.parametrize(
    ("bounds", "within", "beyond"),
    [
        (Bounds(above=-1000, below=1000), [-999.0, 999.0], [-1000.0, 1000.0]),
        (Bounds(at_least=0, at_most=1), [0.0, 1.0], [-0.1, 1.1]),
        (Bounds(), [-1e300, 1e300], []),
    ],
)
def test_bounds_are_what_their_words_say(
    bounds: Bounds, within: list[float], beyond: list[float]
) -> None:
    assert not any(bounds.why_not(value) for value in within)
    assert all(bounds.why_not(value) for value in beyond)


@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        ({"data_type": "statement"}, "fields.revenue.data_type", "did you mean statements?"),
        ({"kind": "money"}, "fields.revenue.kind", "use one of: amount"),
        ({"period": "yearly"}, "fields.revenue.period", "use one of: annual"),
        ({"strategy": "concensus"}, "fields.revenue.strategy", "did you mean consensus?"),
        ({"tolerence": 1}, "fields.revenue.tolerence", "did you mean tolerance?"),
        ({"priority": ["yf"]}, "fields.revenue.priority.0", "use one of: fmp"),
        ({"expected_for": ["stock"]}, "fields.revenue.expected_for.0", "use one of: equity"),
        ({"bounds": {"atleast": 0}}, "fields.revenue.bounds.atleast", "did you mean at_least?"),
        (
            {"sources": {"yaho": {"document": "quoteSummary", "name": "a"}}},
            "fields.revenue.sources.yaho",
            "did you mean yahoo?",
        ),
        (
            {"sources": {"fmp": {"document": "incom-statement", "name": "a"}}},
            "fields.revenue.sources.fmp.0",
            "did you mean income-statement?",
        ),
        ({"data_type": "analyst"}, "fields.revenue.sources.fmp.0", "it has statements"),
        ({"kind": "count"}, None, ""),
        (
            {"sources": {"fmp": {"document": "income-statement", "name": "a", "unit": "percent"}}},
            "fields.revenue.sources.fmp.0",
            "no amount is in percent",
        ),
        (
            {"sources": {"fmp": {"document": "income-statement", "name": "a", "currency": "usd"}}},
            "fields.revenue.sources.fmp.0.currency",
            "should match pattern",
        ),
        (
            {
                "kind": "date",
                "sources": {
                    "fmp": {"document": "income-statement", "name": "a", "opposite_sign": True}
                },
            },
            "fields.revenue.sources.fmp.0",
            "opposite_sign is for numbers, and this is a date",
        ),
        (
            {
                "sources": {
                    "fmp": {
                        "document": "income-statement",
                        "name": "a",
                        "since": "2026-01-02T00:00Z",
                        "until": "2026-01-01T00:00Z",
                    }
                },
            },
            "fields.revenue.sources.fmp.0",
            "since is not before until",
        ),
        ({"tolerance": -1}, "fields.revenue.tolerance", "greater than or equal to 0"),
        ({"scale": 1}, "fields.revenue.scale", "greater than 1"),
    ],
)
def test_a_slip_in_the_registry_is_an_error_that_says_where_and_what(
    loaded: Callable[..., Registry], change: dict[str, Any], place: str | None, said: str
) -> None:
    if place is None:
        assert loaded(**change)
        return
    with pytest.raises(RegistryError) as refused:
        loaded(**change)
    assert place in str(refused.value)
    assert said in str(refused.value)


def test_a_field_that_is_written_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("priority: [fmp]\nfields: {a: {}, a: {}}\n")
    with pytest.raises(RegistryError, match="a is written twice"):
        load(path)


def test_a_registry_that_leaves_a_client_out_of_the_order_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(SMALL | {"priority": ["fmp", "yahoo"]}))
    with pytest.raises(RegistryError, match="leaves out alpha_vantage, ibkr, coingecko"):
        load(path)


def test_a_source_holds_from_its_first_day_until_the_day_it_ends() -> None:
    fields = yaml.safe_load(FILE.read_text())["fields"]
    assert len(fields["operating_margin"]["sources"]["yahoo"]) == 2
    before, after = registry().field("operating_margin").sources["yahoo"]
    assert before.holds_at(datetime(2021, 12, 31, 23, 59, tzinfo=UTC))
    assert not before.holds_at(datetime(2022, 1, 1, tzinfo=UTC))
    assert after.holds_at(datetime(2025, 1, 1, tzinfo=UTC))
    assert not after.holds_at(datetime(2024, 12, 31, tzinfo=UTC))


def test_two_sources_of_a_document_must_not_hold_at_the_same_time(
    loaded: Callable[..., Registry],
) -> None:
    place = {"document": "income-statement", "name": "revenue"}
    changed = [place | {"until": "2024-01-01T00:00Z"}, place | {"since": "2024-01-01T00:00Z"}]
    assert loaded(sources={"fmp": changed})
    with pytest.raises(RegistryError, match="is named before, for the same time"):
        loaded(sources={"fmp": [place, place | {"since": "2024-01-01T00:00Z"}]})


def test_a_field_and_a_document_are_known_by_name_or_an_error() -> None:
    with pytest.raises(UnknownField, match=r"did you mean price_to_book\?"):
        registry().field("price_book")
    with pytest.raises(UnknownDocument, match=r"did you mean coin\?"):
        registry().names("coingecko", "coins")


def test_data_types_of_the_priorities_are_those_of_documents() -> None:
    assert set(registry().priority_by_data_type) <= set(DATA_TYPES)
