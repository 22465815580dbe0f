"""Small documents of our own making, in the vendors' formats, and a short way to read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.fundamentals.parsing import parse
from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.values import Parsed, Value

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def read(client: str, document: str, body: Any, symbol: str = "ACME", at: datetime = NOW) -> Parsed:
    """Parse a body: text as it is, anything else as JSON."""
    payload = body if isinstance(body, str) else json.dumps(body)
    return parse(registry(), client, document, payload, symbol, at)


def by_field(parsed: Parsed) -> dict[str, Value]:
    """Return values by their field; for documents that state each once."""
    found = {value.field: value for value in parsed.values}
    assert len(found) == len(parsed.values)
    return found


def refused(parsed: Parsed) -> dict[str, str]:
    """Return why fields were refused."""
    return {refusal.field: refusal.why for refusal in parsed.refusals}


def fmp_income(**changes: Any) -> dict[str, Any]:
    return {
        "date": "2025-12-31",
        "symbol": "ACME",
        "reportedCurrency": "EUR",
        "filingDate": "2026-02-20",
        "acceptedDate": "2026-02-20 17:30:00",
        "period": "FY",
        "revenue": 1200,
        "netIncome": 100,
        "eps": 1.5,
        "epsDiluted": 1.4,
    } | changes


def fmp_profile(**changes: Any) -> dict[str, Any]:
    return {
        "symbol": "ACME",
        "price": 50.5,
        "marketCap": 5050,
        "companyName": "Acme Corp.",
        "currency": "USD",
        "exchangeFullName": "New York Stock Exchange",
        "exchange": "NYSE",
        "sector": "Industrials",
        "country": "US",
        "fullTimeEmployees": "1200",
        "lastDividend": 1.25,
        "beta": 0.9,
    } | changes


def summary(symbol: str = "ACME", **modules: dict[str, Any]) -> dict[str, Any]:
    """A quoteSummary; modules are changes to what each says."""
    said: dict[str, dict[str, Any]] = {
        "price": {
            "symbol": symbol,
            "currency": "USD",
            "longName": "Acme Corp.",
            "regularMarketPrice": 50.5,
            "marketCap": 5050,
        },
        "summaryDetail": {
            "dividendYield": 0.0041,
            "dividendRate": 0.2,
            "trailingPE": {"raw": 20.5},
        },
        "defaultKeyStatistics": {
            "mostRecentQuarter": 1767139200,  # 2025-12-31
            "priceToBook": 3.5,
            "bookValue": 14.4,
            "trailingEps": 2.46,
        },
        "financialData": {
            "financialCurrency": "USD",
            "totalRevenue": 1200,
            "debtToEquity": 145,
            "targetMeanPrice": 60,
        },
    }
    for name, change in modules.items():
        said[name] = said.get(name, {}) | change
    return {"quoteSummary": {"result": [said], "error": None}}


def series(*results: Mapping[str, Any], symbol: str = "ACME") -> dict[str, Any]:
    """A fundamentals-timeseries of these names and their values."""
    packed = [{"meta": {"symbol": [symbol], "type": [*one]}, **one} for one in results]
    return {"timeseries": {"result": packed, "error": None}}


def stated(end: str, raw: Any, **changes: Any) -> dict[str, Any]:
    """One value of a series."""
    return {
        "asOfDate": end,
        "periodType": "12M",
        "currencyCode": "USD",
        "reportedValue": {"raw": raw, "fmt": "so many"},
    } | changes


def overview(**changes: Any) -> dict[str, Any]:
    return {
        "Symbol": "ACME",
        "Name": "Acme Corp.",
        "Currency": "USD",
        "Country": "USA",
        "LatestQuarter": "2025-12-31",
        "MarketCapitalization": "5050",
        "PERatio": "20.5",
        "DividendYield": "0.0041",
        "RevenueTTM": "1200",
        "ExDividendDate": "2026-04-01",
    } | changes


def reports(symbol: str = "ACME", **changes: Any) -> dict[str, Any]:
    year = {
        "fiscalDateEnding": "2025-12-31",
        "reportedCurrency": "USD",
        "totalRevenue": "1200",
        "capitalExpenditures": "30",
    }
    quarter = year | {"totalRevenue": "300"}
    return {"symbol": symbol, "annualReports": [year], "quarterlyReports": [quarter]} | changes


def snapshot(
    ratios: str = "", *, ticker: str = "ACME", currency: str = "USD", root: str = "ReportSnapshot"
) -> str:
    """A report; ratios are elements that are added to those it has."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<{root} Major="1">
  <CoIDs><CoID Type="CompanyName">Acme Corp</CoID></CoIDs>
  <Issues><Issue ID="1"><IssueID Type="Ticker">{ticker}</IssueID>
    <Exchange Code="NYSE">New York</Exchange></Issue>
    <Issue ID="2"><IssueID Type="Ticker">ACMEP</IssueID></Issue></Issues>
  <CoGeneralInfo><Employees LastUpdated="2025-12-31">1200</Employees>
    <SharesOut TotalFloat="90.0">100.0</SharesOut></CoGeneralInfo>
  <Ratios PriceCurrency="{currency}" ReportingCurrency="USD" LatestAvailableDate="2025-12-31">
    <Group ID="All"><Ratio FieldName="MKTCAP" Type="N">5.05000</Ratio>
      <Ratio FieldName="TTMROEPCT" Type="N">4.69867</Ratio>{ratios}</Group></Ratios>
  <ForecastData><Ratio FieldName="ProjPE"><Value PeriodType="CURR">18.5</Value></Ratio>
  </ForecastData>
</{root}>"""


def coin(**market: Any) -> dict[str, Any]:
    return {
        "id": "acmecoin",
        "symbol": "acme",
        "name": "Acmecoin",
        "market_data": {
            "current_price": {"usd": 2.5, "btc": 0.00002},
            "market_cap": {"usd": 250, "btc": 0.002},
            "circulating_supply": 100.5,
            "max_supply": None,
        }
        | market,
    }


DOCUMENTS: dict[tuple[str, str], Any] = {
    ("fmp", "income-statement"): [fmp_income()],
    ("fmp", "profile"): [fmp_profile()],
    ("yahoo", "quoteSummary"): summary(),
    ("yahoo", "fundamentals-timeseries"): series({"annualTotalRevenue": [stated("2025-12-31", 9)]}),
    ("alpha_vantage", "OVERVIEW"): overview(),
    ("alpha_vantage", "INCOME_STATEMENT"): reports(),
    ("ibkr", "ReportSnapshot"): snapshot(),
    ("coingecko", "coin"): coin(),
}


def asked(client: str) -> str:
    """Return whom the documents of a client are about."""
    return "acmecoin" if client == "coingecko" else "ACME"
