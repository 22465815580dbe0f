from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bars import empty_bars
from pipeline.intervals import MINUTE
from pipeline.quality import sift
from tests.making import at, bar, bars, rows_of, span, table

TS = at("2024-01-01T00:00")


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("open", None, "open_not_nullable"),
        ("open", math.nan, "open_finite"),
        ("close", math.inf, "close_finite"),
        ("low", 0.0, "low_positive"),
        ("low", -1.0, "low_positive"),
        ("high", 99.0, "high_is_highest"),
        ("low", 100.5, "low_is_lowest"),
        ("volume", -0.1, "volume_not_negative"),
        ("volume", math.nan, "volume_finite"),
        ("volume", -math.inf, "volume_finite"),
        ("vwap", math.nan, "vwap_finite"),
        ("trades", -1, "trades_not_negative"),
        ("ts", TS + timedelta(seconds=30), "on_the_minute"),
    ],
)
def test_a_bar_that_breaks_a_rule_is_refused_by_its_name(
    column: str, value: Any, rule: str
) -> None:
    rows = [bar(TS + MINUTE), bar(TS) | {column: value}, bar(TS + 2 * MINUTE)]
    good, refused = sift(table(rows))
    assert good["ts"].to_pylist() == [TS + MINUTE, TS + 2 * MINUTE]
    assert [bar.rule for bar in refused] == [rule]
    kept = refused[0].bar[column]
    assert kept == value or math.isnan(kept)


def test_what_a_provider_does_not_report_is_no_fault() -> None:
    rows = table([bar(TS, volume=None, vwap=None, trades=None), bar(TS + MINUTE, volume=0.0)])
    good, refused = sift(rows)
    assert good.equals(rows)
    assert refused == []


def test_a_repeated_bar_is_kept_once() -> None:
    good, refused = sift(table([bar(TS), bar(TS + MINUTE), bar(TS)]))
    assert good["ts"].to_pylist() == [TS, TS + MINUTE]
    assert [bar.rule for bar in refused] == ["repeated"]


def test_of_two_bars_for_one_minute_neither_is_believed() -> None:
    good, refused = sift(table([bar(TS, 100.0), bar(TS, 200.0), bar(TS + MINUTE)]))
    assert good["ts"].to_pylist() == [TS + MINUTE]
    assert [bar.rule for bar in refused] == ["one_bar_a_minute", "one_bar_a_minute"]


def test_bars_come_out_in_order_of_time() -> None:
    hour = bars(span("2024-01-01T00:00", "2024-01-01T01:00"))
    good, refused = sift(hour.take(list(reversed(range(60)))))
    assert rows_of(good) == rows_of(hour)
    assert good["ts"].to_pylist() == sorted(good["ts"].to_pylist())
    assert refused == []


def test_no_bars_are_no_problem() -> None:
    good, refused = sift(empty_bars())
    assert good.num_rows == 0
    assert refused == []


_values = st.one_of(
    st.none(), st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([100.0, 101.0, 99.0])
)
_rows = st.lists(
    st.builds(
        lambda n, o, h, low, c, v: bar(TS + n * MINUTE, open=o, high=h, low=low, close=c, volume=v),
        st.integers(0, 4), _values, _values, _values, _values, _values,
    ),
    max_size=8,
)  # fmt: skip


def _text(row: dict[str, Any]) -> str:
    return repr(row | {"ts": row["ts"].isoformat()})


def _credible(row: dict[str, Any]) -> bool:
    prices = [row[name] for name in ("open", "high", "low", "close")]
    if any(price is None or not math.isfinite(price) or price <= 0 for price in prices):
        return False
    volume = row["volume"]
    if volume is not None and not (math.isfinite(volume) and volume >= 0):
        return False
    return bool(row["high"] == max(prices) and row["low"] == min(prices))


@given(_rows)
def test_sifting_agrees_with_the_rules_written_out(rows: list[dict[str, Any]]) -> None:
    good, refused = sift(table(rows))
    assert good.num_rows + len(refused) == len(rows)
    claims: dict[Any, set[str]] = {}
    for row in rows:
        claims.setdefault(row["ts"], set()).add(_text(row))
    unrivalled = [row for row in rows if _credible(row) and len(claims[row["ts"]]) == 1]
    assert {_text(row) for row in good.to_pylist()} == {_text(row) for row in unrivalled}
