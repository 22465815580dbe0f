"""Yahoo's documents about companies: quoteSummary's modules, and series of fiscal years.

Debt is told without leases, years end with their month, and a ratio of debt is in percent; yields
are fractions.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, Final

from venue.companies import Company, Year, day_start_ms
from venue.dialects.base import Json

_QUARTER_S: Final = 91 * 86_400


def _epoch(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())


def _end(year: Year) -> date:
    last = calendar.monthrange(year.end.year, year.end.month)[1]
    return year.end.replace(day=last)


def _debt(year: Year) -> int:
    return year.short_debt + year.long_debt


def summary(
    symbol: str, company: Company, modules: Sequence[str], now_ms: int
) -> Mapping[str, Json]:
    """Return those of the modules that there are; none for a company without a year."""
    years = company.years(now_ms)
    if not years:
        return {}
    return {
        name: {"maxAge": 1, **_MODULES[name](symbol, years[0], now_ms)}
        for name in modules
        if name in _MODULES
    }


def series(
    symbol: str,
    company: Company | None,
    types: Sequence[str],
    between: tuple[int, int],
    now_ms: int,
) -> list[Json]:
    """Return a series for each type, of the fiscal years that end in a time, the oldest first."""
    years = company.years(now_ms)[::-1] if company else []
    years = [year for year in years if between[0] <= _epoch(_end(year)) <= between[1]][-4:]
    return [_one_series(symbol, name, years) for name in types]


def _one_series(symbol: str, name: str, years: Sequence[Year]) -> Json:
    made: dict[str, Json] = {"meta": {"symbol": [symbol], "type": [name]}}
    value = _YEARLY.get(name.removeprefix("annual"))
    if years and value and name.startswith("annual"):
        made["timestamp"] = [_epoch(_end(year)) for year in years]
        made[name] = [
            {
                "dataId": 20_100,
                "asOfDate": f"{_end(year)}",
                "periodType": "12M",
                "currencyCode": year.company.currency,
                "reportedValue": {"raw": value(year), "fmt": f"{value(year):,}"},
            }
            for year in years
        ]
    return made


_YEARLY: Final[Mapping[str, Callable[[Year], float]]] = {
    "TotalRevenue": lambda year: year.revenue,
    "GrossProfit": lambda year: year.gross_profit,
    "OperatingIncome": lambda year: year.operating_income,
    "EBITDA": lambda year: year.ebitda,
    "NetIncome": lambda year: year.net_income,
    "BasicEPS": lambda year: year.basic_eps,
    "DilutedEPS": lambda year: year.diluted_eps,
    "CashAndCashEquivalents": lambda year: year.cash,
    "TotalAssets": lambda year: year.total_assets,
    "TotalLiabilitiesNetMinorityInterest": lambda year: year.total_liabilities,
    "TotalDebt": _debt,
    "StockholdersEquity": lambda year: year.equity,
    "OperatingCashFlow": lambda year: year.operating_cash_flow,
    "CapitalExpenditure": lambda year: -year.capital_expenditure,
    "FreeCashFlow": lambda year: year.free_cash_flow,
}


def _price(symbol: str, year: Year, now_ms: int) -> Json:
    company = year.company
    return {
        "regularMarketPrice": company.price_at(now_ms),
        "regularMarketTime": day_start_ms(now_ms) // 1000,
        "exchangeName": company.listed_on,
        "quoteType": "EQUITY",
        "symbol": symbol,
        "shortName": company.name,
        "longName": company.name,
        "currency": company.quote_currency,
        "marketCap": company.market_cap(now_ms),
    }


def _profile(symbol: str, year: Year, now_ms: int) -> Json:
    del symbol, now_ms
    company = year.company
    return {
        "country": "United States" if company.country == "US" else company.country,
        "industry": company.industry,
        "sector": company.sector,
        "fullTimeEmployees": company.employees,
        "companyOfficers": [],
    }


def _detail(symbol: str, year: Year, now_ms: int) -> Json:
    del symbol
    company = year.company
    price = company.price_at(now_ms)
    found = {
        "beta": company.beta,
        "trailingPE": round(price / (year.diluted_eps * company.rate), 6),
        "forwardPE": round(price / (year.diluted_eps * company.rate * (1 + company.growth)), 6),
        "marketCap": company.market_cap(now_ms),
        "priceToSalesTrailing12Months": round(company.market_cap(now_ms) / year.revenue, 6),
        "payoutRatio": round(company.dividend / (year.diluted_eps * company.rate), 4),
        "currency": company.quote_currency,
    }
    if company.dividend:
        found |= {
            "dividendRate": company.dividend,
            "dividendYield": round(company.dividend / price, 4),
            "exDividendDate": _epoch(year.filed),
        }
    return found


def _statistics(symbol: str, year: Year, now_ms: int) -> Json:
    del symbol
    company = year.company
    worth = year.enterprise_value(now_ms)
    book = round(year.equity / year.basic_shares, 3)
    return {
        "enterpriseValue": worth,
        "profitMargins": round(year.net_income / year.revenue, 5),
        "floatShares": round(company.shares * 0.99),
        "sharesOutstanding": year.basic_shares,
        "shortRatio": 2.1,
        "beta": company.beta,
        "bookValue": book,
        "priceToBook": round(company.price_at(now_ms) / book, 6),
        "lastFiscalYearEnd": _epoch(_end(year)),
        "mostRecentQuarter": _epoch(_end(year)),
        "netIncomeToCommon": year.net_income,
        "trailingEps": year.diluted_eps,
        "enterpriseToRevenue": round(worth / year.revenue, 3),
        "enterpriseToEbitda": round(worth / year.ebitda, 3),
    }


def _financial(symbol: str, year: Year, now_ms: int) -> Json:
    del symbol
    company, current = year.company, year.current_liabilities
    return {
        "currentPrice": company.price_at(now_ms),
        "targetMeanPrice": round(company.price * 1.1, 2),
        "totalCash": year.cash + year.short_investments,
        "ebitda": year.ebitda,
        "totalDebt": _debt(year),
        "quickRatio": round((year.current_assets - year.inventory) / current, 3),
        "currentRatio": round(year.current_assets / current, 3),
        "totalRevenue": year.revenue,
        "debtToEquity": round(100 * _debt(year) / year.equity, 3),
        "returnOnAssets": round(year.net_income / year.total_assets, 5),
        "returnOnEquity": round(year.net_income / year.equity, 5),
        "revenueGrowth": company.growth,
        "earningsGrowth": company.growth,
        "grossMargins": round(year.gross_profit / year.revenue, 5),
        "operatingMargins": round(year.operating_income / year.revenue, 5),
        "profitMargins": round(year.net_income / year.revenue, 5),
        "financialCurrency": company.currency,
    }


def _calendar(symbol: str, year: Year, now_ms: int) -> Json:
    del symbol
    now_s, turns = now_ms // 1000, _epoch(year.filed)
    while turns <= now_s:
        turns += _QUARTER_S
    return {"earnings": {"earningsDate": [turns]}, "exDividendDate": _epoch(year.filed)}


def _kind(symbol: str, year: Year, now_ms: int) -> Json:
    del now_ms
    return {"quoteType": "EQUITY", "symbol": symbol, "longName": year.company.name}


_MODULES: Final[Mapping[str, Callable[[str, Year, int], Any]]] = {
    "price": _price,
    "summaryProfile": _profile,
    "assetProfile": _profile,
    "summaryDetail": _detail,
    "defaultKeyStatistics": _statistics,
    "financialData": _financial,
    "calendarEvents": _calendar,
    "quoteType": _kind,
}
