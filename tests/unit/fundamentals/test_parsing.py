"""Values in their fields' own units, and all that is not made one."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.fundamentals.documents import UnknownDocument
from pipeline.fundamentals.parsing import parse
from pipeline.fundamentals.registry import FILE, load
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
    snapshot,
    stated,
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
    "filed", ["2026-03-02 12:00:00", "2027-01-01 00:00:00", "2026-03-03", 7, "?"]
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


def test_a_document_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(UnknownDocument, match=r"did you mean quoteSummary\?"):
        read("yahoo", "quotesummary", summary(), at=NOW)
