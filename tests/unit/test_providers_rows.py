"""Whole columns hold what ccxt reads row by row, for every exchange that ccxt knows."""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Iterator
from typing import Any

import ccxt
import pyarrow as pa
import pytest

from pipeline.bars import BAR_SCHEMA
from pipeline.providers.ccxt_rows import EXTRA_CELLS, Layout, Row, learn_layout, to_bars

_MARKET = {"id": "BTC-USDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT"}
_MARKETS = {
    "spot": {**_MARKET, "type": "spot", "spot": True, "inverse": None, "contract": False},
    "inverse": {**_MARKET, "type": "swap", "swap": True, "inverse": True, "contract": True},
}
_WORDS = {"true": "True", "false": "False", "null": "None"}
_ROWS = 120


def _documented_rows(exchange: Any) -> Iterator[Row]:
    """Yield the example rows that ccxt quotes in the comments of its parser, and two usual ones."""
    lines = inspect.getsource(type(exchange).parse_ohlcv).splitlines()
    quoted = [line.strip().lstrip("# ") for line in lines if line.strip().startswith("#")]
    text = "\n".join(re.sub(r"(//|#).*$", "", line) for line in quoted)
    text = re.sub(r"\b(true|false|null)\b", lambda word: _WORDS[word[0]], text)
    for opening in re.finditer(r"[\[{]", text):
        try:
            value = ast.literal_eval(_balanced(text[opening.start() :]))
        except (SyntaxError, ValueError):
            continue
        if isinstance(value, dict) or (value and not isinstance(value[0], list | dict)):
            yield value
    yield [1700000000, "10.5", "12.5", "9.5", "11.5", "3.25", "35.5", 17]
    yield [1700000000000, 10.5, 12.5, 9.5, 11.5, 3.25, 35.5, 17]


def _balanced(text: str) -> str:
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter in "[{") - (letter in "]}")
        if depth == 0:
            return text[: at + 1]
    return ""


def _varied(value: Any, by: int) -> Any:
    """Return a cell as it may look some minutes later."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    if isinstance(value, str):
        if value.isdigit():
            return str(_varied(int(value), by))
        try:
            return repr(_varied(float(value), by))
        except ValueError:
            return value
    if isinstance(value, int):
        step = next((s for floor, s in ((10**12, 60_000), (10**9, 60)) if value >= floor), 1)
        return value + by * step
    return value * (1 + by / 1024)


def _page(row: Row) -> list[Row]:
    if isinstance(row, dict):
        return [{key: _varied(v, by) for key, v in row.items()} for by in range(_ROWS)]
    return [[_varied(v, by) for v in row] for by in range(_ROWS)]


def _plain(bars: pa.Table) -> list[tuple[Any, ...]]:
    stamps = [None if us is None else us // 1000 for us in bars["ts"].cast(pa.int64()).to_pylist()]
    return list(zip(stamps, *(bars.column(at).to_pylist() for at in range(1, 6)), strict=True))


@pytest.fixture(scope="module")
def exchanges() -> dict[str, Any]:
    clients = {name: getattr(ccxt, name)() for name in ccxt.exchanges}
    return {name: client for name, client in clients.items() if "1m" in (client.timeframes or {})}


def _is_bar(parsed: tuple[Any, ...]) -> bool:
    """Return whether an example was one of the exchange's rows: six numbers, the first a time."""
    numbers = all(value is None or isinstance(value, int | float) for value in parsed)
    return len(parsed) == 6 and numbers and isinstance(parsed[0], int) and parsed[0] < 10**14


@pytest.mark.parametrize("market", _MARKETS)
def test_columns_equal_ccxts_rows_for_every_exchange(
    exchanges: dict[str, Any], market: str
) -> None:
    learned = set()
    for name, exchange in exchanges.items():

        def parse_row(row: Row, exchange: Any = exchange) -> list[Any]:
            parsed: list[Any] = exchange.parse_ohlcv(row, _MARKETS[market])
            return parsed

        for row in _documented_rows(exchange):
            page = _page(row)
            try:
                expected = [tuple(parse_row(row)) for row in page]
            except Exception:  # noqa: BLE001 - an example that is none of this exchange's rows
                continue
            if not all(map(_is_bar, expected)):
                continue
            assert _plain(to_bars(page, parse_row)) == expected, name
            if learn_layout(row, parse_row):
                learned.add(name)
    assert len(learned) >= 60


def _parse(row: Row) -> list[Any]:
    parsed: list[Any] = ccxt.kraken().parse_ohlcv(row, _MARKETS["spot"])
    return parsed


def _kraken_page() -> list[Any]:
    return _page([1700000000, "10.5", "12.5", "9.5", "11.5", "11.0", "3.25", 17])


def test_a_layout_names_the_cells_and_the_unit_of_time() -> None:
    assert learn_layout(_kraken_page()[0], _parse) == Layout((0, 1, 2, 3, 4, 6), stamp_ms=1000)


def test_no_rows_are_no_bars() -> None:
    assert to_bars([], _parse).schema == BAR_SCHEMA


@pytest.mark.parametrize(
    ("text", "expected"),
    [("NaN", math.nan), ("Infinity", math.inf), ("-inf", -math.inf), ("abc", None), (None, None)],
)
@pytest.mark.parametrize("at", [0, 1, _ROWS // 2, _ROWS - 1])
def test_one_unreadable_cell_stays_one(text: str | None, expected: float | None, at: int) -> None:
    page = _kraken_page()
    right = to_bars(page, _parse, EXTRA_CELLS["kraken"])
    page[at][4] = text
    bars = to_bars(page, _parse, EXTRA_CELLS["kraken"])
    value = bars["close"][at].as_py()
    assert value == expected or (expected is not None and math.isnan(expected) == math.isnan(value))
    assert bars.drop_columns("close").equals(right.drop_columns("close"))
    assert bars["close"].to_pylist()[at + 1 :] == right["close"].to_pylist()[at + 1 :]


def test_rows_of_unequal_length_are_read_by_ccxt() -> None:
    page = _kraken_page()
    del page[7][5:]
    bars = to_bars(page, _parse, EXTRA_CELLS["kraken"])
    assert bars["volume"].null_count == bars["trades"].null_count == 1


def test_a_reader_that_computes_is_asked_row_by_row() -> None:
    page = _kraken_page()

    def doubled(row: Row) -> list[Any]:
        parsed = _parse(row)
        return [*parsed[:5], parsed[5] * 2]

    assert learn_layout(page[0], doubled) is None
    assert to_bars(page, doubled)["volume"][0].as_py() == 6.5


def test_a_reader_that_changes_its_mind_is_found_out() -> None:
    page = _kraken_page()

    def fickle(row: Row) -> list[Any]:
        parsed = _parse(row)
        late = parsed[0] > 1700000000000 + 30 * 60000
        return [parsed[0], *(parsed[1:5][::-1] if late else parsed[1:5]), parsed[5]]

    assert _plain(to_bars(page, fickle)) == [tuple(fickle(row)) for row in page]


def test_a_stamp_beyond_all_time_is_none() -> None:
    page = _kraken_page()
    page[3][0] = 10**17
    assert to_bars(page, _parse)["ts"].null_count == 1


def test_binances_average_price_is_not_made_up_for_inverse_contracts() -> None:
    exchange = ccxt.binance()
    page = _page([1700000000000, "9", "9", "9", "9", "300", 1700000059999, "33", 7, "1", "2", "0"])
    for market, expected in (("spot", 33 / 300), ("inverse", None)):

        def parse_row(row: Row, market: str = market) -> list[Any]:
            parsed: list[Any] = exchange.parse_ohlcv(row, _MARKETS[market])
            return parsed

        assert to_bars(page, parse_row, EXTRA_CELLS["binance"])["vwap"][0].as_py() == expected
