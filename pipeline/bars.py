"""The in-memory form of 1-minute bars: an Arrow table with one fixed schema.

What belongs here: the schema, and what is true of every table that has it. Not here: whether a bar
is credible (`quality`), where it comes from (`providers`), or how it is stored (`store`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.intervals import Interval

BAR_SCHEMA = pa.schema(
    [
        pa.field("ts", pa.timestamp("us", tz="UTC"), metadata={"doc": "start of the minute, UTC"}),
        pa.field("open", pa.float64(), metadata={"doc": "first price, in the quote currency"}),
        pa.field("high", pa.float64(), metadata={"doc": "highest price"}),
        pa.field("low", pa.float64(), metadata={"doc": "lowest price"}),
        pa.field("close", pa.float64(), metadata={"doc": "last price"}),
        pa.field("volume", pa.float64(), metadata={"doc": "traded amount in base units"}),
        pa.field("vwap", pa.float64(), metadata={"doc": "volume-weighted average price"}),
        pa.field("trades", pa.int64(), metadata={"doc": "number of trades"}),
    ]
)
"""Columns of 1-minute bars. A missing value is null, never zero or NaN."""

COMBINED_SCHEMA = BAR_SCHEMA.append(pa.field("provider", pa.string(), nullable=False))
"""Columns of minutes that are made of several listings', and whose they are."""


def empty_bars() -> pa.Table:
    """Return a table of no bars."""
    return BAR_SCHEMA.empty_table()


def bar_table(columns: Mapping[str, pa.Array | Sequence[Any]]) -> pa.Table:
    """Return a table of bars with all columns; those that are not given are null.

    Args:
        columns: Some columns of `BAR_SCHEMA`, `ts` among them, all of one length.

    Raises:
        ValueError: There is no such column, or they differ in length.
    """
    if odd := columns.keys() - set(BAR_SCHEMA.names):
        raise ValueError(f"bars have no column {', '.join(sorted(odd))}; see BAR_SCHEMA")
    rows = len(columns["ts"])
    absent = {one.name: pa.nulls(rows, one.type) for one in BAR_SCHEMA if one.name not in columns}
    return pa.table({**columns, **absent}, schema=BAR_SCHEMA)


def inside(bars: pa.Table, window: Interval) -> pa.ChunkedArray:
    """Return which bars lie within a window, as `filter` takes it; null where a stamp is."""
    ts = bars["ts"]
    start, end = (pa.scalar(bound, ts.type) for bound in (window.start, window.end))
    return pc.and_(pc.greater_equal(ts, start), pc.less(ts, end))
