"""Invented and recorded bars, their text, and the configuration that chooses them."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from venue import config
from venue.bars import MINUTE_MS, UNIT, aggregate, fill_quiet
from venue.exchange import Exchange
from venue.files import Files
from venue.generated import Generated, key
from venue.render import Style, lines, number

if TYPE_CHECKING:
    from venue.bars import Bars, Ints

START = 1_600_000_020_000
DAY = 1440 * MINUTE_MS


def generated(**options: float) -> Generated:
    values = {"listed_at": START, "price": 250.0, **options}
    return Generated(own=key(1, "x", "A-B"), shared=key(1, "A"), **values)  # type: ignore[arg-type]


def written(column: Ints, style: Style, decimals: int = 8) -> list[bytes]:
    rows = lines(column, [b"[", number(column, style, decimals), b"]"]).rows()
    return [row[1:-1] for row in rows]


def same(one: Bars, other: Bars) -> bool:
    return all(map(np.array_equal, one.columns(), other.columns()))


@given(start=st.integers(0, 5000), length=st.integers(0, 3000), cut=st.integers(0, 3000))
def test_a_generated_bar_does_not_depend_on_the_window(start: int, length: int, cut: int) -> None:
    source = generated(quiet=0.4)
    first, last = START + start * MINUTE_MS, START + (start + length) * MINUTE_MS
    middle = min(first + cut * MINUTE_MS, last)
    everything = source.bars(START, START + 9000 * MINUTE_MS)
    assert same(source.bars(first, last), everything.between(first, last))
    assert same(source.bars(first, middle), everything.between(first, middle))


def test_generated_bars_look_like_a_market() -> None:
    bars = generated(quiet=0.25).bars(START, START + 60 * DAY)
    assert bars.ts[0] == START
    assert 0.24 < 1 - len(bars) / (60 * 1440) < 0.26
    assert np.all(bars.low <= np.minimum(bars.open, bars.close))
    assert np.all(bars.high >= np.maximum(bars.open, bars.close))
    assert bars.volume.min() > 0
    assert 9 * UNIT < bars.volume.mean() < 11 * UNIT
    next_minute = np.diff(bars.ts) == MINUTE_MS
    assert np.array_equal(bars.open[1:][next_minute], bars.close[:-1][next_minute])
    returns = np.diff(np.log(bars.close[1:]))
    assert 1e-5 < returns.std() < 1e-2


def test_nothing_happens_before_the_listing_or_after_the_delisting() -> None:
    source = generated(delisted_at=START + 100 * MINUTE_MS)
    bars = source.bars(0, START + DAY)
    assert (int(bars.ts[0]), len(bars)) == (START, 100)


def test_other_seeds_exchanges_and_symbols_give_other_prices() -> None:
    keys = {
        int(key(*parts)) for parts in [(1, "a", "B"), (2, "a", "B"), (1, "b", "B"), (1, "a", "C")]
    }
    assert len(keys) == 4


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=50))
def test_numbers_are_written_as_decimals_are(values: list[int]) -> None:
    column = np.array(values, np.int64)
    exact = [Decimal(value).scaleb(-8) for value in values]
    fixed = written(column, Style.FIXED)
    assert fixed == [f"{value:.8f}".encode() for value in exact]
    trimmed = written(column, Style.TRIMMED)
    assert trimmed == [f"{value.normalize():f}".encode() for value in exact]
    cut = written(column // 10**6 * 10**6, Style.FIXED, 2)
    assert cut == [f"{value // 10**6 / 100:.2f}".encode() for value in values]


@pytest.mark.parametrize(
    ("units", "text"),
    [(1, "1e-8"), (30, "3e-7"), (69, "6.9e-7"), (100, "0.000001"), (2 * UNIT, "2"), (0, "0")],
)
def test_small_numbers_are_written_as_javascript_does(units: int, text: str) -> None:
    column = np.array([units, 123 * UNIT], np.int64)
    rows = written(column, Style.JAVASCRIPT)
    assert rows == [text.encode(), b"123"]


def test_days_are_sums_of_their_minutes() -> None:
    bars = generated(quiet=0.5).bars(START, START + 3 * DAY)
    days = aggregate(bars, bars.ts // DAY * DAY)
    assert days.volume.sum() == bars.volume.sum()
    assert days.high.max() == bars.high.max()
    assert days.open[0] == bars.open[0]
    assert days.close[-1] == bars.close[-1]
    assert np.all(days.ts % DAY == 0)


def test_quiet_minutes_are_flat_and_none_comes_before_the_first_trade() -> None:
    bars = generated(quiet=0.9).bars(START, START + DAY)
    filled = fill_quiet(bars, START - 10 * MINUTE_MS, START + DAY, None)
    assert len(filled) == 1440
    assert same(filled.take(filled.volume > 0), bars)
    later = fill_quiet(bars.take(slice(0, 0)), START, START + 3 * MINUTE_MS, 7)
    assert later.close.tolist() == [7, 7, 7]


def test_a_plain_csv_is_read_and_what_cannot_be_repeated_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    file.write_text("ts,open,high,low,close,volume\n60000,1.5,2,1,1.75,0.00000001\n")
    bars = Files((file,)).bars(0, 120_000)
    assert [int(column[0]) for column in bars.numbers()] == [
        60_000,
        UNIT * 3 // 2,
        2 * UNIT,
        UNIT,
        UNIT * 7 // 4,
        1,
    ]
    file.write_text("ts,open,high,low,close,volume\n60000,1.123456789,2,1,1,0\n")
    with pytest.raises(ValueError, match="eight decimals"):
        Files((file,)).bars(0, 1)
    file.write_text("ts,open,high,low,close,volume\n60000,1,2,1,1,-3\n")
    with pytest.raises(ValueError, match="negative"):
        Files((file,)).bars(0, 1)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        Files((tmp_path / "nowhere.csv",)).bars(0, 1)


def plain(path: Path, *rows: tuple[int, float]) -> Path:
    """Write flat bars, given as minute and price."""
    lines = (f"{60_000 * minute},{price},{price},{price},{price},1" for minute, price in rows)
    path.write_text("\n".join(["ts,open,high,low,close,volume", *lines]))
    return path


def test_from_its_first_row_to_its_last_one_a_file_replaces_those_named_before(
    tmp_path: Path,
) -> None:
    earlier = plain(tmp_path / "earlier.csv", *((minute, 1.0) for minute in range(1, 6)))
    later = plain(tmp_path / "later.csv", (3, 2.0), (5, 2.0), (7, 2.0))
    bars = Files((earlier, later)).bars(0, DAY)
    assert (bars.ts // 60_000).tolist() == [1, 2, 3, 5, 7]
    assert (bars.open // UNIT).tolist() == [1, 1, 2, 2, 2]


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "json", "json.gz"])
def test_rows_without_names_are_read_in_the_order_that_is_configured(
    tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"rows.{suffix}"
    text = "[[60000,1,4,0.5,3,9]]" if "json" in suffix else "60000,1,4,0.5,3,9\n"
    file.write_bytes(gzip.compress(text.encode()) if suffix.endswith("gz") else text.encode())
    read = Files((file,), "ohlcv").bars(0, DAY)
    assert [int(column[0]) / UNIT for column in read.numbers()[1:]] == [1, 4, 0.5, 3, 9]
    of_bitfinex = Files((file,)).bars(0, DAY)
    assert [int(column[0]) / UNIT for column in of_bitfinex.numbers()[1:]] == [1, 0.5, 3, 4, 9]


def test_the_default_configuration_is_valid() -> None:
    venue = config.load()
    markets = {name for name, section in venue.exchanges.items() if section.markets}
    assert markets == {"alpaca", "binance", "bitfinex", "coinbase", "kraken"}
    for name, section in venue.exchanges.items():
        exchange = Exchange(name, section, venue.seed)
        if section.markets:
            assert exchange.market(next(iter(section.markets))).listed_at
        else:
            assert section.companies or section.coins


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"exchanges": {"mtgox": {}}}, "mtgox"),
        ({"exchanges": {"kraken": {"limit": 3}}}, "exchanges.kraken: unknown key 'limit'"),
        ({"exchanges": {"kraken": {"markets": {"BTCUSD": {}}}}}, "BTCUSD"),
        (
            {"exchanges": {"kraken": {"markets": {"A-B": {"order": "ohlc"}}}}},
            r"exchanges\.kraken\.markets\.A-B\.order",
        ),
        ({"exchanges": {"kraken": {"markets": {"BTC-USD-PERP": {}}}}}, "perpetual"),
        ({"exchanges": {"coinbase": {"markets": {"BTC-USD-PERP": {}}}}}, "perpetual"),
    ],
)
def test_wrong_configurations_say_what_is_wrong(document: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        _build(document)


def _build(document: dict[str, object]) -> None:
    for name, section in config.parse(document, Path()).exchanges.items():
        Exchange(name, section, 1)
