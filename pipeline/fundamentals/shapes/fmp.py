"""FMP's documents (`/stable/`): a list of objects, each of which names its symbol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from pipeline.fundamentals.records import Money, Record
from pipeline.fundamentals.shapes.common import (
    check_symbol,
    day,
    mapping,
    moment,
    read_json,
    sequence,
    shown,
)
from pipeline.fundamentals.values import Period, UnusableDocument

_PERIODS: Final[Mapping[object, Period]] = {
    "FY": "annual",
    "Q1": "quarter",
    "Q2": "quarter",
    "Q3": "quarter",
    "Q4": "quarter",
}
_SEC: Final = ZoneInfo("America/New_York")
"""Filings are stamped with the clock of the authority that accepts them."""


def records(document: str, payload: str, symbol: str) -> Sequence[Record]:
    """Take a document apart: a record for each of its objects.

    Raises:
        UnusableDocument: It is not such a list, empty, or not about the symbol.
    """
    body = read_json(payload)
    if isinstance(body, dict) and body.get("Error Message"):
        raise UnusableDocument(f"is an error: {shown(body['Error Message'])}")
    rows = [mapping(row, f"[{number}]") for number, row in enumerate(sequence(body, "it"))]
    if not rows:
        raise UnusableDocument(f"is an empty list: it says nothing about {symbol}")
    for row in rows:
        check_symbol(symbol, row.get("symbol"))
    pack = _statement if document.endswith("-statement") else _instant
    return [pack(f"[{number}].*", row) for number, row in enumerate(rows)]


def _statement(place: str, row: Mapping[str, object]) -> Record:
    period = _PERIODS.get(word) if isinstance(word := row.get("period"), str) else None
    # `fillingDate` is how older documents spell it; midnight is written where no time is known.
    filed = row.get("acceptedDate") or row.get("filingDate") or row.get("fillingDate")
    if isinstance(filed, str):
        filed = filed.removesuffix(" 00:00:00")
    return Record(
        place,
        row,
        period,
        ends={period: day(row.get("date"))} if period else {},
        filed_at=moment(filed, _SEC) if filed else None,
        currencies={"reporting": row.get("reportedCurrency")},
        spoilt="" if period else f"its period is {shown(word)}, not FY or Q1 to Q4",
    )


def _instant(place: str, row: Mapping[str, object]) -> Record:
    """Pack what is true of the moment. A symbol that names no exchange is listed in dollars."""
    currencies: dict[Money, object] = {}
    if "currency" in row:
        currencies["trading"] = row["currency"]
    elif "." not in str(row["symbol"]):
        currencies["trading"] = "USD"
    return Record(place, row, currencies=currencies)
