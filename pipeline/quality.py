"""Which delivered bars are credible.

What belongs here: the rules that a single bar must keep to be stored, as one pandera schema, and
the sifting of bars by them. Not here: whether an answer as a whole fits its question (`answers`),
or contradicts what is stored (`store.deliveries`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.bars import BAR_SCHEMA

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pandera

_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True)
class RefusedBar:
    """A delivered row that is not stored.

    Attributes:
        rule: Name of the rule that it breaks.
        bar: The row as it was understood, column by column, and where it was, if that is known.
    """

    rule: str
    bar: dict[str, Any]


@cache
def bar_rules() -> pandera.DataFrameSchema:
    """Return the rules of a credible bar, for a frame with the columns of `BAR_SCHEMA`.

    Prices must be there, finite and positive, and the high and low must bound open and close.
    Volume, vwap and trades may be missing but not negative. No two bars may claim one minute.
    """
    import pandera.pandas as pandera

    finite = pandera.Check(lambda value: value.abs() < math.inf, name="finite")
    positive = pandera.Check(lambda value: value > 0, name="positive")
    price = pandera.Column(float, [finite, positive])
    amount = pandera.Column(
        float, [finite, pandera.Check(lambda value: value >= 0, name="not_negative")], nullable=True
    )
    return pandera.DataFrameSchema(
        {
            "ts": pandera.Column(
                "datetime64[us, UTC]",
                [
                    pandera.Check(lambda ts: ts.dt.floor("min") == ts, name="on_the_minute"),
                    pandera.Check(lambda ts: ~ts.duplicated(keep=False), name="one_bar_a_minute"),
                ],
            ),
            **dict.fromkeys(_PRICES, price),
            "volume": amount,
            "vwap": amount,
            "trades": amount,
        },
        checks=[
            pandera.Check(
                lambda bar: bar["high"] >= bar[["open", "low", "close"]].max(axis=1),
                name="high_is_highest",
            ),
            pandera.Check(
                lambda bar: bar["low"] <= bar[["open", "close"]].min(axis=1), name="low_is_lowest"
            ),
        ],
    )


def sift(bars: pa.Table) -> tuple[pa.Table, list[RefusedBar]]:
    """Part credible bars from those to refuse.

    Args:
        bars: A table with `BAR_SCHEMA`, in any order; it may have columns of evidence beside it.

    Returns:
        The credible bars in order of time, and the refused rows with the first rule each one
        breaks. A row that repeats another to the last value is refused as `repeated`; its minute is
        still answered by the first.
    """
    from pandera.errors import SchemaErrors

    bars = bars.sort_by("ts")
    frame = _frame(bars)
    broken = {}
    if not frame["ts"].is_unique:
        repeated = frame.duplicated()
        broken = dict.fromkeys(frame.index[repeated], "repeated")
        frame = frame[~repeated]
    try:
        bar_rules().validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases.dropna(subset=["index"])
        # A broken column says more than the comparison of columns that it spoils: "Column" sorts
        # before "DataFrameSchema".
        cases = cases.sort_values("schema_context", kind="stable")
        for index, column, check in zip(
            cases["index"], cases["column"], cases["check"], strict=True
        ):
            broken.setdefault(index, check if column in {None, "ts"} else f"{column}_{check}")
    known = bars.select(BAR_SCHEMA.names)
    if not broken:
        return known, []
    rows = sorted(broken)
    keep = pa.array([index not in broken for index in range(bars.num_rows)])
    refused = bars.take(rows).to_pylist()
    return known.filter(keep), [
        RefusedBar(broken[row], bar) for row, bar in zip(rows, refused, strict=True)
    ]


def _frame(bars: pa.Table) -> pd.DataFrame:
    """Return the bars as pandas' own floats.

    Arrow tells a missing value from NaN and pandas does not, so NaN goes in as infinity, which the
    rules refuse.
    """
    columns = [bars["ts"]]
    for field in list(BAR_SCHEMA)[1:]:
        values = bars[field.name].cast(pa.float64())
        columns.append(pc.if_else(pc.is_nan(values), math.inf, values))
    frame: pd.DataFrame = pa.table(columns, names=BAR_SCHEMA.names).to_pandas()
    return frame
