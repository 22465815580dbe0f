"""A report about a company, invented, in the form in which Interactive Brokers sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from venue.config import ContractConfig

_STATEMENT = {"TTMREV": 4_800.0, "TTMEBITD": 1_250.5, "TTMNIAC": 720.25}
_PER_SHARE = {"TTMEPSXCLX": 3.60125, "QBVPS": 21.5, "TTMDIVSHR": 0.0}
_RATIOS = {"TTMGROSMGN": 48.25, "TTMROEPCT": 16.75, "PEEXCLXOR": 27.76814, "PRICE2BK": 4.65116}
_FORECAST = {"TargetPrice": 112.5, "ProjEPS": 4.1, "ProjSales": 5_100.75}
_PRICE = 100.0
_SHARES = 200_000_000


def snapshot(contract: ContractConfig) -> str:
    """Return a `ReportSnapshot`: amounts in millions, shares in units, ratios in percent.

    The numbers are the same for all companies, but the employees are as many as the contract's
    number: two reports never are the same.
    """
    currency, ticker = quoteattr(contract.currency), escape(contract.symbol)
    ratios = (
        _group("Price and Volume", {"NPRICE": _PRICE, "EV": 21_300.0})
        + _group("Income Statement", {"MKTCAP": _PRICE * _SHARES / 1e6, **_STATEMENT})
        + _group("Per share data", _PER_SHARE)
        + _group("Other Ratios", _RATIOS)
    )
    forecast = "".join(
        f'<Ratio FieldName="{name}" Type="N"><Value PeriodType="CURR">{number:.4f}</Value></Ratio>'
        for name, number in _FORECAST.items()
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ReportSnapshot Major="1" Minor="0" Revision="1">
\t<CoIDs><CoID Type="CompanyName">{escape(contract.name or contract.symbol)}</CoID></CoIDs>
\t<Issues>
\t\t<Issue ID="1" Type="C" Desc="Common Stock" Order="1">
\t\t\t<IssueID Type="Ticker">{ticker}</IssueID>
\t\t\t<Exchange Code={quoteattr(contract.listed_on)} Country="USA">{contract.listed_on}</Exchange>
\t\t</Issue>
\t</Issues>
\t<CoGeneralInfo>
\t\t<CoStatus Code="1">Active</CoStatus>
\t\t<LastModified>2024-05-03</LastModified>
\t\t<LatestAvailableAnnual>2023-12-30</LatestAvailableAnnual>
\t\t<LatestAvailableInterim>2024-03-30</LatestAvailableInterim>
\t\t<Employees LastUpdated="2023-12-30">{contract.number}</Employees>
\t\t<SharesOut Date="2024-04-30" TotalFloat="{_SHARES * 0.99}">{_SHARES:.1f}</SharesOut>
\t\t<ReportingCurrency Code={currency}/>
\t</CoGeneralInfo>
\t<Ratios PriceCurrency={currency} ReportingCurrency={currency} ExchangeRate="1.00000" \
LatestAvailableDate="2024-03-30">
{ratios}\t</Ratios>
\t<ForecastData ConsensusType="Mean" CurFiscalYear="2024" CurFiscalYearEndMonth="12">{forecast}\
</ForecastData>
</ReportSnapshot>
"""


def _group(name: str, numbers: dict[str, float]) -> str:
    lines = "".join(
        f'\t\t\t<Ratio FieldName="{field}" Type="N">{number:.5f}</Ratio>\n'
        for field, number in numbers.items()
    )
    return f"\t\t<Group ID={quoteattr(name)}>\n{lines}\t\t</Group>\n"
