"""IBKR's reports: XML in which a value is known by its tag, its type or its field name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final
from xml.etree import ElementTree as ET

from pipeline.fundamentals.records import Record, spread
from pipeline.fundamentals.shapes.common import check_symbol, day, shown
from pipeline.fundamentals.values import UnusableDocument

_CLASS: Final = re.compile(r"^([A-Z]+)([a-z])$")
"""How Reuters writes the class of a share: BRKb."""

# What a value is called here, and where it is: in each element, the part of the name it gives.
_NAMED: Final = (
    ("CoIDs/{Type}", "CoIDs/CoID"),
    ("Ratios/{FieldName}", "Ratios/Group/Ratio"),
    ("Industry/{type}", "peerInfo/IndustryInfo/Industry[@order='1']"),
)


def records(document: str, payload: str, symbol: str) -> Sequence[Record]:
    """Take a report apart. A symbol is a ticker, maybe with where it is listed (`SAP@IBIS`).

    Raises:
        UnusableDocument: It is not one, or not about the symbol.
    """
    root = _root(payload, document)
    ticker = (root.findtext("Issues/Issue[1]/IssueID[@Type='Ticker']") or "").strip()
    check_symbol(symbol.partition("@")[0], _CLASS.sub(r"\1.\2", ticker))
    ratios = root.find("Ratios")
    about = ratios.attrib if ratios is not None else {}
    common = Record(
        "*",
        {},
        ends={"ttm": day(about.get("LatestAvailableDate"))},
        currencies={
            "trading": about.get("PriceCurrency"),
            "reporting": about.get("ReportingCurrency"),
        },
    )
    return [*spread(_pairs(root), common)]


def _root(payload: str, document: str) -> ET.Element:
    if not payload.strip():
        raise UnusableDocument("is empty")
    if "<!DOCTYPE" in payload or "<!ENTITY" in payload:
        raise UnusableDocument(f"defines its own entities; it begins {shown(payload)}")
    try:
        root = ET.fromstring(payload)  # noqa: S314  without entities it is as large as it looks
    except (ET.ParseError, ValueError) as error:
        raise UnusableDocument(f"is not XML ({error}); it begins {shown(payload)}") from None
    if root.tag != document:
        raise UnusableDocument(f"is a {shown(root.tag)}, not a {document}")
    return root


def _pairs(root: ET.Element) -> Iterator[tuple[str, object]]:
    for name, path in _NAMED:
        for element in root.iterfind(path):
            yield name.format_map(_Attributes(element.attrib)), element.text
    for element in root.iterfind("CoGeneralInfo/*"):
        yield f"CoGeneralInfo/{element.tag}", element.text
        for name, text in element.items():
            yield f"CoGeneralInfo/{element.tag}/@{name}", text
    for element in root.iterfind("Issues/Issue[1]/Exchange"):
        yield "Issue/Exchange", element.text
    for element in root.iterfind("Ratios"):
        yield from ((f"Ratios/@{name}", text) for name, text in element.items())
    for element in root.iterfind("ForecastData/Ratio"):
        for value in element.iterfind("Value[@PeriodType='CURR']"):
            yield f"ForecastData/{element.get('FieldName')}", value.text


class _Attributes(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""
