"""Yahoo's documents: modules about the moment, and series of fiscal periods."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from pipeline.fundamentals.records import Record, spread
from pipeline.fundamentals.shapes.common import (
    check_symbol,
    day,
    day_of_epoch,
    flat,
    mapping,
    read_json,
    sequence,
    shown,
)
from pipeline.fundamentals.values import Period, UnusableDocument

_IDENTITY: Final = "price"
"""The module that says whom a quoteSummary is about, and what it trades in."""
_SYMBOLS: Final = ("price.symbol", "quoteType.symbol")
_SERIES: Final = re.compile(r"^(annual|quarterly|trailing)([A-Z].*)$")
_PERIODS: Final[Mapping[str, tuple[Period, str]]] = {
    "annual": ("annual", "12M"),
    "quarterly": ("quarter", "3M"),
    "trailing": ("ttm", "TTM"),
}


def modules(names: Iterable[str]) -> tuple[str, ...]:
    """Return which modules to ask quoteSummary for.

    Args:
        names: What is wanted of it: `Registry.names("yahoo", "quoteSummary")`.
    """
    return tuple(sorted({name.partition(".")[0] for name in names} | {_IDENTITY}))


def series(names: Iterable[str]) -> tuple[str, ...]:
    """Return which types to ask fundamentals-timeseries for: each by the year and by the quarter.

    Args:
        names: What is wanted of it: `Registry.names("yahoo", "fundamentals-timeseries")`.
    """
    wanted = sorted(name for name in names if _SERIES.match(f"annual{name}"))
    return tuple(f"{each}{name}" for each in ("annual", "quarterly") for name in wanted)


def records(document: str, payload: str, symbol: str) -> Sequence[Record]:
    """Take a document apart.

    Raises:
        UnusableDocument: It is not one, an error, or not about the symbol.
    """
    key = "quoteSummary" if document == "quoteSummary" else "timeseries"
    inside = mapping(mapping(read_json(payload), "it").get(key), key)
    if inside.get("error"):
        raise UnusableDocument(f"is an error: {shown(inside['error'])}")
    results = sequence(inside.get("result"), f"{key}.result")
    if not results:
        raise UnusableDocument(f"is an empty list: it says nothing about {symbol}")
    if document == "quoteSummary":
        return _summary(results, symbol)
    return [*_statements(results, symbol)]


def _summary(results: Sequence[object], symbol: str) -> Sequence[Record]:
    found = mapping(results[0], "quoteSummary.result[0]")
    # Numbers are written as they are, or with how to show them: {"raw": 0.0041, "fmt": "0.41%"}.
    values = {way.removesuffix(".raw"): raw for way, raw in flat(found)}
    said = [values[name] for name in _SYMBOLS if name in values]
    for one in said or [None]:
        check_symbol(symbol, one)
    quarter = day_of_epoch(values.get("defaultKeyStatistics.mostRecentQuarter"))
    return [
        Record(
            "quoteSummary.result[0].*",
            values,
            ends={"ttm": quarter, "quarter": quarter},
            currencies={
                "trading": values.get(f"{_IDENTITY}.currency"),
                "reporting": values.get("financialData.financialCurrency"),
            },
        )
    ]


def _statements(results: Sequence[object], symbol: str) -> Iterator[Record]:
    """Yield a record for each period: Yahoo has a list for each name, of the values by period."""
    groups: dict[tuple[str, ...], tuple[Record, list[tuple[str, object]]]] = {}
    for number, result in enumerate(results):
        one = mapping(result, f"timeseries.result[{number}]")
        meta = mapping(one.get("meta"), f"timeseries.result[{number}].meta")
        for said in sequence(meta.get("symbol"), "meta.symbol") or [None]:
            check_symbol(symbol, said)
        for kind, stated in one.items():
            if match := _SERIES.match(kind):
                for value in filter(None, sequence(stated, kind)):
                    common = _common(match[1], value)
                    key = (match[1], common.place, common.spoilt, shown(common.currencies))
                    groups.setdefault(key, (common, []))[1].append((match[2], _stated(value)))
    for common, pairs in groups.values():
        yield from spread([*pairs, *common.values.items()], common)


def _common(each: str, value: object) -> Record:
    """Return what a value has in common with the others of its period."""
    period, length = _PERIODS[each]
    if not isinstance(value, dict):
        return Record(f"{each}*", {}, period, spoilt=f"{shown(value)} is no value of a period")
    end, said = value.get("asOfDate"), value.get("periodType")
    return Record(
        f"{each}* as of {shown(end)}",
        {"asOfDate": end},
        period,
        ends={period: day(end)},
        currencies={"reporting": value.get("currencyCode")},
        spoilt="" if said == length else f"its periodType is {shown(said)}, not {length}",
    )


def _stated(value: object) -> object:
    stated = value.get("reportedValue") if isinstance(value, dict) else value
    return stated.get("raw", stated) if isinstance(stated, dict) else stated
