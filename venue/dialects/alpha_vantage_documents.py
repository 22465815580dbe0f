"""Alpha Vantage's documents about companies: everything is text, printed with four spaces."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from venue.companies import Year
from venue.dialects.base import Answer, Json
from venue.dialects.documents import Documents, Subject

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
_MISSING: Final = "None"
_PATH, _OVERVIEW = "/query", "OVERVIEW"
_YEARS: Final = 5


class AlphaVantageDocuments(Documents):
    """What Alpha Vantage knows of companies: `function=OVERVIEW`, and their statements."""

    yields: ClassVar[frozenset[str]] = frozenset({"DividendYield"})
    numbers_are_text = True

    def subject(self, path: str, query: Mapping[str, str]) -> Subject | None:
        """Read `function=OVERVIEW&symbol=IBM`, or one of the statements."""
        function = query.get("function")
        if path != _PATH or function not in {_OVERVIEW, *_REPORTS}:
            return None
        return Subject(query.get("symbol", "").upper(), function)

    def document(
        self,
        subject: Subject,
        about: Any,  # noqa: ANN401 - a Company
        query: Mapping[str, str],
        now_ms: int,
    ) -> Answer:
        """Return a document; that of nobody for a company that has filed nothing."""
        years = about.years(now_ms)
        if not years:
            return self.unknown_subject(subject, query)
        if subject.document == _OVERVIEW:
            made = _overview(subject.name, years[0], now_ms)
        else:
            report = _REPORTS[subject.document]
            reports = [_heading(year) | report(year) for year in years[:_YEARS]]
            made = {"symbol": subject.name, "annualReports": reports, "quarterlyReports": []}
        return Answer(json.dumps(_as_text(made), indent=4).encode())

    def unknown_subject(self, subject: Subject, query: Mapping[str, str]) -> Answer:
        """Answer with an empty object."""
        del subject, query
        return Answer(b"{}")


def _as_text(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _as_text(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_as_text(one) for one in value]
    return _MISSING if value is None else str(value)


def _heading(year: Year) -> Json:
    return {"fiscalDateEnding": year.end, "reportedCurrency": year.company.currency}


def _overview(symbol: str, year: Year, now_ms: int) -> Json:
    company = year.company
    price, cap = company.price_at(now_ms), company.market_cap(now_ms)
    eps = year.diluted_eps * company.rate
    return {
        "Symbol": symbol,
        "AssetType": "Common Stock",
        "Name": company.name,
        "Exchange": company.listed_on,
        "Currency": company.quote_currency,
        "Country": "USA" if company.country == "US" else company.country,
        "Sector": company.sector.upper(),
        "Industry": company.industry.upper(),
        "FiscalYearEnd": _MONTHS[year.end.month - 1],
        "LatestQuarter": year.end,
        "MarketCapitalization": cap,
        "EBITDA": year.ebitda,
        "PERatio": round(price / eps, 2),
        "PEGRatio": round(price / eps / (100 * company.growth or 1), 3),
        "BookValue": round(year.equity / year.basic_shares, 2),
        "DividendPerShare": company.dividend or None,
        "DividendYield": round(company.dividend / price, 4),
        "EPS": year.diluted_eps,
        "ProfitMargin": round(year.net_income / year.revenue, 3),
        "OperatingMarginTTM": round(year.operating_income / year.revenue, 3),
        "ReturnOnAssetsTTM": round(year.net_income / year.total_assets, 3),
        "ReturnOnEquityTTM": round(year.net_income / year.equity, 3),
        "RevenueTTM": year.revenue,
        "GrossProfitTTM": year.gross_profit,
        "DilutedEPSTTM": year.diluted_eps,
        "QuarterlyEarningsGrowthYOY": company.growth,
        "QuarterlyRevenueGrowthYOY": company.growth,
        "AnalystTargetPrice": round(company.price * 1.1, 2),
        "TrailingPE": round(price / eps, 2),
        "ForwardPE": round(price / eps / (1 + company.growth), 2),
        "PriceToSalesRatioTTM": round(cap / company.rate / year.revenue, 3),
        "PriceToBookRatio": round(cap / company.rate / year.equity, 2),
        "EVToRevenue": round(year.enterprise_value(now_ms) / year.revenue, 2),
        "EVToEBITDA": round(year.enterprise_value(now_ms) / year.ebitda, 2),
        "Beta": company.beta,
        "SharesOutstanding": year.basic_shares,
        "DividendDate": None,
        "ExDividendDate": year.filed if company.dividend else None,
    }


def _income(year: Year) -> Json:
    return {
        "grossProfit": year.gross_profit,
        "totalRevenue": year.revenue,
        "costOfRevenue": year.cost_of_revenue,
        "operatingIncome": year.operating_income,
        "operatingExpenses": year.operating_expenses,
        "interestExpense": None,
        "depreciationAndAmortization": year.depreciation,
        "incomeBeforeTax": year.pretax_income,
        "incomeTaxExpense": year.tax,
        "ebit": year.operating_income,
        "ebitda": year.ebitda,
        "netIncome": year.net_income,
    }


def _balance(year: Year) -> Json:
    return {
        "totalAssets": year.total_assets,
        "totalCurrentAssets": year.current_assets,
        "cashAndCashEquivalentsAtCarryingValue": year.cash,
        "inventory": year.inventory,
        "currentNetReceivables": year.receivables,
        "goodwill": None,
        "shortTermInvestments": year.short_investments,
        "totalLiabilities": year.total_liabilities,
        "totalCurrentLiabilities": year.current_liabilities,
        "shortTermDebt": year.short_debt,
        "longTermDebt": year.long_debt,
        "shortLongTermDebtTotal": year.short_debt + year.long_debt,
        "capitalLeaseObligations": year.leases,
        "totalShareholderEquity": year.equity,
        "commonStockSharesOutstanding": year.basic_shares,
    }


def _cash_flow(year: Year) -> Json:
    return {
        "operatingCashflow": year.operating_cash_flow,
        "depreciationDepletionAndAmortization": year.depreciation,
        "capitalExpenditures": year.capital_expenditure,
        "dividendPayout": year.dividends or None,
        "netIncome": year.net_income,
    }


_REPORTS: Final[Mapping[str, Callable[[Year], Any]]] = {
    "INCOME_STATEMENT": _income,
    "BALANCE_SHEET": _balance,
    "CASH_FLOW": _cash_flow,
}
