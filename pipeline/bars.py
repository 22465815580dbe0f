"""The in-memory form of 1-minute bars: an Arrow table with one fixed schema.

What belongs here: the schema, and what is true of every table that has it. Not here: whether a bar
is credible (`quality`), where it comes from (`providers`), or how it is stored (`store`).
"""

from __future__ import annotations

import pyarrow as pa

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


def empty_bars() -> pa.Table:
    """Return a table of no bars."""
    return BAR_SCHEMA.empty_table()
