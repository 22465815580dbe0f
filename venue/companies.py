"""Invented companies and coins: what their vendors could know of them at a time.

A company closes its books every fiscal year and files them some weeks later; before that nobody
knows them. The numbers of a year hang together: what is left of revenue is the operating income,
assets are what is owed and what is owned, and so on. Prices change with the day. All of it follows
from the configuration and the clock alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_MILLION = 1_000_000
_BASE_YEAR = 2020
_SWING_DAYS = 90
_SWING = 0.05


@dataclass(frozen=True)
class Company:
    """A company: `revenue` is that of its fiscal year 2020, in its `currency`.

    `year_end` is the last day of its fiscal year (`09-28`), `margin` what it keeps of revenue, and
    `dividend` what a share gets in a year. The price is quoted in `quoted_in`, if that is another
    currency than its books'; `rate` is how many of those one unit of the books is worth.
    """

    name: str
    revenue: float
    shares: float
    price: float
    growth: float = 0.05
    margin: float = 0.2
    dividend: float = 0.0
    beta: float = 1.1
    employees: int = 10_000
    currency: str = "USD"
    quoted_in: str = ""
    rate: float = 1.0
    year_end: str = "12-31"
    filed_after_days: int = 35
    first_year: int = 2015
    sector: str = "Technology"
    industry: str = "Software"
    country: str = "US"
    listed_on: str = "NASDAQ"

    @property
    def quote_currency(self) -> str:
        """What its price is in."""
        return self.quoted_in or self.currency

    def price_at(self, now_ms: int) -> float:
        """Return the price of the day."""
        return _swung(self.price, now_ms)

    def market_cap(self, now_ms: int) -> int:
        """Return what all shares are worth."""
        return round(self.price_at(now_ms) * self.shares)

    def years(self, now_ms: int) -> list[Year]:
        """Return the fiscal years that have been filed, the newest first."""
        today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
        years = (self._year(number) for number in range(self.first_year, today.year + 1))
        return [year for year in years if year.filed <= today][::-1]

    def _year(self, number: int) -> Year:
        month, day = (int(part) for part in self.year_end.split("-"))
        end = date(number, month, day)
        revenue = self.revenue * (1 + self.growth) ** (number - _BASE_YEAR)
        filed = end + timedelta(days=self.filed_after_days)
        return _closed(self, end, filed, _whole(revenue))


@dataclass(frozen=True, kw_only=True)
class Year:
    """A fiscal year of a company: amounts in whole units of its currency."""

    company: Company
    end: date
    filed: date
    revenue: int
    cost_of_revenue: int
    gross_profit: int
    operating_expenses: int
    operating_income: int
    other_income: int
    pretax_income: int
    tax: int
    net_income: int
    depreciation: int
    cash: int
    short_investments: int
    receivables: int
    inventory: int
    current_assets: int
    plant: int
    long_investments: int
    total_assets: int
    short_debt: int
    payables: int
    current_liabilities: int
    long_debt: int
    leases: int
    total_liabilities: int
    equity: int
    operating_cash_flow: int
    capital_expenditure: int
    dividends: int
    basic_shares: int
    diluted_shares: int

    @property
    def ebitda(self) -> int:
        """Return what was earned before interest, tax, depreciation and amortization."""
        return self.operating_income + self.depreciation

    @property
    def free_cash_flow(self) -> int:
        """Return what the business left over."""
        return self.operating_cash_flow - self.capital_expenditure

    @property
    def basic_eps(self) -> float:
        """Return the earnings of a share."""
        return round(self.net_income / self.basic_shares, 2)

    @property
    def diluted_eps(self) -> float:
        """Return the earnings of a share, if there were all that there may come to be."""
        return round(self.net_income / self.diluted_shares, 2)

    def enterprise_value(self, now_ms: int) -> int:
        """Return what it would take to buy the company and pay its debt, in its books' currency."""
        worth = self.company.market_cap(now_ms) / self.company.rate
        return round(worth) + self.short_debt + self.long_debt + self.leases - self.cash


def _closed(company: Company, end: date, filed: date, revenue: int) -> Year:
    """Close the books of a year: every amount follows from its revenue."""

    def share(of_revenue: float) -> int:
        return _whole(revenue * of_revenue)

    net_income = share(company.margin)
    tax, other_income, expenses = share(company.margin * 0.2), share(0.001), share(0.15)
    operating_income = net_income + tax - other_income
    gross_profit = operating_income + expenses
    cash, investments, receivables, inventory = map(share, (0.08, 0.09, 0.17, 0.02))
    current_assets = cash + investments + receivables + inventory
    plant, long_investments = share(0.12), share(0.42)
    short_debt, payables, long_debt, leases = map(share, (0.05, 0.24, 0.22, 0.03))
    assets = current_assets + plant + long_investments
    liabilities = short_debt + payables + long_debt + leases
    depreciation = share(0.03)
    return Year(
        company=company,
        end=end,
        filed=filed,
        revenue=revenue,
        cost_of_revenue=revenue - gross_profit,
        gross_profit=gross_profit,
        operating_expenses=expenses,
        operating_income=operating_income,
        other_income=other_income,
        pretax_income=net_income + tax,
        tax=tax,
        net_income=net_income,
        depreciation=depreciation,
        cash=cash,
        short_investments=investments,
        receivables=receivables,
        inventory=inventory,
        current_assets=current_assets,
        plant=plant,
        long_investments=long_investments,
        total_assets=assets,
        short_debt=short_debt,
        payables=payables,
        current_liabilities=short_debt + payables,
        long_debt=long_debt,
        leases=leases,
        total_liabilities=liabilities,
        equity=assets - liabilities,
        operating_cash_flow=net_income + depreciation + share(0.02),
        capital_expenditure=share(0.024),
        dividends=round(company.dividend * company.shares),
        basic_shares=round(company.shares),
        diluted_shares=round(company.shares * 1.005),
    )


@dataclass(frozen=True)
class Coin:
    """A coin: its price in US dollars, and how many there are; `max_supply` None for no bound."""

    symbol: str
    name: str
    price: float
    supply: float
    max_supply: float | None = None
    volume: float = 1e9
    rank: int = 1

    def price_at(self, now_ms: int) -> float:
        """Return the price of the day."""
        return _swung(self.price, now_ms)


def day_start_ms(now_ms: int) -> int:
    """Return when the day began, UTC."""
    return now_ms // 86_400_000 * 86_400_000


def _swung(price: float, now_ms: int) -> float:
    day = now_ms // 86_400_000
    return round(price * (1 + _SWING * math.sin(2 * math.pi * day / _SWING_DAYS)), 2)


def _whole(amount: float) -> int:
    """Return an amount in whole millions, or units where that would be nothing."""
    return round(amount / _MILLION) * _MILLION if abs(amount) >= _MILLION else round(amount)
