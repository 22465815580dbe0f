"""Alpha Vantage's documents: an object about the moment, or lists of reports; all is text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pipeline.fundamentals.records import Record
from pipeline.fundamentals.shapes.common import (
    check_symbol,
    day,
    mapping,
    read_json,
    sequence,
    shown,
)
from pipeline.fundamentals.values import Period, UnusableDocument

_REPORTS: Final[Mapping[str, Period]] = {"annualReports": "annual", "quarterlyReports": "quarter"}
_TROUBLE: Final = ("Error Message", "Note", "Information")


def records(document: str, payload: str, symbol: str) -> Sequence[Record]:
    """Take a document apart.

    Raises:
        UnusableDocument: It is not one, an error, empty, or not about the symbol.
    """
    body = mapping(read_json(payload), "it")
    for name in _TROUBLE:
        if name in body:
            raise UnusableDocument(f"is an error: {shown(body[name])}")
    if not body:
        raise UnusableDocument(f"is an empty object: it says nothing about {symbol}")
    if document == "OVERVIEW":
        check_symbol(symbol, body.get("Symbol"))
        return [_overview(body)]
    check_symbol(symbol, body.get("symbol"))
    if not body.keys() & _REPORTS.keys():
        raise UnusableDocument(f"has neither {' nor '.join(_REPORTS)}")
    return [
        _report(f"{name}[{number}]", period, mapping(report, f"{name}[{number}]"))
        for name, period in _REPORTS.items()
        for number, report in enumerate(sequence(body.get(name, []), name))
    ]


def _overview(body: Mapping[str, object]) -> Record:
    quarter, currency = day(body.get("LatestQuarter")), body.get("Currency")
    # It names the currency of the shares alone. The books of a company from elsewhere, whose
    # shares trade here, are in another.
    books = currency if (body.get("Country"), currency) == ("USA", "USD") else None
    return Record(
        "*",
        body,
        ends={"ttm": quarter, "quarter": quarter},
        currencies={"trading": currency, "reporting": books},
    )


def _report(place: str, period: Period, report: Mapping[str, object]) -> Record:
    return Record(
        f"{place}.*",
        report,
        period,
        ends={period: day(report.get("fiscalDateEnding"))},
        currencies={"reporting": report.get("reportedCurrency")},
    )
