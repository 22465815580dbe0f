"""Values in their fields' own units and currencies, whichever the vendor writes them in."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.fundamentals.parsing import parse
from pipeline.fundamentals.registry import FILE, load
from tests.unit.fundamentals.making import (
    by_field,
    fmp_income,
    fmp_profile,
    read,
    refused,
    snapshot,
    summary,
)


def test_percent_and_millions_become_fractions_and_units() -> None:
    extra = '<Ratio FieldName="TTMREV">29600.00000</Ratio><Ratio FieldName="NPRICE">165.2</Ratio>'
    found = by_field(read("ibkr", "ReportSnapshot", snapshot(extra)))
    assert found["return_on_equity"].value == 0.0469867
    assert found["revenue_ttm"].value == 29_600_000_000
    assert found["market_cap"].value == 5_050_000
    assert found["current_price"].value == 165.2
    assert found["shares_outstanding"].value == 100
    assert by_field(read("yahoo", "quoteSummary", summary()))["debt_to_equity"].value == 1.45


def test_a_factor_leaves_the_digits_as_they_were() -> None:
    """268093.8 times a million is not 268093800000 in binary arithmetic of every number."""
    for text in ("268093.8", "0.07", "1.1", "4.35", "9007199254.740993"):
        body = snapshot().replace("5.05000", text)
        found = by_field(read("ibkr", "ReportSnapshot", body))["market_cap"].value
        assert found == float(f"{text}e6")


@pytest.mark.parametrize(
    ("word", "currency"), [("GBp", "GBP"), ("GBX", "GBP"), ("ZAc", "ZAR"), ("ILA", "ILS")]
)
def test_prices_in_pence_become_pounds_and_what_is_in_pounds_stays(
    word: str, currency: str
) -> None:
    """As Yahoo writes LLOY.L: price and target in pence, everything else in pounds."""
    said = summary(
        price={"currency": word, "regularMarketPrice": 99.24, "marketCap": 58313216000},
        summaryDetail={"dividendRate": 0.03},
        defaultKeyStatistics={"bookValue": 0.771, "priceToBook": 128.71594, "trailingEps": 0.06},
        financialData={"financialCurrency": currency, "targetMeanPrice": 96.222},
    )
    parsed = read("yahoo", "quoteSummary", said)
    found = by_field(parsed)
    assert not parsed.refusals
    assert {
        name: (found[name].value, found[name].currency)
        for name in (
            "current_price",
            "market_cap",
            "dividend_per_share",
            "book_value_per_share",
            "earnings_per_share_ttm",
            "target_price",
        )
    } == {
        "current_price": (0.9924, currency),
        "market_cap": (58313216000, currency),
        "dividend_per_share": (0.03, currency),
        "book_value_per_share": (0.771, currency),
        "earnings_per_share_ttm": (0.06, currency),
        "target_price": (0.96222, currency),
    }
    assert found["currency"].value == currency
    assert found["price_to_book"].value == 1.2871594


def test_where_nobody_knows_whether_it_is_pence_or_pounds_it_is_refused() -> None:
    parsed = read("fmp", "profile", [fmp_profile(currency="GBp")])
    assert by_field(parsed)["current_price"].value == 0.505
    assert refused(parsed) == {
        "market_cap": "may be in GBP or in hundredths of it: the registry does not say",
        "dividend_per_share": "may be in GBP or in hundredths of it: the registry does not say",
    }


def test_a_price_by_a_book_in_another_currency_is_refused() -> None:
    """As Yahoo writes INFY.NS: the price in rupees, the book value in dollars."""
    said = summary(
        price={"currency": "INR"},
        defaultKeyStatistics={"bookValue": 2.67, "priceToBook": 573.55804},
    )
    parsed = read("yahoo", "quoteSummary", said)
    assert refused(parsed)["price_to_book"] == "mixes a price in INR with books in USD"
    assert by_field(parsed)["book_value_per_share"].currency == "USD"


@pytest.mark.parametrize("word", [None, "", "usd", "US$", "USDT", 840, True, ["USD"], "GB\u20acp"])
def test_money_without_a_currency_is_refused(word: Any) -> None:
    parsed = read("fmp", "income-statement", [fmp_income(reportedCurrency=word)])
    assert set(by_field(parsed)) == {"fiscal_period_end"}
    assert all("currency" in why for why in refused(parsed).values())


def test_a_vendors_change_of_unit_holds_from_its_day_on(tmp_path: Path) -> None:
    content = yaml.safe_load(FILE.read_text())
    place = {"document": "quoteSummary", "name": "summaryDetail.dividendYield"}
    content["fields"]["dividend_yield"]["sources"]["yahoo"] = [
        place | {"until": date(2026, 3, 2)},
        place | {"unit": "percent", "since": date(2026, 3, 2)},
    ]
    path = tmp_path / "fields.yaml"
    path.write_text(yaml.safe_dump(content))
    changed, found = load(path), []
    for moment in (datetime(2026, 3, 1, 23, 59, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)):
        payload = json.dumps(summary(summaryDetail={"dividendYield": 0.41}))
        parsed = parse(changed, "yahoo", "quoteSummary", payload, "ACME", moment)
        found.append(by_field(parsed)["dividend_yield"].value)
    assert found == [0.41, 0.0041]


@pytest.mark.parametrize(
    ("word", "code"),
    [("US", "US"), ("USA", "US"), ("United States", "US"), ("united kingdom", "GB"), ("DEU", "DE")],
)
def test_countries_are_two_letters_whatever_they_are_called(word: str, code: str) -> None:
    assert by_field(read("fmp", "profile", [fmp_profile(country=word)]))["country"].value == code


def test_a_country_that_nobody_knows_is_called_what_the_vendor_calls_it() -> None:
    found = by_field(read("fmp", "profile", [fmp_profile(country="Ruritania")]))
    assert found["country"].value == "Ruritania"
