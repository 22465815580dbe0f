"""The median of what several providers say of the same minutes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.bars import BAR_SCHEMA, COMBINED_SCHEMA
from pipeline.consolidation import joined


def median(bars: Sequence[tuple[str, pa.Table]]) -> pa.Table:
    """Return the median of each price and of the volume, minute by minute.

    Of an even number it is the mean of the middle two. A volume that a provider does not report
    takes no part. Of average prices and numbers of trades a median would mean nothing: they are
    null.

    Args:
        bars: Providers with their minutes, with `BAR_SCHEMA`, each minute once.

    Returns:
        A table with `COMBINED_SCHEMA` in order of time: all minutes that somebody has.
    """
    stamps = [table["ts"].cast(pa.int64()).to_numpy() for _, table in bars]
    ts = np.unique(np.concatenate(stamps)) if stamps else np.empty(0, np.int64)
    places = [np.searchsorted(ts, of_one) for of_one in stamps]
    columns = {name: pa.nulls(len(ts), BAR_SCHEMA.field(name).type) for name in BAR_SCHEMA.names}
    columns["ts"] = pa.array(ts).cast(BAR_SCHEMA.field("ts").type)
    for name in ("open", "high", "low", "close", "volume"):
        values = np.full((len(bars), len(ts)), np.nan)
        for row, (place, (_, table)) in enumerate(zip(places, bars, strict=True)):
            values[row, place] = table[name].to_numpy()
        columns[name] = pa.array(_middle(values), from_pandas=True)
    took_part = np.zeros(len(ts), np.int64)
    for row, place in enumerate(places):
        took_part[place] |= 1 << row
    columns["provider"] = _names([provider for provider, _ in bars], took_part)
    return pa.table(columns, schema=COMBINED_SCHEMA)


def _middle(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each column's numbers; NaN where it has none."""
    if not len(values):
        return np.empty(0)
    ordered = np.sort(values, axis=0)  # NaN comes last
    known = np.count_nonzero(~np.isnan(values), axis=0)
    columns = np.arange(values.shape[1])
    low, high = np.maximum(known - 1, 0) // 2, known // 2
    high = np.minimum(high, len(values) - 1)
    one, other = ordered[low, columns], ordered[high, columns]
    # Halves first: the sum of two prices could be infinite.
    return np.where(known == 0, np.nan, np.where(low == high, one, one / 2 + other / 2))


def _names(providers: Sequence[str], took_part: NDArray[np.int64]) -> pa.Array:
    kinds, which = np.unique(took_part, return_inverse=True)
    names = [
        joined(name for row, name in enumerate(providers) if kind >> row & 1)
        for kind in kinds.tolist()
    ]
    return pa.array(names, pa.string()).take(pa.array(which))
