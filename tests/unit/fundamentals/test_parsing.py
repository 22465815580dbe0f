"""Numbers, words and days, strictly: what is none is no value."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from pipeline.fundamentals.documents import UnknownDocument
from tests.unit.fundamentals.making import (
    NOW,
    by_field,
    coin,
    fmp_income,
    fmp_profile,
    overview,
    read,
    refused,
    series,
    stated,
    summary,
)


@pytest.mark.parametrize("raw", [None, "", "  ", "-", "None", {}, []])
def test_what_a_vendor_has_not_is_no_value_and_no_refusal(raw: Any) -> None:
    for client, document, body, field in (
        ("fmp", "income-statement", [fmp_income(revenue=raw)], "revenue"),
        ("fmp", "profile", [fmp_profile(sector=raw)], "sector"),
        ("yahoo", "quoteSummary", summary(financialData={"totalRevenue": raw}), "revenue_ttm"),
        ("alpha_vantage", "OVERVIEW", overview(PERatio=raw), "pe_ratio"),
        ("alpha_vantage", "OVERVIEW", overview(ExDividendDate=raw), "ex_dividend_date"),
    ):
        parsed = read(client, document, body)
        assert field not in by_field(parsed)
        assert field not in refused(parsed)


@pytest.mark.parametrize("name", ["revenue", "missing"])
def test_a_name_that_is_absent_is_no_value_and_no_refusal(name: str) -> None:
    parsed = read("fmp", "income-statement", [{"symbol": "ACME", "period": "FY", name: None}])
    assert (parsed.values, parsed.refusals) == ([], [])


def test_a_document_that_states_nothing_is_of_no_use_and_says_why() -> None:
    reports = {"symbol": "ACME", "annualReports": [], "quarterlyReports": []}
    for client, document, body, why in (
        ("fmp", "income-statement", [{"symbol": "ACME"}], "states nothing that"),
        ("alpha_vantage", "INCOME_STATEMENT", reports, "states nothing that"),
        ("fmp", "quote", [{"symbol": "ACME", "price": "50"}], "[0].price is text, not a number"),
        ("fmp", "income-statement", [fmp_income(date=None)], "no day, and 4 more"),
    ):
        assert why in str(read(client, document, body).why_useless)
    assert read("fmp", "income-statement", [fmp_income()]).why_useless is None


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("1200", "is text, not a number"),
        ("many", "is text, not a number"),
        (True, "is true or false, not a number"),
        (False, "is true or false, not a number"),
        ([1200], "is nested, not a number"),
        ({"raw": 1200}, "is nested, not a number"),
        (float("nan"), "is not finite, or beyond all numbers that can be kept"),
        (float("inf"), "is not finite, or beyond all numbers that can be kept"),
        (10**400, "is not finite, or beyond all numbers that can be kept"),
    ],
)
def test_what_is_no_number_is_refused_and_never_nothing(raw: Any, why: str) -> None:
    parsed = read("fmp", "income-statement", [fmp_income(revenue=raw)])
    assert "revenue" not in by_field(parsed)
    assert refused(parsed) == {"revenue": why}
    assert parsed.refusals[0].found_at == "[0].revenue"
    assert len(parsed.refusals[0].raw) <= 100


@pytest.mark.parametrize("raw", ["Busy", 7, True, [{"totalRevenue": 1200}]])
def test_what_is_in_something_else_than_an_object_is_refused(raw: Any) -> None:
    body = summary()
    body["quoteSummary"]["result"][0]["financialData"] = raw
    parsed = read("yahoo", "quoteSummary", body)
    found = {one.field: one for one in parsed.refusals}
    assert found["revenue_ttm"].why == "is no object, so it can state nothing"
    assert found["revenue_ttm"].found_at == "quoteSummary.result[0].financialData"
    assert "revenue_ttm" not in by_field(parsed)
    assert by_field(parsed)["current_price"].value == 50.5


@pytest.mark.parametrize(
    "text", ["1e999", "1e-999", "1e99999999999999999999", "-1e310", "5e-324000"]
)
def test_numbers_beyond_those_that_can_be_kept_are_refused(text: str) -> None:
    body = f'[{{"symbol": "ACME", "price": {text}}}]'
    parsed = read("fmp", "quote", body)
    assert not parsed.values
    assert set(refused(parsed)) == {"current_price"}


@pytest.mark.parametrize(
    "text", ["1,200", "1_200", "12OO", "0x10", "1200 USD", "NaN", "inf", "١٢", "--1", "12%", "N/A"]
)
def test_text_that_is_no_number_is_refused_where_the_vendor_writes_text(text: str) -> None:
    parsed = read("alpha_vantage", "OVERVIEW", overview(RevenueTTM=text))
    assert refused(parsed) == {"revenue_ttm": "is text that is no number"}


@pytest.mark.parametrize(
    ("text", "value"), [("1200", 1200), (" -0.5 ", -0.5), ("1.2e3", 1200), (".5", 0.5), ("+1", 1)]
)
def test_text_that_is_a_number_is_one_where_the_vendor_writes_text(text: str, value: float) -> None:
    parsed = read("alpha_vantage", "OVERVIEW", overview(QuarterlyRevenueGrowthYOY=text))
    assert by_field(parsed)["revenue_growth"].value == value


def test_nothing_is_a_value_unless_the_vendor_writes_it_for_what_it_has_not() -> None:
    row = {"symbol": "ACME", "dividendYieldTTM": 0, "debtToEquityRatioTTM": 0, "quickRatioTTM": 0}
    parsed = read("fmp", "ratios-ttm", [row])
    found = by_field(parsed)
    assert {name: one.value for name, one in found.items()} == {
        "dividend_yield": 0.0,
        "debt_to_equity": 0.0,
    }
    assert not parsed.refusals
    assert "market_cap" not in by_field(
        read("coingecko", "coin", coin(market_cap={"usd": 0}), "acmecoin")
    )
    assert (
        by_field(read("alpha_vantage", "OVERVIEW", overview(DividendYield="0")))[
            "dividend_yield"
        ].value
        == 0.0
    )


def test_minus_nothing_is_nothing() -> None:
    body = {"symbol": "ACME", "annualReports": [
        {"fiscalDateEnding": "2025-12-31", "reportedCurrency": "USD", "capitalExpenditures": "0"}
    ]}  # fmt: skip
    (value,) = read("alpha_vantage", "CASH_FLOW", body).values
    assert str(value.value) == "0.0"


def test_a_value_out_of_its_bounds_is_what_was_said_all_the_same() -> None:
    said = summary(summaryDetail={"dividendYield": 41, "trailingPE": -5000})
    found = by_field(read("yahoo", "quoteSummary", said))
    assert (found["dividend_yield"].value, found["pe_ratio"].value) == (41, -5000)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (7, "is not text"),
        (True, "is not text"),
        (["Industrials"], "is not text"),
        ("NaN", "is what programs write for nothing"),
        ("null", "is what programs write for nothing"),
        ("x" * 201, "is 201 characters long, more than 200"),
        ("Indus\x00trials", "holds characters that cannot be shown"),
        ("Indus\ud800trials", "holds characters that cannot be shown"),
    ],
)
def test_words_that_are_none_are_refused(raw: Any, why: str) -> None:
    parsed = read("fmp", "profile", [fmp_profile(sector=raw)])
    assert "sector" not in by_field(parsed)
    assert refused(parsed) == {"sector": why}
    parsed.refusals[0].raw.encode()


def test_words_are_kept_with_single_spaces_and_unknown_is_what_a_vendor_says() -> None:
    found = by_field(read("fmp", "profile", [fmp_profile(sector=" Consumer \n Cyclical ")]))
    assert found["sector"].value == "Consumer Cyclical"
    assert "industry" not in found


@pytest.mark.parametrize(
    "raw", ["soon", "0000-00-00", "2026-02-30", "20260401", "2026-W05", 1767139200, "1026-01-01"]
)
def test_a_day_that_is_none_is_refused(raw: Any) -> None:
    parsed = read("alpha_vantage", "OVERVIEW", overview(ExDividendDate=raw))
    assert set(refused(parsed)) == {"ex_dividend_date"}


@pytest.mark.parametrize("raw", ["2026-04-01", 1e18, 1e400, True, [1], {"fmt": "soon"}, -1e15])
def test_seconds_that_are_no_day_are_refused(raw: Any) -> None:
    parsed = read("yahoo", "quoteSummary", summary(calendarEvents={"exDividendDate": raw}))
    assert "ex_dividend_date" not in by_field(parsed)
    assert set(refused(parsed)) == {"ex_dividend_date"}


def test_days_to_come_are_days() -> None:
    said = summary(calendarEvents={"earnings": {"earningsDate": [1777507200, 1777852800]}})
    found = by_field(read("yahoo", "quoteSummary", said))
    assert found["next_earnings_date"].value == date(2026, 4, 30)
    assert by_field(read("alpha_vantage", "OVERVIEW", overview()))[
        "ex_dividend_date"
    ].value == date(2026, 4, 1)


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("2026-03-03", "its period ends on 2026-03-03, after the document was fetched"),
        ("2062-12-31", "its period ends on 2062-12-31, after the document was fetched"),
        (None, "its period has no end that can be used: None is no day"),
        ("FY25", "its period has no end that can be used: 'FY25' is no day"),
        (20251231, "its period has no end that can be used: 20251231 is no day"),
        ("0001-01-01", "its period has no end that can be used: 0001-01-01 is not in a year"),
    ],
)
def test_a_statement_of_a_period_that_is_not_over_or_has_no_end_is_refused(
    end: Any, why: str
) -> None:
    parsed = read("fmp", "income-statement", [fmp_income(date=end)])
    assert not parsed.values
    assert refused(parsed)["revenue"].startswith(why)


def test_a_quarter_to_come_spoils_what_is_about_it_and_not_what_is_about_today() -> None:
    said = summary(defaultKeyStatistics={"mostRecentQuarter": 1798675200})  # 2026-12-31
    parsed = read("yahoo", "quoteSummary", said)
    assert "current_price" in by_field(parsed)
    assert set(refused(parsed)) == {"revenue_ttm", "earnings_per_share_ttm"}


@pytest.mark.parametrize(
    "filed", ["2026-03-02 12:00:00", "2027-01-01 00:00:00", "2026-03-04", 7, "?"]
)
def test_a_statement_that_was_published_after_it_was_seen_is_refused(filed: Any) -> None:
    parsed = read("fmp", "income-statement", [fmp_income(acceptedDate=filed)])
    assert not parsed.values
    assert "it was published at" in refused(parsed)["revenue"]


def test_a_value_that_is_said_twice_is_kept_once_and_none_that_is_said_in_two_ways() -> None:
    same = read("fmp", "income-statement", [fmp_income(), fmp_income()])
    assert by_field(same)["revenue"].value == 1200
    other = read("fmp", "income-statement", [fmp_income(), fmp_income(revenue=1201)])
    assert "revenue" not in by_field(other)
    assert [(one.field, one.raw, one.why) for one in other.refusals] == [
        ("revenue", "1200.0", "the document says it twice, and differently"),
        ("revenue", "1201.0", "the document says it twice, and differently"),
    ]
    twice = series({"annualTotalRevenue": [stated("2025-12-31", 1), stated("2025-12-31", 2)]})
    assert set(refused(read("yahoo", "fundamentals-timeseries", twice))) == {"revenue"}


def test_a_document_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(UnknownDocument, match=r"did you mean quoteSummary\?"):
        read("yahoo", "quotesummary", summary(), at=NOW)
