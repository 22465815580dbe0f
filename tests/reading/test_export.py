"""Exported files: whole or not there, up to date, and what the ledger has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.export import Exported, Exporter, Selection
from pipeline.folders import DestinationError, Folder
from pipeline.intervals import MINUTE
from pipeline.parquet import Manifest, checksum, encoded
from pipeline.reading import connect
from pipeline.store.database import Database
from pipeline.store.series import UnknownListing, UnknownTimeframe
from tests.making import at, bar, span, table
from tests.reading.conftest import DAY, YEAR_END, World, minutes

MINUTES = Selection(listings=["BTC-USD"], timeframes=["1m"])


def export(world: World | Database, to: object, selection: Selection = MINUTES) -> list[Exported]:
    database = world if isinstance(world, Database) else world.database
    with closing(Exporter(database, str(to))) as exporter:
        done = [exporter.export(target) for target in exporter.targets(selection)]
    return [one for one in done if one is not None]


def outcomes(done: list[Exported]) -> dict[tuple[str, int], str]:
    return {(one.timeframe, one.year): one.outcome for one in done}


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All files with the inode and the bytes of each."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): (p.stat().st_ino, p.read_bytes()) for p in found}


def read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist()
    return rows


def test_files_hold_what_the_views_show(world: World, tmp_path: Path) -> None:
    done = export(world, tmp_path, Selection())

    with connect(world.database.url()) as ledger:
        for timeframe in ("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "1mo"):
            for listing in ("BTC-USD", "SPY"):
                pattern = f"provider=bitfinex/timeframe={timeframe}/year=*/{listing}.parquet"
                found = [row for path in sorted(tmp_path.glob(pattern)) for row in read(path)]
                bars = ledger.arrow.bars(listing, timeframe, provider="bitfinex").to_pylist()
                assert found == [{"listing": listing, **row} for row in bars]
                assert found
    assert {one.outcome for one in done} == {"written"}
    assert sorted(files(tmp_path)) == sorted(one.path for one in done)
    assert sum(one.rows for one in done if one.timeframe == "1m") == len(minutes(YEAR_END)) + len(
        minutes(DAY)
    )


def test_years_are_of_utc_and_a_bar_is_in_the_one_it_begins_in(
    world: World, tmp_path: Path
) -> None:
    done = export(world, tmp_path, Selection(listings=["BTC-USD"], timeframes=["1m", "1w"]))

    assert set(outcomes(done)) == {("1m", 2023), ("1m", 2024), ("1w", 2023), ("1w", 2024)}
    for one in done:
        assert {row["ts"].year for row in read(tmp_path / one.path)} == {one.year}


def test_minutes_outside_of_the_session_are_marked(world: World, tmp_path: Path) -> None:
    (one,) = export(world, tmp_path, Selection(listings=["SPY"], timeframes=["1m"]))

    rows = {row["ts"]: row["extended"] for row in read(tmp_path / one.path)}
    assert rows[at("2024-03-04T14:29")]
    assert not rows[at("2024-03-04T14:30")]
    assert sum(rows.values()) == 128


def test_a_second_export_writes_nothing(changing: World, tmp_path: Path) -> None:
    export(changing, tmp_path, Selection())
    before = files(tmp_path)

    again = export(changing, tmp_path, Selection())

    assert {one.outcome for one in again} == {"kept"}
    assert files(tmp_path) == before


def test_a_year_that_gets_more_bars_is_replaced_and_no_other(
    changing: World, tmp_path: Path
) -> None:
    export(changing, tmp_path)
    before = files(tmp_path)
    day = span("2024-01-20", "2024-01-21")
    changing.put("bitfinex", "BTC-USD", day, minutes(day))

    done = export(changing, tmp_path)

    assert outcomes(done) == {("1m", 2023): "kept", ("1m", 2024): "written"}
    after = files(tmp_path)
    assert [path for path in before if before[path] != after[path]] == [done[1].path]
    assert len(read(tmp_path / done[1].path)) == done[1].rows
    assert read(tmp_path / done[1].path)[-1]["ts"] == day.end - MINUTE


def test_a_year_in_which_a_bar_was_revised_is_replaced(changing: World, tmp_path: Path) -> None:
    export(changing, tmp_path)
    ts = at("2024-01-01T00:01")
    changing.put("bitfinex", "BTC-USD", span("2024-01-01T00:01", "2024-01-01T00:02"), [bar(ts, 7)])

    done = export(changing, tmp_path)

    assert outcomes(done) == {("1m", 2023): "kept", ("1m", 2024): "written"}
    assert next(r for r in read(tmp_path / done[1].path) if r["ts"] == ts)["close"] == 7


def test_built_bars_are_replaced_when_they_follow_their_minutes(
    changing: World, tmp_path: Path
) -> None:
    chosen = Selection(listings=["BTC-USD"], timeframes=["1m", "1h"], since=at("2024-01-01"))
    export(changing, tmp_path, chosen)
    ts = at("2024-01-01T00:01")
    changing.put("bitfinex", "BTC-USD", span("2024-01-01T00:01", "2024-01-01T00:02"), [bar(ts, 7)])

    not_built = export(changing, tmp_path, chosen)
    changing.build()
    built = export(changing, tmp_path, chosen)

    assert outcomes(not_built) == {("1m", 2024): "written", ("1h", 2024): "kept"}
    assert outcomes(built) == {("1m", 2024): "kept", ("1h", 2024): "written"}


def test_bars_that_are_no_longer_there_are_removed(changing: World, tmp_path: Path) -> None:
    chosen = Selection(listings=["BTC-USD"], timeframes=["1d"], since=at("2024-01-01"))
    (one,) = export(changing, tmp_path, chosen)
    changing.execute("DELETE FROM ledger.bars_1d")

    assert outcomes(export(changing, tmp_path, chosen)) == {("1d", 2024): "removed"}
    assert not (tmp_path / one.path).exists()
    assert export(changing, tmp_path, chosen) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "removed", "another's", "text"])
def test_a_file_that_is_not_as_it_was_written_is_written_again(
    world: World, tmp_path: Path, damage: str
) -> None:
    first, second = export(world, tmp_path)
    path = tmp_path / first.path
    whole = path.read_bytes()
    middle = len(whole) // 2
    spoiled = {
        "cut": whole[:-100],
        "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "emptied": b"",
        "another's": (tmp_path / second.path).read_bytes(),
        "text": b"PAR1 not at all PAR1",
    }
    path.unlink() if damage == "removed" else path.write_bytes(spoiled[damage])

    done = export(world, tmp_path)

    assert outcomes(done) == {("1m", 2023): "written", ("1m", 2024): "kept"}
    assert path.read_bytes() == whole


def test_keys_that_no_path_can_have_are_quoted(changing: World, tmp_path: Path) -> None:
    day = span("2024-01-05", "2024-01-06")
    changing.put("kraken", "ES=F", day, minutes(day))
    changing.execute("UPDATE ledger.listing SET key = '^A/../B:C d%' WHERE key = 'ES=F'")

    (one,) = export(changing, tmp_path, Selection(providers=["kraken"], timeframes=["1m"]))

    assert one.path.endswith("year=2024/%5EA%2F..%2FB%3AC%20d%25.parquet")
    assert one.listing == read(tmp_path / one.path)[0]["listing"] == "^A/../B:C d%"
    assert outcomes(
        export(changing, tmp_path, Selection(providers=["kraken"], timeframes=["1m"]))
    ) == {("1m", 2024): "kept"}


def test_two_exports_at_once_write_each_file_once(world: World, tmp_path: Path) -> None:
    found: list[Exported] = []
    threads = [
        threading.Thread(target=lambda: found.extend(export(world, tmp_path, Selection())))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    written = [one.path for one in found if one.outcome == "written"]
    assert len(found) == 3 * len(written)
    assert sorted(written) == sorted(files(tmp_path))


@pytest.fixture
def memory() -> Iterator[str]:
    url = f"memory://{uuid4().hex}"
    yield url
    files, root = fsspec.core.url_to_fs(url)
    files.rm(root, recursive=True)


def test_any_kind_of_file_will_do(world: World, memory: str) -> None:
    done = export(world, memory)

    assert {one.outcome for one in done} == {"written"}
    assert {one.outcome for one in export(world, memory)} == {"kept"}
    system, root = fsspec.core.url_to_fs(memory)
    with system.open(f"{root}/{done[0].path}") as file:
        assert pq.read_table(file).num_rows == done[0].rows
    assert [path for path in system.find(root) if "_partial" in path] == []


def test_an_analyst_may_export(world: World, analyst: str, tmp_path: Path) -> None:
    database = Database(world.database.server, analyst)

    assert {one.outcome for one in export(database, tmp_path)} == {"written"}


def test_names_that_are_not_there_are_told(world: World, tmp_path: Path) -> None:
    for chosen in (Selection(["binance"]), Selection(listings=["BTC"])):
        with pytest.raises(UnknownListing, match=r"bitfinex|BTC-USD"):
            export(world, tmp_path, chosen)
    with pytest.raises(UnknownTimeframe, match="1h"):
        export(world, tmp_path, Selection(timeframes=["2h"]))
    with pytest.raises(DestinationError, match="rubbish"):
        export(world, "rubbish://user:secret@host/x")


def test_what_cannot_be_written_is_told_and_nothing_is_lost(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(DestinationError, match=r"cannot .* there: Not a directory"):
        export(world, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "in the way"


class Spoiling(Folder):
    """A place that keeps other bytes than it was given."""

    def _put(self, path: str, data: bytes) -> None:
        super()._put(path, data[:-200] + bytes(100) + data[-100:])


def test_a_file_that_comes_back_different_replaces_nothing(tmp_path: Path) -> None:
    rows = table(minutes(DAY))
    manifest = Manifest("p", "l", "1m", 2024, rows.num_rows, checksum(rows), "1")
    Folder(str(tmp_path)).write("a/b.parquet", encoded(rows, manifest))
    before = files(tmp_path)

    with pytest.raises(DestinationError, match=r"a/b\.parquet came back different"):
        Spoiling(str(tmp_path)).write("a/b.parquet", encoded(rows, manifest))

    assert files(tmp_path) == before


def test_checksums_are_of_values_and_not_of_how_they_are_stored() -> None:
    whole = table(minutes(DAY))
    pieces = pa.concat_tables([whole.slice(0, 7), whole.slice(7)])
    other = whole.to_pylist()
    other[5]["trades"] = None if other[5]["trades"] is not None else 0

    assert checksum(pieces) == checksum(whole)
    assert checksum(table(other)) != checksum(whole)
    assert checksum(whole.rename_columns([*"abcdefgh"])) != checksum(whole)


def test_only_what_was_abandoned_long_ago_is_forgotten(tmp_path: Path) -> None:
    folder, partial = Folder(str(tmp_path)), tmp_path / "_partial"
    folder.forget_abandoned()
    partial.mkdir()
    for name, age in (("old", timedelta(days=2)), ("new", timedelta(hours=2))):
        (partial / name).write_text("x")
        then = time.time() - age.total_seconds()
        os.utime(partial / name, (then, then))

    folder.forget_abandoned()

    assert [path.name for path in partial.iterdir()] == ["new"]


def test_a_killed_export_leaves_whole_files_and_is_gone_on_with(
    world: World, tmp_path: Path
) -> None:
    right = tmp_path / "right"
    export(world, right, Selection())
    left = tmp_path / "left"
    code = (
        "import sys; from pathlib import Path\n"
        "from pipeline.store.database import Database\n"
        "from pipeline.store.server import EmbeddedServer\n"
        "from tests.reading.test_export import Selection, export\n"
        "server = EmbeddedServer(Path('/nonexistent'))\n"
        "export(Database(server, sys.argv[1]), sys.argv[2], Selection())\n"
    )
    command = [sys.executable, "-c", code, world.database.url(), str(left)]
    process = subprocess.Popen(command)
    while not list(left.glob("provider=*/*/*/*.parquet")) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()

    whole = {path: data for path, (_, data) in files(right).items()}
    for path, (_, data) in files(left).items():
        assert path.startswith("_partial/") or data == whole[path]
    with psycopg.connect(world.database.url()) as connection:
        for _ in range(100):
            held = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            if held.fetchone() == (0,):
                break
            time.sleep(0.1)
    export(world, left, Selection())
    finished = {p: d for p, (_, d) in files(left).items() if not p.startswith("_partial/")}
    assert finished == whole
