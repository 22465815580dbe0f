"""Recorded fundamentals, read a second time: by tables written by hand.

Nothing here knows of the field registry, or of the code that reads documents by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from xml.dom import minidom

from tests.realdata.tables import YAHOO_SERIES

Said = tuple[str, float | str | date, str | None, str, date | None, datetime | None]
"""Field, value, currency, period, end of the period, and when it was published."""


def said(
    table: str,
    find: Callable[[str], Any],
    *,
    period: str = "instant",
    end: date | None = None,
    filed: datetime | None = None,
) -> set[Said]:
    """Read by a table what is there; what is about the moment has no end."""
    found: set[Said] = set()
    for line in table.split("\n"):
        if not line.strip():
            continue
        field, place, kind, *others = line.split()
        currency, own = [*others, "-", "-"][:2]
        raw = find(place)
        if raw in {None, "None"}:
            continue
        about = period if own == "-" else own
        finish = None if about == "instant" else end
        money = None if currency == "-" else currency
        found.add((field, _made(raw, kind), money, about, finish, filed))
    return found


def _made(raw: Any, kind: str) -> float | str | date:
    if kind == "words":
        return str(raw)
    if kind == "country":
        return {"US": "US", "USA": "US", "United States": "US"}[raw]
    if kind == "day":
        return date.fromisoformat(raw)
    if kind == "seconds":
        return datetime.fromtimestamp(int(raw), UTC).date()
    return float(Decimal(str(raw)) * Decimal(kind))


def numbers_as_text(text: str) -> Any:
    """Read JSON without making numbers of its numbers."""
    return json.loads(text, parse_float=str, parse_int=str)


def way(body: Any) -> Callable[[str], Any]:
    """Follow a way into JSON: names, and places in lists, with / between them."""

    def find(place: str) -> Any:
        here = body
        for step in place.split("/"):
            try:
                here = here[int(step)] if isinstance(here, list) else here[step]
            except (KeyError, IndexError):
                return None
        return here

    return find


def yahoo_series(body: Any, each: str, period: str) -> Iterator[Said]:
    """Read series: by date, each name of the table."""
    fields = [line.split() for line in YAHOO_SERIES.strip().split("\n")]
    days = set()
    for result in body["timeseries"]["result"]:
        for name in result.keys() - {"meta", "timestamp"}:
            for value in result[name]:
                days.add(day := date.fromisoformat(value["asOfDate"]))
                number = float(value["reportedValue"]["raw"])
                for field, stem in fields:
                    if name == each + stem:
                        yield field, number, value["currencyCode"], period, day, None
    for day in days:
        yield "fiscal_period_end", day, None, period, day, None


def report(text: str) -> Callable[[str], Any]:
    """Find what XML says by whichever attribute, or tag, names it."""
    document = minidom.parseString(text)
    found: dict[str, str] = {}
    for element in document.getElementsByTagName("*"):
        words = "".join(
            node.data for node in _inside(element) if node.nodeType == node.TEXT_NODE
        ).strip()
        names = [element.getAttribute(one) for one in ("FieldName", "Type", "type", "Code")]
        for name in (*filter(None, names), element.tagName):
            found.setdefault(name, words)
        for name, value in element.attributes.items():
            found.setdefault(name, value)
    return found.get


def _inside(element: Any) -> Iterator[Any]:
    for node in element.childNodes:
        yield node
        yield from _inside(node)
