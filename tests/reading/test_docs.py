"""What docs/reading.md shows is run as it stands there."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from pipeline.export import Exporter, Selection
from tests.reading.conftest import World

PAGE = (Path(__file__).parents[2] / "docs/reading.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@pytest.fixture
def exported(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with closing(Exporter(world.database, "bars")) as exporter:
        for target in exporter.targets(Selection()):
            exporter.export(target)
    return tmp_path / "bars"


def test_duckdb_reads_the_export_with_the_line_of_the_page(exported: Path, world: World) -> None:
    line = block("sql").strip()
    assert "\n" not in line

    rows = duckdb.connect().execute(line).fetchall()

    assert rows == world.execute(
        "SELECT listing, extract(year FROM ts)::bigint, count(*), max(high) FROM market.bars_1d"
        " WHERE provider = 'bitfinex' GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert len(rows) == 3


def test_duckdb_reads_every_value(exported: Path, world: World) -> None:
    read = (
        "SELECT epoch_us(ts), open, high, low, close, volume, vwap, trades, extended"
        " FROM read_parquet('bars/*/timeframe=1m/*/*.parquet', hive_partitioning = true)"
        " WHERE listing = 'SPY' ORDER BY ts"
    )
    assert duckdb.connect().execute(read).fetchall() == world.execute(
        "SELECT (extract(epoch FROM ts) * 1000000)::bigint, open, high, low, close, volume, vwap,"
        " trades, extended FROM market.bars_1m WHERE listing = 'SPY' ORDER BY ts"
    )


def test_the_manifest_is_where_the_page_says(exported: Path) -> None:
    path = next(exported.glob("*/timeframe=1m/*/SPY.parquet"))
    (query,) = re.findall(r"`(SELECT value FROM parquet_kv_metadata.*?)`", PAGE, re.DOTALL)

    ((value,),) = duckdb.connect().execute(query.replace("...", str(path))).fetchall()

    assert b'"listing": "SPY"' in value


def test_the_python_of_the_page_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINUTELEDGER_DATABASE_URL", world.database.url())
    names: dict[str, object] = {}

    exec(block("python"), names)

    assert len(names["latest"]) == 100  # type: ignore[arg-type]
    assert len(names["hours"]) == 48  # type: ignore[arg-type]
