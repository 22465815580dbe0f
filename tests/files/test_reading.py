"""What the bytes and stamps of a file mean, and what is said of files that cannot be used."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet
import pytest

from pipeline.intervals import Interval
from pipeline.providers.errors import BrokenFile, UnknownSymbol, Unsupported
from pipeline.universe.files import FilesConfig
from tests.files.conftest import declared, lines, minutes, opened
from tests.making import at, span

ALL = span("2000-01-01", "2025-12-31")


def bars(files: FilesConfig, symbol: str = "SPY", window: Interval = ALL) -> list[dict[str, Any]]:
    """Return what a fresh client delivers, in order of time."""
    with closing(opened(files)) as provider:
        found: list[dict[str, Any]] = provider.fetch_bars(symbol, "etf", window).to_pylist()
    return sorted(found, key=lambda bar: bar["ts"])


def stamps(files: FilesConfig, symbol: str = "SPY") -> list[datetime]:
    return [bar["ts"] for bar in bars(files, symbol)]


def complaint(files: FilesConfig) -> str:
    """Return why the files cannot be used; nothing of them is delivered."""
    with closing(opened(files)) as provider:
        held = provider.holdings("SPY", "etf", ALL)
        assert not held.pieces
        with pytest.raises(BrokenFile) as caught:
            provider.fetch_bars("SPY", "etf", ALL)
    assert str(held.holes[0].error) == str(caught.value)
    return str(caught.value)


def put(folder: Path, text: str, name: str = "SPY.csv", **options: Any) -> FilesConfig:
    (folder / name).write_text(text, encoding=options.get("encoding", "utf-8"))
    return declared(folder / "{symbol}.csv", **options)


# -- stamps


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("1709303400", "epoch_s"),
        ("1709303400000", "epoch_ms"),
        ("1709303400000000", "epoch_us"),
        ("1709303400000000000", "epoch_ns"),
        ("1709303400", "epoch"),
        ("1709303400000", "epoch"),
        ("1709303400000000", "epoch"),
        ("1709303400000000000", "epoch"),
        ("2024-03-01 09:30", "iso"),
        ("2024-03-01T09:30:00.000", "iso"),
        ("2024-03-01T14:30:00Z", "iso"),
        ("2024-03-01 15:30:00+01:00", "iso"),
        ("20240301 093000", "%Y%m%d %H%M%S"),
        ("03/01/2024 09:30", "%m/%d/%Y %H:%M"),
    ],
)
def test_a_moment_is_the_same_however_it_is_written(folder: Path, stamp: str, time: str) -> None:
    files = put(folder, lines([stamp]), time=time, zone="America/New_York")
    assert stamps(files) == [at("2024-03-01T14:30")]


def test_the_unit_of_an_epoch_may_change_within_a_file(folder: Path) -> None:
    files = put(folder, lines(["1735689540000", "1735689600000000"]), time="epoch")
    assert stamps(files) == [at("2024-12-31T23:59"), at("2025-01-01")]


@pytest.mark.parametrize(
    ("stamp", "time", "told"),
    [
        ("1709303400000", "epoch_s", "line 2: the stamp 1709303400000 is no epoch_s"),
        ("17092854", "epoch", "line 2: the stamp 17092854 is between 1990 and 2100 in no unit"),
        ("yesterday", "iso", "line 2: 'yesterday' is no ISO 8601 stamp"),
        ("2024-03-01T14:30Z", "iso", "line 2: the stamp '2024-03-01T14:30Z' has an offset"),
        ("2024-03-01 14:30", "%Y%m%d", "line 1: the stamp '2024-03-01 10:00' does not look like"),
        ("", "iso", "line 2: the stamp None is missing"),
        ("x", "epoch", "line 1: time is '2024-03-01 10:00', which is no number"),
        ("2026-03-01 10:00", "iso", "line 2: the bar of 2026-03-01 10:00 UTC is in the future"),
    ],
)
def test_a_stamp_that_cannot_be_read_is_told_with_its_line(
    folder: Path, stamp: str, time: str, told: str
) -> None:
    first = "1709303400" if time.startswith("epoch") and stamp != "x" else "2024-03-01 10:00"
    found = complaint(put(folder, lines([first, stamp]), time=time))
    assert found.startswith(f"history: {folder}/SPY.csv: {told}")
    assert "; correct" in found


def test_date_and_time_may_be_apart_and_columns_in_any_order(folder: Path) -> None:
    files = put(
        folder,
        "SPY;x;11;9;10;1.5;2024-03-01;09:30\n",
        columns=["_", "_", "high", "low", "open", "close", "date", "time"],
        delimiter=";",
    )
    (bar,) = bars(files)
    assert (bar["ts"], bar["open"], bar["high"]) == (at("2024-03-01T09:30"), 10.0, 11.0)
    assert bar["volume"] is None


def test_milliseconds_since_midnight_count_from_the_day_in_the_name(folder: Path) -> None:
    files = declared(
        folder / "{year}{month}{day}_trade.csv",
        time="ms_of_day",
        zone="America/New_York",
        columns=["time", "open", "high", "low", "close", "volume", "symbol"],
    )
    (folder / "20240308_trade.csv").write_text(
        "34200000,1285100,1285200,1285000,1285100,7,SPY\n34260000,1,1,1,1,7,QQQ\n"
    )
    files = files.model_copy(update={"price_scale": 10_000.0})
    (bar,) = bars(files)
    assert (bar["ts"], bar["open"], bar["volume"]) == (at("2024-03-08T14:30"), 128.51, 7.0)


# -- ends of bars, and the two nights on which clocks are set


def test_the_end_of_a_bar_becomes_its_start(folder: Path) -> None:
    files = put(folder, lines(["2024-03-01 16:00", "2024-03-02 00:00"]), stamp="end")
    assert stamps(files) == [at("2024-03-01T15:59"), at("2024-03-01T23:59")]


def test_days_around_a_change_of_clocks_have_their_own_offset(folder: Path) -> None:
    written = ["2024-03-08 09:30", "2024-03-11 09:30", "2024-11-01 09:30", "2024-11-04 09:30"]
    files = put(folder, lines(written), zone="America/New_York")
    assert [moment.hour for moment in stamps(files)] == [14, 13, 13, 14]


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_order_of_a_file_tells_the_first_from_the_second_hour(
    folder: Path, *, newest_first: bool
) -> None:
    hours = ["00:59", "01:00", "01:30", "01:59", "01:00", "01:30", "01:59", "02:00"]
    rows = [f"2024-11-03 {hour}" for hour in hours]
    files = put(folder, lines(rows[::-1] if newest_first else rows), zone="America/New_York")
    utc = ["04:59", "05:00", "05:30", "05:59", "06:00", "06:30", "06:59", "07:00"]
    assert stamps(files) == [at(f"2024-11-03T{hour}") for hour in utc]
    first = 7.0 if newest_first else 0.0
    assert bars(files)[0]["open"] == 100 + first


@pytest.mark.parametrize(
    "hours",
    [
        ["00:59", "01:30", "02:00"],
        ["00:59", "01:10", "01:50", "02:00"],
        ["00:59", "01:10", "01:00", "01:50", "01:20", "02:00"],
        ["01:30", "01:10"],
        ["00:59", "01:10", "01:05", "00:58", "02:00"],
    ],
)
def test_an_hour_that_came_twice_is_refused_where_the_order_does_not_tell(
    folder: Path, hours: list[str]
) -> None:
    rows = [f"2024-11-03 {hour}" for hour in hours]
    found = complaint(put(folder, lines(rows), zone="America/New_York"))
    assert "came twice in America/New_York" in found
    assert "get the file with stamps in UTC" in found


def test_symbols_in_one_file_have_each_their_own_order(folder: Path) -> None:
    rows = [
        f"{symbol},{row}"
        for hour in ["00:59", "01:30", "01:30", "02:00"]
        for symbol in ("SPY", "QQQ")
        for row in [lines([f"2024-11-03 {hour}"])]
        if not (symbol == "QQQ" and hour == "01:30")
    ]
    rows.insert(3, "SPY," + lines(["2024-11-03 01:10"]))
    (folder / "all.csv").write_text("".join(rows))
    columns = ["symbol", "time", "open", "high", "low", "close", "volume"]
    files = declared(folder / "all.csv", columns=columns, zone="America/New_York")
    utc = ["04:59", "05:30", "06:10", "06:30", "07:00"]
    assert stamps(files) == [at(f"2024-11-03T{hour}") for hour in utc]
    assert stamps(files, "QQQ") == [at("2024-11-03T04:59"), at("2024-11-03T07:00")]


def test_a_time_that_was_skipped_is_refused(folder: Path) -> None:
    files = put(folder, lines(["2024-03-10 01:59", "2024-03-10 02:30"]), zone="America/New_York")
    found = complaint(files)
    assert "line 2: 2024-03-10 02:30:00 was skipped in America/New_York" in found


@pytest.mark.parametrize("written", ["02:00", "03:00"])
def test_the_last_minute_before_clocks_are_set_forward_may_end_at_either_name(
    folder: Path, written: str
) -> None:
    rows = ["2024-03-10 01:59", f"2024-03-10 {written}", "2024-03-10 03:01"]
    files = put(folder, lines(rows), zone="America/New_York", stamp="end")
    assert stamps(files) == [at(f"2024-03-10T{hour}") for hour in ("06:58", "06:59", "07:00")]
    if written == "02:00":
        assert "was skipped" in complaint(put(folder, lines(rows), zone="America/New_York"))


# -- text


def test_numbers_may_have_a_decimal_comma_and_thousands(folder: Path) -> None:
    row = "01.03.2024 09:30;1.285,5;1.300;1.200,25;1.250;12.345\n"
    files = put(folder, row, delimiter=";", decimal=",", thousands=".", time="%d.%m.%Y %H:%M")
    (bar,) = bars(files)
    assert [bar[name] for name in ("open", "high", "low", "close", "volume")] == [
        1285.5,
        1300.0,
        1200.25,
        1250.0,
        12345.0,
    ]


def test_columns_go_by_their_names_whatever_stands_around_them(folder: Path) -> None:
    text = "from the vendor\nVol,Zeit,Erster,Hoch,Tief,Schluß,x\n5,2024-03-01 10:00,1,3,1,2,?\n"
    columns = {"time": "Zeit", "open": "Erster", "high": "Hoch", "low": "Tief", "close": "Schluß"}
    files = put(folder, text, columns=columns | {"volume": "Vol"}, skip_lines=1, encoding="latin-1")
    (bar,) = bars(files)
    assert (bar["open"], bar["close"], bar["volume"], bar["line"]) == (1.0, 2.0, 5.0, 3)


@pytest.mark.parametrize("header", ["open time,open,high,low,close,volume\n", ""])
def test_a_header_row_that_only_some_files_have_is_noticed(folder: Path, header: str) -> None:
    files = put(folder, header + lines(minutes("2024-03-01 10:00", 3)), header="maybe")
    assert len(stamps(files)) == 3


@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_windows_line_ends_a_mark_and_blank_lines_are_no_data(folder: Path, bom: str) -> None:
    text = "time,open,high,low,close,volume\n" + lines(minutes("2024-03-01 10:00", 3)) + "\n\n"
    columns = {name: name for name in ("time", "open", "high", "low", "close", "volume")}
    (folder / "SPY.csv").write_bytes((bom + text).replace("\n", "\r\n").encode())
    assert len(stamps(declared(folder / "{symbol}.csv", columns=columns))) == 3


def test_a_header_row_alone_is_no_bar_and_no_fault(folder: Path) -> None:
    (folder / "SPY_2024-03.csv").write_text("time,open,high,low,close,volume\n")
    files = declared(folder / "{symbol}_{year}-{month}.csv", header="yes")
    assert stamps(files) == []
    with closing(opened(files)) as provider:
        held = provider.holdings("SPY", "etf", ALL)
        assert held.pieces == [span("2024-03-01", "2024-04-01")]
        with pytest.raises(UnknownSymbol, match="no file has a row of 'SPY'"):
            provider.first_trade("SPY", "etf")


GOOD = lines(minutes("2024-03-01 10:00", 400))


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (GOOD + "2024-03-02 10:00,1,2\n", {}, "line 401: has 3 columns instead of 6; correct"),
        (GOOD, {"delimiter": ";"}, "line 1: has 1 columns instead of 6; correct `delimiter:`"),
        (GOOD + "2024-03-02 10:00,1,2,x,1,5\n", {}, "line 401: low is 'x', which is no number"),
        (GOOD.replace(".0,", ",0;"), {"delimiter": ";"}, "columns instead of 6"),
        ("", {}, "it is empty; get the file again, or remove it"),
        ("time,open\n", {"columns": {n: n for n in ("time", "open", "high", "low", "close")}},
         "header: there is no column 'high' among time, open; correct `columns:`"),
        ("t,o,o,h,l,c\n", {"columns": dict(zip(("time", "open", "high", "low", "close"),
         "tohlc", strict=True))}, "header: two columns are called 'o'; list the columns in order"),
    ],
)  # fmt: skip
def test_text_that_is_not_as_declared_is_told_with_line_and_fix(
    folder: Path, text: str, options: dict[str, Any], told: str
) -> None:
    found = complaint(put(folder, text, **options))
    assert found.startswith(f"history: {folder}/SPY.csv: ")
    assert told in found


def test_text_in_another_encoding_is_told(folder: Path) -> None:
    columns = ["time", "open", "high", "low", "close", "symbol"]
    (folder / "all.csv").write_bytes("2024-03-01 10:00,1,1,1,1,Schluß\n".encode("latin-1"))
    with closing(opened(declared(folder / "all.csv", columns=columns))) as provider:
        (hole,) = provider.holdings("SPY", "etf", ALL).holes
    assert "correct `encoding:`" in str(hole.error)


# -- containers


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def zipped(data: bytes, name: str = "SPY.csv") -> bytes:
    import io

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return packed.getvalue()


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return packed


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zip": zipped,
    ".zst": zstd,
}


@pytest.mark.parametrize("suffix", PACKED)
def test_a_packed_file_holds_what_it_held_and_a_cut_one_nothing(folder: Path, suffix: str) -> None:
    file = folder / f"SPY.csv{suffix}"
    file.write_bytes(PACKED[suffix](GOOD.encode()))
    files = declared(folder / f"{{symbol}}.csv{suffix}")
    assert len(stamps(files)) == 400
    file.write_bytes(cut(file.read_bytes()))
    assert "it cannot be read: it is cut or damaged" in complaint(files)
    file.write_bytes(b"<html>not found</html>\n" * 9)
    assert "it cannot be read: it is cut or damaged" in complaint(files)


def test_a_damaged_byte_in_a_zip_is_noticed(folder: Path) -> None:
    data = bytearray(zipped(GOOD.encode()))
    data[len(data) // 2] ^= 0xFF
    (folder / "SPY.zip").write_bytes(bytes(data))
    assert "it is cut or damaged" in complaint(declared(folder / "{symbol}.zip"))


def test_a_zip_may_hold_a_member_for_each_symbol(folder: Path) -> None:
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for number, symbol in enumerate(("SPY", "QQQ")):
            archive.writestr(f"data/{symbol}.csv", lines(["2024-03-01 10:00"], 100 * number + 1))
        archive.writestr("data/readme.txt", "bars")
    files = declared(folder / "all.zip", member="data/{symbol}.csv")
    assert [bar["open"] for bar in bars(files)] == [1.0]
    assert [bar["open"] for bar in bars(files, "QQQ")] == [101.0]
    assert bars(files, "IWM") == []


def test_parquet_is_read_with_its_own_types(folder: Path) -> None:
    moment = at("2024-03-01T14:30")
    for kind, zone in ((pa.timestamp("ns", "UTC"), "UTC"), (pa.timestamp("ms"), "UTC")):
        plain = moment if kind.tz else moment.replace(tzinfo=None)
        table = pa.table(
            {
                "t": pa.array([plain, plain + timedelta(minutes=1)], kind),
                **{name: pa.array([1, 2], pa.int32()) for name in ("o", "h", "l", "c")},
            }
        )
        pyarrow.parquet.write_table(table, folder / "SPY.parquet")
        columns = {"time": "t", "open": "o", "high": "h", "low": "l", "close": "c"}
        files = declared(folder / "{symbol}.parquet", columns=columns, zone=zone)
        assert stamps(files) == [moment, moment + timedelta(minutes=1)]
    (folder / "SPY.parquet").write_bytes(cut((folder / "SPY.parquet").read_bytes()))
    assert "it is cut or damaged" in complaint(files)


@pytest.mark.parametrize("suffix", [".CHECKSUM", ".sha256"])
def test_a_file_is_held_against_its_checksum(folder: Path, suffix: str) -> None:
    files = put(folder, GOOD)
    beside = folder / f"SPY.csv{suffix}"
    beside.write_text(f"{hashlib.sha256(GOOD.encode()).hexdigest()}  SPY.csv\n")
    assert len(stamps(files)) == 400
    beside.write_text(f"{hashlib.sha256(b'other').hexdigest()}  SPY.csv\n")
    assert "as published; get the file again" in complaint(files)


# -- places


def test_files_may_be_anywhere_that_fsspec_reaches() -> None:
    store = fsspec.filesystem("memory")
    try:
        for day in ("01", "02"):
            data = gzip.compress(lines([f"2024-03-{day} 10:00"]).encode())
            store.pipe(f"/vendor/SPY/2024-03-{day}.csv.gz", data)
        files = declared("memory://vendor/{symbol}/{year}-{month}-{day}.csv.gz")
        assert stamps(files) == [at("2024-03-01T10:00"), at("2024-03-02T10:00")]
        store.pipe("/vendor/SPY/2024-03-01.csv.gz", data[:-4])
        with closing(opened(files)) as provider:
            held = provider.holdings("SPY", "etf", ALL)
        assert held.pieces == [span("2024-03-02", "2024-03-03")]
        assert len(held.holes) == 1
    finally:
        store.rm("/vendor", recursive=True)


def test_a_storage_whose_package_is_missing_is_told_with_its_name() -> None:
    with pytest.raises(Unsupported, match=r"s3fs.*install that package into \.venv"):
        opened(declared("s3://bucket/{symbol}.csv"))


def test_the_symbol_is_no_pattern(folder: Path) -> None:
    put(folder, GOOD, name="SPX.csv")
    with closing(opened(declared(folder / "{symbol}.csv"))) as provider:
        with pytest.raises(UnknownSymbol):
            provider.find_market("SP*", "etf")
        assert provider.find_market("SPX", "etf").symbol == "SPX"


def test_rows_of_another_day_than_the_name_says_discredit_the_file(folder: Path) -> None:
    (folder / "SPY_20240301.csv").write_text(lines(["2024-03-01 10:00", "2024-03-02 10:00"]))
    found = complaint(declared(folder / "{symbol}_{year}{month}{day}.csv"))
    assert "line 2: the bar of 2024-03-02 10:00 UTC is not of the period" in found
    assert "covers: rows" in found
    rows = declared(folder / "{symbol}_{year}{month}{day}.csv", covers="rows")
    assert len(stamps(rows)) == 2


def test_a_file_larger_than_a_block_is_read_to_its_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.providers.files_csv.BLOCK_BYTES", 4096)
    files = put(folder, lines(minutes("2024-02-28 10:00", 5000)))
    found = bars(files)
    assert len(found) == 5000
    assert [bar["line"] for bar in found] == list(range(1, 5001))
    assert found[-1]["ts"] == at("2024-02-28T10:00") + timedelta(minutes=4999)
