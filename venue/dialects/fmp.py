"""Financial Modeling Prep: documents about companies, `/stable/income-statement?symbol=AAPL`.

An answer is a list, printed with two spaces, and empty for a symbol that is not known. Statements
are the newest years first; debt includes leases, and `eps` is the basic one. What is wrong is said
in `Error Message`, or in plain words to who does not pay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from venue.companies import Company, Year, day_start_ms
from venue.dialects.base import Answer, Json, RefusedError
from venue.dialects.documents import DocumentDialect, Subject
from venue.limits import Budget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_STABLE = "/stable/"
_SITE = "https://site.financialmodelingprep.com/"
_LIMIT = (
    "Limit Reach . Please upgrade your plan or visit our documentation for more details at " + _SITE
)
_NO_KEY = (
    f"Invalid API KEY. Feel free to create a Free API Key or visit {_SITE}"
    "faqs?search=why-is-my-api-key-invalid for more information."
)
_NOT_PAID = (
    "Premium Query Parameter: 'Special Endpoint' : This value set for 'symbol' is not available "
    "under your current subscription please visit our subscription page to upgrade your plan at "
    + _SITE
)
_YEARS = "5"


def _error(message: str, status: int) -> Answer:
    return Answer(orjson.dumps({"Error Message": message}, option=orjson.OPT_INDENT_2), status)


class Fmp(DocumentDialect):
    """FMP's stable documents."""

    name = "fmp"
    budget = Budget(250, 86_400.0)
    yields: ClassVar[frozenset[str]] = frozenset({"dividendYieldTTM"})

    def admit(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], keys: Sequence[str]
    ) -> None:
        """Want a key in the query."""
        del path, headers
        key = query.get("apikey", "")
        if not key or (keys and key not in keys):
            raise RefusedError(_error(_NO_KEY, 401))

    def subject(self, path: str, query: Mapping[str, str]) -> Subject | None:
        """Read `/stable/<document>?symbol=AAPL`."""
        document = path.removeprefix(_STABLE)
        if document not in _DOCUMENTS or not path.startswith(_STABLE):
            return None
        return Subject(query.get("symbol", "").upper(), document)

    def document(
        self,
        subject: Subject,
        about: Any,  # noqa: ANN401 - a Company
        query: Mapping[str, str],
        now_ms: int,
    ) -> Answer:
        """Return a list of one object, or of one a fiscal year."""
        rows = _DOCUMENTS[subject.document](subject.name, about, now_ms)
        limit = int(query.get("limit", _YEARS))
        return Answer(orjson.dumps(rows[:limit], option=orjson.OPT_INDENT_2))

    def unknown_subject(self, subject: Subject, query: Mapping[str, str]) -> Answer:
        """Answer with an empty list."""
        del subject, query
        return Answer(b"[]")

    def refusal_in_a_body(self) -> Answer:
        """Say with status 200 that there were too many."""
        return _error(_LIMIT, 200)

    def limited(self, retry_after: float, now_ms: int) -> Answer:
        """Answer 429, which does not say for how long."""
        del retry_after, now_ms
        return _error(_LIMIT, 429)

    def not_paid(self) -> Answer:
        """Answer 402 in plain words."""
        return Answer(_NOT_PAID.encode(), 402, "text/plain")


def _profile(symbol: str, company: Company, now_ms: int) -> list[Json]:
    price = company.price_at(now_ms)
    return [
        {
            "symbol": symbol,
            "price": price,
            "marketCap": company.market_cap(now_ms),
            "beta": company.beta,
            "lastDividend": company.dividend,
            "range": f"{company.price * 0.95:.2f}-{company.price * 1.05:.2f}",
            "companyName": company.name,
            "currency": company.quote_currency,
            "exchangeFullName": company.listed_on,
            "exchange": company.listed_on,
            "industry": company.industry,
            "sector": company.sector,
            "country": company.country,
            "fullTimeEmployees": str(company.employees),
            "isEtf": False,
            "isActivelyTrading": True,
            "isAdr": bool(company.quoted_in),
            "isFund": False,
        }
    ]


def _quote(symbol: str, company: Company, now_ms: int) -> list[Json]:
    return [
        {
            "symbol": symbol,
            "name": company.name,
            "price": company.price_at(now_ms),
            "marketCap": company.market_cap(now_ms),
            "exchange": company.listed_on,
            "timestamp": day_start_ms(now_ms) // 1000,
        }
    ]


def _heading(symbol: str, year: Year) -> Json:
    return {
        "date": f"{year.end}",
        "symbol": symbol,
        "reportedCurrency": year.company.currency,
        "filingDate": f"{year.filed}",
        "acceptedDate": f"{year.filed} 06:01:36",
        "fiscalYear": f"{year.end.year}",
        "period": "FY",
    }


def _income(year: Year) -> Json:
    return {
        "revenue": year.revenue,
        "costOfRevenue": year.cost_of_revenue,
        "grossProfit": year.gross_profit,
        "researchAndDevelopmentExpenses": 0,
        "operatingExpenses": year.operating_expenses,
        "costAndExpenses": year.cost_of_revenue + year.operating_expenses,
        "interestExpense": 0,
        "depreciationAndAmortization": year.depreciation,
        "ebitda": year.ebitda,
        "ebit": year.operating_income,
        "operatingIncome": year.operating_income,
        "totalOtherIncomeExpensesNet": year.other_income,
        "incomeBeforeTax": year.pretax_income,
        "incomeTaxExpense": year.tax,
        "netIncome": year.net_income,
        "bottomLineNetIncome": year.net_income,
        "eps": year.basic_eps,
        "epsDiluted": year.diluted_eps,
        "weightedAverageShsOut": year.basic_shares,
        "weightedAverageShsOutDil": year.diluted_shares,
    }


def _balance(year: Year) -> Json:
    debt = year.short_debt + year.long_debt + year.leases
    return {
        "cashAndCashEquivalents": year.cash,
        "shortTermInvestments": year.short_investments,
        "cashAndShortTermInvestments": year.cash + year.short_investments,
        "netReceivables": year.receivables,
        "inventory": year.inventory,
        "totalCurrentAssets": year.current_assets,
        "propertyPlantEquipmentNet": year.plant,
        "goodwill": 0,
        "longTermInvestments": year.long_investments,
        "totalNonCurrentAssets": year.plant + year.long_investments,
        "totalAssets": year.total_assets,
        "totalPayables": year.payables,
        "shortTermDebt": year.short_debt,
        "totalCurrentLiabilities": year.current_liabilities,
        "longTermDebt": year.long_debt,
        "capitalLeaseObligations": year.leases,
        "totalNonCurrentLiabilities": year.long_debt + year.leases,
        "totalLiabilities": year.total_liabilities,
        "preferredStock": 0,
        "totalStockholdersEquity": year.equity,
        "totalEquity": year.equity,
        "totalLiabilitiesAndTotalEquity": year.total_assets,
        "totalDebt": debt,
        "netDebt": debt - year.cash,
    }


def _cash_flow(year: Year) -> Json:
    return {
        "netIncome": year.net_income,
        "depreciationAndAmortization": year.depreciation,
        "netCashProvidedByOperatingActivities": year.operating_cash_flow,
        "investmentsInPropertyPlantAndEquipment": -year.capital_expenditure,
        "commonDividendsPaid": -year.dividends,
        "netDividendsPaid": -year.dividends,
        "cashAtEndOfPeriod": year.cash,
        "operatingCashFlow": year.operating_cash_flow,
        "capitalExpenditure": -year.capital_expenditure,
        "freeCashFlow": year.free_cash_flow,
    }


def _metrics(year: Year, now_ms: int) -> Json:
    worth = year.enterprise_value(now_ms)
    return {
        "marketCap": year.company.market_cap(now_ms),
        "enterpriseValueTTM": worth,
        "evToSalesTTM": worth / year.revenue,
        "evToEBITDATTM": worth / year.ebitda,
        "currentRatioTTM": year.current_assets / year.current_liabilities,
        "returnOnAssetsTTM": year.net_income / year.total_assets,
        "returnOnEquityTTM": year.net_income / year.equity,
    }


def _ratios(year: Year, now_ms: int) -> Json:
    company = year.company
    price, worth = company.price_at(now_ms), company.market_cap(now_ms) / company.rate
    return {
        "grossProfitMarginTTM": year.gross_profit / year.revenue,
        "ebitdaMarginTTM": year.ebitda / year.revenue,
        "operatingProfitMarginTTM": year.operating_income / year.revenue,
        "netProfitMarginTTM": year.net_income / year.revenue,
        "currentRatioTTM": year.current_assets / year.current_liabilities,
        "quickRatioTTM": (year.current_assets - year.inventory) / year.current_liabilities,
        "priceToEarningsRatioTTM": worth / year.net_income,
        "priceToEarningsGrowthRatioTTM": worth / year.net_income / (100 * company.growth or 1),
        "priceToBookRatioTTM": worth / year.equity,
        "priceToSalesRatioTTM": worth / year.revenue,
        "debtToEquityRatioTTM": (year.short_debt + year.long_debt + year.leases) / year.equity,
        "dividendPayoutRatioTTM": year.dividends / year.net_income,
        "dividendYieldTTM": company.dividend / price,
        "enterpriseValueTTM": year.enterprise_value(now_ms),
        "bookValuePerShareTTM": year.equity / year.basic_shares,
        "dividendPerShareTTM": company.dividend,
    }


def _statements(part: Any) -> Any:  # noqa: ANN401
    def made(symbol: str, company: Company, now_ms: int) -> list[Json]:
        return [_heading(symbol, year) | part(year) for year in company.years(now_ms)]

    return made


def _latest(part: Any) -> Any:  # noqa: ANN401
    def made(symbol: str, company: Company, now_ms: int) -> list[Json]:
        return [{"symbol": symbol} | part(year, now_ms) for year in company.years(now_ms)[:1]]

    return made


_DOCUMENTS = {
    "profile": _profile,
    "quote": _quote,
    "income-statement": _statements(_income),
    "balance-sheet-statement": _statements(_balance),
    "cash-flow-statement": _statements(_cash_flow),
    "key-metrics-ttm": _latest(_metrics),
    "ratios-ttm": _latest(_ratios),
}
