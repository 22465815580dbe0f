"""From an exchange's raw candles to an Arrow table, column by column, in ccxt's reading of a row.

What belongs here: conversion. ccxt knows for a hundred exchanges which cell of a row means what,
but reads row by row (200 thousand rows a second), sorts, and drops rows in silence. So its own
`parse_ohlcv` is asked where the cells are, by changing one cell at a time; whole columns are then
converted at once; and its reading of three rows of every page is compared with the result. Whatever
does not fit this is read by ccxt, row by row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.bars import BAR_SCHEMA, bar_table, empty_bars

Row = list[Any] | dict[str, Any]
Cell = int | str
ParseRow = Callable[[Row], Sequence[Any]]

_PLAIN: Final = ("ts", "open", "high", "low", "close", "volume")
_FEW_ROWS: Final = 40
"""Pages up to this size are read row by row: learning a layout costs about as much."""
_STAMP_DIGITS: Final = 9
_MAX_STAMP_MS: Final = 10**14
_UNREADABLE: Final = (pa.ArrowException, ArithmeticError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which cells of a row hold what, and how many milliseconds a unit of its time stamp is."""

    cells: tuple[Cell, ...]
    stamp_ms: int


@dataclass(frozen=True, slots=True)
class ExtraCells:
    """Cells of an exchange's rows that ccxt does not read.

    Attributes:
        volume: The cell of the volume in base units; where ccxt reads another, `quote` says
            nothing.
        trades: The number of trades.
        vwap: The volume-weighted average price.
        quote: The volume in quote units, from which the average price follows.
    """

    volume: int
    trades: int
    vwap: int | None = None
    quote: int | None = None


EXTRA_CELLS: Final[Mapping[str, ExtraCells]] = {
    "kraken": ExtraCells(volume=6, trades=7, vwap=5),
    "binance": ExtraCells(volume=5, trades=8, quote=7),
}


def to_bars(rows: Sequence[Row], parse_row: ParseRow, extra: ExtraCells | None = None) -> pa.Table:
    """Convert raw candles to a table with `BAR_SCHEMA`, in the order given.

    Args:
        rows: The candles as the exchange sent them, decoded.
        parse_row: ccxt's own reading of one candle: time in UTC milliseconds, open, high, low,
            close, volume.
        extra: Where cells that ccxt leaves out are found.

    Returns:
        One row a candle. What ccxt cannot read is null; NaN and infinities stay what they are.

    Raises:
        ValueError, TypeError, LookupError: ccxt could not make sense of a row at all.
    """
    if not rows:
        return empty_bars()
    samples = [rows[at] for at in (0, len(rows) // 2, -1)]
    layout = None
    if len(rows) > _FEW_ROWS or extra is not None:
        layout = next(filter(None, (learn_layout(row, parse_row) for row in samples)), None)
    if layout is not None and extra is not None and layout.cells[-1] != extra.volume:
        extra = None
    if layout is not None:
        try:
            columns = _by_column(rows, layout, extra)
            if all(_agrees(columns, at, parse_row(rows[at])) for at in (0, len(rows) // 2, -1)):
                return _table(columns)
        except _UNREADABLE:
            pass  # some cell is no number: ccxt knows what to make of it
    return _by_row(rows, parse_row, extra if layout is not None else None)


def learn_layout(row: Row, parse_row: ParseRow) -> Layout | None:
    """Find the cells from which ccxt reads a row; None if it does more than reading them.

    Each cell is replaced by another plausible value in turn: the one output that changes with it is
    its meaning.
    """
    found: dict[int, Cell] = {}
    stamp_ms = 0
    try:
        before = list(parse_row(row))
        for cell in row if isinstance(row, dict) else range(len(row)):
            other = _another(row[cell])  # type: ignore[index]  # the key comes from the row itself
            if other is None:
                continue
            changed = row.copy()
            changed[cell] = other  # type: ignore[index]
            after = list(parse_row(changed))
            for at, (old, new) in enumerate(zip(before, after, strict=True)):
                if old == new:
                    continue
                if at in found or new is None:
                    return None
                found[at] = cell
                if at == 0:
                    stamp_ms = round(new / float(other))
                elif new != float(other):
                    return None
    except _UNREADABLE:
        return None
    if sorted(found) != list(range(len(_PLAIN))) or stamp_ms not in {1, 1000}:
        return None
    return Layout(tuple(found[at] for at in range(len(_PLAIN))), stamp_ms)


def _another(value: Any) -> Any:  # noqa: ANN401 - a decoded JSON value
    """Return a different number of the same kind and length; None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and value.isdigit() and len(value) >= _STAMP_DIGITS:
        return value[:-1] + str((int(value[-1]) + 1) % 10)
    number = _number(value)
    if number is None or not math.isfinite(number):
        return None
    return repr(number + 1) if isinstance(value, str) else value + 1


def _by_column(
    rows: Sequence[Row], layout: Layout, extra: ExtraCells | None
) -> dict[str, pa.Array]:
    across = None if isinstance(rows[0], dict) else list(zip(*rows, strict=True))

    def column(cell: Cell, kind: pa.DataType) -> pa.Array:
        values = list(map(itemgetter(cell), rows)) if across is None else across[int(cell)]
        if any(isinstance(value, str) for value in values[:3]):
            return pa.array(values, pa.string()).cast(kind)
        return pa.array(values, kind)

    stamps, *numbers = layout.cells
    columns = {"ts": pc.multiply_checked(column(stamps, pa.int64()), layout.stamp_ms)}
    for name, cell in zip(_PLAIN[1:], numbers, strict=True):
        columns[name] = column(cell, pa.float64())
    if extra is not None:
        columns |= _extra_columns(extra, column, columns["volume"])
    return columns


def _by_row(rows: Sequence[Row], parse_row: ParseRow, extra: ExtraCells | None) -> pa.Table:
    def column(cell: Cell, kind: pa.DataType) -> pa.Array:
        values = [_number(_cell(row, cell)) for row in rows]
        return pa.array(values, pa.float64()).cast(kind, safe=False)

    parsed = [parse_row(row) for row in rows]
    columns = {"ts": pa.array([_stamp(row[0]) for row in parsed], pa.int64())}
    for at, name in enumerate(_PLAIN[1:], start=1):
        columns[name] = pa.array([_number(row[at]) for row in parsed], pa.float64())
    if extra is not None:
        columns |= _extra_columns(extra, column, columns["volume"])
    return _table(columns)


def _extra_columns(
    extra: ExtraCells, column: Callable[[Cell, pa.DataType], pa.Array], volume: pa.Array
) -> dict[str, pa.Array]:
    """Return the trades and the average price; null where nothing was traded, so had no price."""
    columns = {"trades": column(extra.trades, pa.int64())}
    price = None if extra.vwap is None else column(extra.vwap, pa.float64())
    if extra.quote is not None:
        price = pc.divide(column(extra.quote, pa.float64()), volume)
    if price is not None:
        columns["vwap"] = pc.if_else(pc.greater(volume, 0), price, pa.scalar(None, pa.float64()))
    return columns


def _cell(row: Row, cell: Cell) -> Any:  # noqa: ANN401 - a decoded JSON value
    if isinstance(row, dict):
        return row.get(str(cell))
    return row[int(cell)] if int(cell) < len(row) else None


def _number(value: Any) -> float | None:  # noqa: ANN401 - a decoded JSON value
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _stamp(value: Any) -> int | None:  # noqa: ANN401 - whatever ccxt made of the cell
    """Return a stamp that fits a timestamp column; one that does not is as good as none."""
    return int(value) if value is not None and abs(value) < _MAX_STAMP_MS else None


def _table(columns: dict[str, pa.Array]) -> pa.Table:
    micros = pc.multiply_checked(columns["ts"], 1000)
    return bar_table(columns | {"ts": micros.cast(BAR_SCHEMA.field("ts").type)})


def _agrees(columns: Mapping[str, pa.Array], at: int, parsed: Sequence[Any]) -> bool:
    """Return whether a converted row is what ccxt reads in it."""
    mine = [columns[name][at].as_py() for name in _PLAIN]
    return len(mine) == len(parsed) and all(map(_same, mine, parsed))


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == other or (math.isnan(one) and math.isnan(other))
