"""How each vendor's values are told apart: by their names, their periods and their currencies."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.shapes import yahoo
from tests.unit.fundamentals.making import (
    by_field,
    fmp_income,
    fmp_profile,
    read,
    refused,
    reports,
    series,
    snapshot,
    stated,
    summary,
)


def test_fmp_profiles_are_read_in_both_spellings() -> None:
    new = by_field(read("fmp", "profile", [fmp_profile()]))
    spelled = fmp_profile(
        mktCap=5050, lastDiv=1.25, exchange="New York Stock Exchange", exchangeShortName="NYSE"
    )
    for name in ("marketCap", "lastDividend", "exchangeFullName"):
        del spelled[name]
    old = by_field(read("fmp", "profile", [spelled]))
    assert {name: value.value for name, value in old.items()} == {
        name: value.value for name, value in new.items()
    }
    assert old["exchange"].value == "NYSE"
    assert old["market_cap"].found_at == "[0].mktCap"


def test_fmp_stamps_filings_with_the_clock_of_new_york() -> None:
    found = by_field(read("fmp", "income-statement", [fmp_income()]))
    assert found["revenue"].filed_at == datetime(2026, 2, 20, 22, 30, tzinfo=UTC)
    assert found["revenue"].period_end == date(2025, 12, 31)
    assert found["revenue"].currency == "EUR"


@pytest.mark.parametrize("accepted", [None, "", "2026-02-20", "2026-02-20 00:00:00"])
def test_a_filing_without_a_time_was_at_the_end_of_its_day_or_when_it_was_seen(
    accepted: str | None,
) -> None:
    row = fmp_income(acceptedDate=accepted)
    found = by_field(read("fmp", "income-statement", [row]))
    assert found["revenue"].filed_at == datetime(2026, 2, 21, 12, tzinfo=UTC)
    for seen in (datetime(2026, 2, 20, 20, tzinfo=UTC), datetime(2026, 2, 19, 10, tzinfo=UTC)):
        found = by_field(read("fmp", "income-statement", [row], at=seen))
        assert found["revenue"].filed_at == seen


def test_a_day_that_has_begun_nowhere_is_no_day_of_a_filing() -> None:
    row = fmp_income(acceptedDate=None)
    seen = datetime(2026, 2, 19, 9, 59, tzinfo=UTC)
    assert not read("fmp", "income-statement", [row], at=seen).values


def test_fmp_statements_of_quarters_and_years_are_told_apart() -> None:
    rows = [fmp_income(), fmp_income(period="Q4", revenue=300)]
    parsed = read("fmp", "income-statement", rows)
    revenue = {value.period: value.value for value in parsed.values if value.field == "revenue"}
    assert revenue == {"annual": 1200, "quarter": 300}


def test_a_statement_of_an_unknown_period_is_refused() -> None:
    parsed = read("fmp", "income-statement", [fmp_income(period="H1"), fmp_income(period=["FY"])])
    assert not parsed.values
    assert refused(parsed)["revenue"] == "its period is ['FY'], not FY or Q1 to Q4"


def test_fmp_quotes_of_symbols_without_an_exchange_are_in_dollars_and_others_in_nobody_knows() -> (
    None
):
    quote = {"symbol": "ACME", "price": 50.5}
    assert by_field(read("fmp", "quote", [quote]))["current_price"].currency == "USD"
    parsed = read("fmp", "quote", [quote | {"symbol": "ACME.L"}], "ACME.L")
    assert not parsed.values
    assert "does not say in which currency" in refused(parsed)["current_price"]


def test_yahoo_says_for_all_modules_in_one_what_currency_and_quarter_they_are_of() -> None:
    said = summary(financialData={"financialCurrency": "TWD"})
    found = by_field(read("yahoo", "quoteSummary", said))
    assert (found["current_price"].currency, found["revenue_ttm"].currency) == ("USD", "TWD")
    assert found["revenue_ttm"].period_end == date(2025, 12, 31)
    assert found["pe_ratio"].value == 20.5
    assert found["current_price"].period_end is None


def test_yahoos_series_are_sorted_into_periods_and_empty_places_left_out() -> None:
    parsed = read(
        "yahoo",
        "fundamentals-timeseries",
        series(
            {"annualTotalRevenue": [stated("2024-12-31", 1100), None, stated("2025-12-31", 1200)]},
            {"quarterlyTotalRevenue": [stated("2025-12-31", 300, periodType="3M")]},
            {"annualNetIncome": [stated("2025-12-31", 100)]},
            {},
        ),
    )
    assert not parsed.refusals
    assert {(one.field, one.period, str(one.period_end)): one.value for one in parsed.values} == {
        ("fiscal_period_end", "annual", "2024-12-31"): date(2024, 12, 31),
        ("revenue", "annual", "2024-12-31"): 1100,
        ("fiscal_period_end", "annual", "2025-12-31"): date(2025, 12, 31),
        ("revenue", "annual", "2025-12-31"): 1200,
        ("net_income", "annual", "2025-12-31"): 100,
        ("fiscal_period_end", "quarter", "2025-12-31"): date(2025, 12, 31),
        ("revenue", "quarter", "2025-12-31"): 300,
    }


def test_yahoos_series_whose_period_is_not_as_long_as_its_name_says_are_refused() -> None:
    parsed = read(
        "yahoo",
        "fundamentals-timeseries",
        series({"annualTotalRevenue": [stated("2025-12-31", 9, periodType="3M")]}),
    )
    assert not parsed.values
    assert refused(parsed)["revenue"] == "its periodType is '3M', not 12M"


def test_series_without_a_value_say_nothing_and_are_no_error() -> None:
    parsed = read("yahoo", "fundamentals-timeseries", series({}, {}))
    assert (parsed.values, parsed.refusals) == ([], [])


def test_alpha_vantage_has_years_and_quarters_in_one_document() -> None:
    parsed = read("alpha_vantage", "CASH_FLOW", reports())
    spent = {one.period: (one.value, one.found_at) for one in parsed.values}
    assert spent == {
        "annual": (-30.0, "annualReports[0].capitalExpenditures"),
        "quarter": (-30.0, "quarterlyReports[0].capitalExpenditures"),
    }


def test_reports_of_ibkr_name_values_by_tag_type_and_field() -> None:
    found = by_field(read("ibkr", "ReportSnapshot", snapshot()))
    assert {name: one.value for name, one in found.items()} == {
        "company_name": "Acme Corp",
        "exchange": "New York",
        "currency": "USD",
        "employees": 1200.0,
        "shares_outstanding": 100.0,
        "float_shares": 90.0,
        "market_cap": 5_050_000.0,
        "return_on_equity": 0.0469867,
        "forward_pe": 18.5,
    }
    assert found["return_on_equity"].period_end == date(2025, 12, 31)


def test_yahoo_is_asked_for_what_the_registry_names_and_nothing_else() -> None:
    names = registry().names("yahoo", "quoteSummary")
    assert yahoo.modules(names) == (
        "assetProfile",
        "calendarEvents",
        "defaultKeyStatistics",
        "financialData",
        "price",
        "summaryDetail",
        "summaryProfile",
    )
    types = yahoo.series(registry().names("yahoo", "fundamentals-timeseries"))
    assert {"annualTotalRevenue", "quarterlyTotalRevenue", "annualDilutedEPS"} <= set(types)
    assert "annualasOfDate" not in types
    assert len(types) == len(set(types)) == 30
