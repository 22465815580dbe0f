"""The pages of one answer of Alpaca: following their tokens, and believing no more than fits.

What belongs here: when an answer is whole, and its rows as columns. Not here: what was asked, and
whether a bar is credible. A page may end inside a symbol, so its rows are kept by symbol.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.bars import BAR_SCHEMA, empty_bars
from pipeline.providers.errors import MalformedAnswer

Row = Mapping[str, Any]
Ask = Callable[[str | None], object]
"""Asks for the page of a token; None for the first page."""

_CELLS: Final = {
    "open": "o",
    "high": "h",
    "low": "l",
    "close": "c",
    "volume": "v",
    "vwap": "vw",
    "trades": "n",
}


def whole_answer(
    provider: str, symbols: Sequence[str], most: int, ask: Ask
) -> Mapping[str, pa.Table]:
    """Return the bars of every symbol, from as many pages as there are.

    Args:
        provider: The provider's name, for errors.
        symbols: What was asked for.
        most: How many bars a symbol can have in the time that was asked for.
        ask: Asks for a page.

    Returns:
        A table with `BAR_SCHEMA` for each symbol, in the order in which the rows came.

    Raises:
        MalformedAnswer: A page has not the expected shape, holds a symbol that was not asked for,
            or goes back in time; a token repeats, comes with no row, or has no end.
        ProviderError: A page could not be had.
    """
    parts: dict[str, list[pa.Table]] = defaultdict(list)
    rows = 0
    for page in _pages(provider, ask):
        if rows > most * len(symbols):
            raise MalformedAnswer(
                provider, f"{rows} bars came where {most * len(symbols)} fit: pages have no end"
            )
        for symbol, part in page.items():
            if symbol not in symbols:
                raise MalformedAnswer(provider, f"bars of {symbol!r} came, which nobody asked for")
            table = _to_bars(provider, part)
            before = parts[symbol]
            if before and pc.min(table["ts"]).as_py() <= pc.max(before[-1]["ts"]).as_py():
                raise MalformedAnswer(provider, f"a later page of {symbol} goes back in time")
            before.append(table)
            rows += len(part)
    return {
        symbol: pa.concat_tables(parts[symbol]) if parts[symbol] else empty_bars()
        for symbol in symbols
    }


def _pages(provider: str, ask: Ask) -> Iterator[Mapping[str, Sequence[Row]]]:
    """Yield the rows of each page by symbol; symbols without a row are left out."""
    token: str | None = None
    seen: set[str] = set()
    while True:
        document = ask(token)
        if not isinstance(document, dict) or not {"bars", "next_page_token"} <= document.keys():
            raise MalformedAnswer(provider, "the answer has no bars, or says nothing of more pages")
        page = _by_symbol(provider, document["bars"])
        yield page
        token = document["next_page_token"]
        if token is None:
            return
        if not isinstance(token, str) or not token:
            raise MalformedAnswer(provider, "the token of the next page is no text")
        if token in seen or not page:
            what = "repeats" if token in seen else "comes with a page of no bars"
            raise MalformedAnswer(provider, f"the token of the next page {what}")
        seen.add(token)


def _by_symbol(provider: str, bars: object) -> Mapping[str, Sequence[Row]]:
    bars = {} if bars is None else bars
    if not isinstance(bars, dict):
        raise MalformedAnswer(provider, "the bars are not sorted by symbol")
    for symbol, part in bars.items():
        if not (part is None or isinstance(part, list)) or set(map(type, part or [])) - {dict}:
            raise MalformedAnswer(provider, f"the bars of {symbol!r} are no list of objects")
    return {symbol: part for symbol, part in bars.items() if part}


def _to_bars(provider: str, rows: Sequence[Row]) -> pa.Table:
    """Convert rows to columns; what is no number is null, NaN and infinities stay what they are."""
    try:
        stamps = pa.array([row.get("t") for row in rows], pa.string())
        ts = stamps.cast(BAR_SCHEMA.field("ts").type)
    except pa.ArrowException:
        raise MalformedAnswer(provider, "a bar's time cannot be read") from None
    if ts.null_count:
        raise MalformedAnswer(provider, "a bar has no time")
    columns = {name: _numbers([row.get(cell) for row in rows]) for name, cell in _CELLS.items()}
    trades = pc.cast(columns.pop("trades"), pa.int64(), safe=False)
    return pa.table({"ts": ts, **columns, "trades": trades}, schema=BAR_SCHEMA)


def _numbers(values: Sequence[object]) -> pa.Array:
    try:
        return pa.array(values, pa.float64())
    except pa.ArrowException:
        return pa.array([_number(value) for value in values], pa.float64())


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]  # whatever JSON holds
    except (TypeError, ValueError, OverflowError):
        return None
