"""Recorded answers about companies and a coin, against readings by tables written by hand."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.fundamentals.parsing import parse
from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.shapes import yahoo
from pipeline.fundamentals.values import Parsed, UnusableDocument
from tests.realdata import by_hand, tables
from tests.realdata.by_hand import Said, numbers_as_text, said, way
from tests.unit.fundamentals.mutating import is_all_in, spoilt
from tests.venue.recordings import FOLDER, needed

pytestmark = needed

FMP = FOLDER / "OpenBB-finance_OpenBB" / "decoded_bodies"
YAHOO = FOLDER / "gadicc_node-yahoo-finance2" / "tests"
NEW = YAHOO / "fixtures" / "http"
OLD = YAHOO / "http" / "4-7-2021"
ALPHA_VANTAGE = FOLDER / "RomelTorres_alpha_vantage" / "test_data"
TRANSCRIBED = FOLDER / "_transcribed"

FILED = datetime(2024, 11, 1, 10, 1, 36, tzinfo=UTC)
NOW = datetime(2025, 9, 22, 21, tzinfo=UTC)
FEBRUARY = datetime(2025, 2, 24, 9, 36, tzinfo=UTC)


def recorded(file: Any) -> str:
    """The body of a recorded answer of Yahoo."""
    return json.dumps(json.loads(file.read_text())["response"]["bodyJson"])


def read(client: str, document: str, payload: str, symbol: str, at: datetime) -> Parsed:
    return parse(registry(), client, document, payload, symbol, at)


def ours(client: str, document: str, payload: str, symbol: str, at: datetime = NOW) -> set[Said]:
    """What the registry makes of a document: all of it, refusing nothing."""
    parsed = read(client, document, payload, symbol, at)
    assert parsed.refusals == []
    found: set[Said] = {
        (one.field, one.value, one.currency, one.period, one.period_end, one.filed_at)
        for one in parsed.values
    }
    assert len(found) == len(parsed.values)
    return found


@pytest.mark.parametrize(
    ("document", "table", "count"),
    [
        ("profile", tables.FMP_PROFILE, 11),
        ("quote", tables.FMP_QUOTE, 2),
        ("key-metrics-ttm", tables.FMP_KEY_METRICS, 4),
        ("ratios-ttm", tables.FMP_RATIOS, 12),
    ],
)
def test_what_fmp_says_of_apple_now_is_what_is_in_the_file(
    document: str, table: str, count: int
) -> None:
    text = (FMP / f"{document}_AAPL.json").read_text()
    expected = said(table, way(numbers_as_text(text)[0]))
    assert len(expected) == count
    assert ours("fmp", document, text, "AAPL") == expected


@pytest.mark.parametrize(
    ("document", "table", "count"),
    [
        ("income-statement", tables.FMP_INCOME, 9),
        ("balance-sheet-statement", tables.FMP_BALANCE, 5),
        ("cash-flow-statement", tables.FMP_CASH, 3),
    ],
)
def test_apples_statements_at_fmp_are_what_is_in_the_file(
    document: str, table: str, count: int
) -> None:
    text = (FMP / f"{document}_AAPL.json").read_text()
    find = way(numbers_as_text(text)[0])
    expected = said(table, find, end=date(2024, 9, 28), filed=FILED)
    assert len(expected) == count
    assert ours("fmp", document, text, "AAPL") == expected


@pytest.mark.parametrize(
    ("folder", "at", "table", "quarter", "count"),
    [
        (OLD, datetime(2021, 2, 10, 9, 16, tzinfo=UTC), tables.YAHOO_2021, date(2020, 12, 26), 42),
        (NEW, FEBRUARY, tables.YAHOO_2025, date(2024, 12, 28), 41),
    ],
)
def test_what_yahoo_says_of_apple_then_and_later_is_what_is_in_the_file(
    folder: Any, at: datetime, table: str, quarter: date, count: int
) -> None:
    text = recorded(folder / "quoteSummary-all-AAPL.json")
    expected = said(table, way(numbers_as_text(text)["quoteSummary"]["result"][0]), end=quarter)
    assert len(expected) == count
    assert ours("yahoo", "quoteSummary", text, "AAPL", at) == expected


@pytest.mark.parametrize(
    ("file", "each", "period", "count"),
    [("annual", "annual", "annual", 3 * 17), ("quarterly", "quarterly", "quarter", 4 * 17)],
)
def test_apples_years_and_quarters_at_yahoo_are_what_is_in_the_file(
    file: str, each: str, period: str, count: int
) -> None:
    text = recorded(NEW / f"fundamentalsTimeSeries-AAPL-all-{file}.json")
    expected = set(by_hand.yahoo_series(numbers_as_text(text), each, period))
    assert len(expected) == count
    assert ours("yahoo", "fundamentals-timeseries", text, "AAPL", FEBRUARY) == expected


@pytest.mark.parametrize(
    ("file", "symbol", "quarter", "count"),
    [
        (TRANSCRIBED / "alphavantage_OVERVIEW_MSFT_2023-09.json", "MSFT", date(2023, 6, 30), 29),
        (ALPHA_VANTAGE / "mock_company_overview", "IBM", date(2020, 6, 30), 33),
    ],
)
def test_overviews_of_alpha_vantage_are_what_is_in_the_files(
    file: Any, symbol: str, quarter: date, count: int
) -> None:
    text = file.read_text()
    expected = said(tables.OVERVIEW, way(json.loads(text)), end=quarter)
    assert len(expected) == count
    assert ours("alpha_vantage", "OVERVIEW", text, symbol) == expected


def test_all_years_and_quarters_of_ibm_at_alpha_vantage_are_what_is_in_the_file() -> None:
    text = (ALPHA_VANTAGE / "mock_fundamental_data").read_text()
    expected: set[Said] = set()
    for name, period in (("annualReports", "annual"), ("quarterlyReports", "quarter")):
        for one in json.loads(text)[name]:
            end = date.fromisoformat(one["fiscalDateEnding"])
            expected |= said(tables.INCOME_STATEMENT, way(one), period=period, end=end)
    assert len(expected) == 25 * 5
    assert ours("alpha_vantage", "INCOME_STATEMENT", text, "IBM") == expected


def test_the_report_of_amd_at_ibkr_is_what_is_in_the_file() -> None:
    text = (TRANSCRIBED / "ibkr_ReportSnapshot_AMD_2025-08-20.xml").read_text()
    expected = said(tables.SNAPSHOT, by_hand.report(text), end=date(2025, 6, 28))
    assert len(expected) == 23
    found = ours("ibkr", "ReportSnapshot", text, "AMD")
    assert found == expected
    values = {field: value for field, value, *_ in found}
    assert values["market_cap"] == 268_093_800_000
    assert values["return_on_equity"] == 0.0469867
    price, shares = values["current_price"], values["shares_outstanding"]
    assert isinstance(price, float)
    assert isinstance(shares, float)
    assert price * shares == pytest.approx(values["market_cap"], rel=1e-6)


def test_ethereum_at_coingecko_is_what_is_in_the_file() -> None:
    text = (TRANSCRIBED / "coingecko_coins_ethereum_market_data_2025-02-14.json").read_text()
    expected = said(tables.ETHEREUM, way(numbers_as_text(text)))
    assert len(expected) == 7
    assert ours("coingecko", "coin", text, "ethereum") == expected


def fiscal_2024() -> tuple[dict[str, Any], dict[str, Any]]:
    """Apple's fiscal year 2024, as FMP and as Yahoo state it."""
    fmp: dict[str, Any] = {}
    for document in ("income-statement", "balance-sheet-statement", "cash-flow-statement"):
        text = (FMP / f"{document}_AAPL.json").read_text()
        fmp |= {field: value for field, value, *_ in ours("fmp", document, text, "AAPL")}
    text = recorded(NEW / "fundamentalsTimeSeries-AAPL-all-annual.json")
    series = ours("yahoo", "fundamentals-timeseries", text, "AAPL", FEBRUARY)
    ends = date(2024, 9, 30)
    return fmp, {field: value for field, value, _, _, end, _ in series if end == ends}


def test_apples_fiscal_2024_is_the_same_at_both_where_it_is_and_not_where_it_is_not() -> None:
    fmp, yahoos = fiscal_2024()
    assert fmp.keys() == yahoos.keys()
    for field, millions in (
        ("revenue", 391_035),
        ("net_income", 93_736),
        ("cash", 29_943),
        ("total_assets", 364_980),
    ):
        assert fmp[field] == yahoos[field] == millions * 1_000_000
    assert (fmp["total_debt"], yahoos["total_debt"]) == (119_059_000_000, 106_629_000_000)
    assert (fmp["earnings_per_share"], yahoos["earnings_per_share"]) == (6.11, 6.08)
    for field, both in (("earnings_per_share_basic", 6.11), ("earnings_per_share_diluted", 6.08)):
        assert fmp[field] == yahoos[field] == both
    assert fmp["fiscal_period_end"] == date(2024, 9, 28)
    assert yahoos["fiscal_period_end"] == date(2024, 9, 30)


@pytest.mark.parametrize(
    ("symbol", "count"),
    [("GOOG", 41), ("AMZN", 38), ("QQQ", 7), ("BTC-USD", 7), ("EURUSD=X", 4)],
)
def test_stocks_funds_and_coins_at_yahoo_are_read_without_a_refusal(
    symbol: str, count: int
) -> None:
    text = recorded(NEW / f"quoteSummary-all-{symbol}.json")
    assert len(ours("yahoo", "quoteSummary", text, symbol, FEBRUARY)) == count


def test_series_of_a_fund_say_nothing() -> None:
    text = recorded(NEW / "fundamentalsTimeSeries-QQQ-financials-quarterly.json")
    assert ours("yahoo", "fundamentals-timeseries", text, "QQQ", FEBRUARY) == set()


def test_a_recorded_404_and_recorded_answers_about_others_are_no_documents() -> None:
    missing = recorded(NEW / "quoteSummary-financialData-BTC-USD.json")
    with pytest.raises(UnusableDocument, match="Not Found"):
        read("yahoo", "quoteSummary", missing, "BTC-USD", FEBRUARY)
    text = recorded(NEW / "quoteSummary-all-GOOG.json")
    for symbol in ("GOOGL", "AAPL", "GOO"):
        with pytest.raises(UnusableDocument, match="is about 'GOOG', not about"):
            read("yahoo", "quoteSummary", text, symbol, FEBRUARY)


def test_a_statement_that_was_fetched_before_it_was_filed_is_refused() -> None:
    text = (FMP / "income-statement_AAPL.json").read_text()
    early = datetime(2024, 11, 1, 10, 1, tzinfo=UTC)
    parsed = read("fmp", "income-statement", text, "AAPL", early)
    assert not parsed.values
    assert len(parsed.refusals) == 9
    assert "after it was fetched" in parsed.refusals[0].why


def asked_for() -> dict[str, Any]:
    """What Yahoo said of Apple, as far as it would be asked for."""
    body: dict[str, Any] = json.loads(recorded(NEW / "quoteSummary-all-AAPL.json"))
    modules = yahoo.modules(registry().names("yahoo", "quoteSummary"))
    (said,) = body["quoteSummary"]["result"]
    body["quoteSummary"]["result"] = [{name: said[name] for name in modules}]
    return body


@settings(max_examples=60)
@given(data=st.data())
def test_recorded_answers_with_nonsense_in_them_become_no_wrong_values(data: st.DataObject) -> None:
    client, document, body, symbol = data.draw(
        st.sampled_from(
            [
                ("yahoo", "quoteSummary", asked_for(), "AAPL"),
                ("fmp", "profile", json.loads((FMP / "profile_AAPL.json").read_text()), "AAPL"),
                (
                    "fmp",
                    "ratios-ttm",
                    json.loads((FMP / "ratios-ttm_AAPL.json").read_text()),
                    "AAPL",
                ),
            ]
        )
    )
    payload = data.draw(spoilt(body))
    try:
        parsed = read(client, document, payload, symbol, NOW)
    except UnusableDocument:
        return
    assert is_all_in(parsed, payload)


def test_yahoo_is_asked_for_all_that_it_can_say_of_apple() -> None:
    whole = recorded(NEW / "quoteSummary-all-AAPL.json")
    asked = json.dumps(asked_for())
    assert ours("yahoo", "quoteSummary", asked, "AAPL") == ours(
        "yahoo", "quoteSummary", whole, "AAPL"
    )
