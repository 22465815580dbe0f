"""Tables of bars: what is not known is null, and a window holds its start and not its end."""

from __future__ import annotations

import pytest

from pipeline.bars import BAR_SCHEMA, bar_table, inside
from pipeline.intervals import MINUTE, Interval
from tests.making import at

START = at("2024-05-31T14:00")


def test_columns_that_are_not_given_are_null() -> None:
    bars = bar_table({"volume": [1.5, None], "ts": [START, START + MINUTE]})
    assert bars.schema.equals(BAR_SCHEMA, check_metadata=True)
    known = {
        name: bars[name].to_pylist() for name in bars.column_names if bars[name].null_count < 2
    }
    assert known == {"ts": [START, START + MINUTE], "volume": [1.5, None]}


@pytest.mark.parametrize(
    "columns", [{"ts": [START], "vol": [1.5]}, {"ts": [START], "volume": [1.5, 2.5]}]
)
def test_columns_that_no_bar_has_and_of_another_length_are_refused(
    columns: dict[str, list[object]],
) -> None:
    with pytest.raises(ValueError, match="vol"):
        bar_table(columns)


def test_a_window_holds_its_start_and_not_its_end_and_no_bar_without_a_stamp() -> None:
    stamps = [START - MINUTE, START, None, START + MINUTE, START + 2 * MINUTE]
    bars = bar_table({"ts": stamps})
    window = Interval(START, START + 2 * MINUTE)
    assert inside(bars, window).to_pylist() == [False, True, None, True, False]
    assert bars.filter(inside(bars, window))["ts"].to_pylist() == [START, START + MINUTE]
