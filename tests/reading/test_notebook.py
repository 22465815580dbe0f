"""The notebook of the docs runs as it stands there, and what it finds is what the ledger says."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from pipeline.store.database import Database

FILE = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
STATE = """
import json
print(json.dumps({
    "percent": coverage.loc[(PROVIDER, LISTING), "percent"],
    "reasons": sorted(gaps["reason"].unique()),
    "day": day["ts"].isoformat(),
    "minutes": len(minutes),
    "volume": minutes["volume"].sum(),
    "hours": len(hours),
    "pale": int((~hours["complete"]).sum()),
    "shaded": sorted(shaded["minutes"].tolist()),
    "before_noon": [moment.isoformat() for moment in before_noon["ts"]],
    "carried": carried,
    "realised": realised,
    "returns": returns.dropna().tolist(),
    "profile": profile.to_dict(),
    "months": months[["bars", "open", "high", "low", "close"]].values.tolist(),
}))
"""


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    read: nbformat.NotebookNode = nbformat.reads(FILE.read_text(), as_version=4)
    return read


@pytest.fixture(scope="module")
def ran(
    stocked: Database, notebook: nbformat.NotebookNode, tmp_path_factory: pytest.TempPathFactory
) -> nbformat.NotebookNode:
    """The notebook after all its cells were run in a kernel, and what its names are then."""
    home = tmp_path_factory.mktemp("notebook")
    copy = deepcopy(notebook)
    copy.cells.append(nbformat.v4.new_code_cell(STATE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINUTELEDGER_HOME", str(home))
        patch.setenv("MINUTELEDGER_DATABASE_URL", stocked.url())
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(home / name.lower()))
        client = NotebookClient(copy, timeout=120, resources={"metadata": {"path": str(home)}})
        return client.execute()


@pytest.fixture(scope="module")
def state(ran: nbformat.NotebookNode) -> dict[str, Any]:
    """Some of its names in the end."""
    found: dict[str, Any] = json.loads(ran.cells[-1].outputs[-1].text)
    return found


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(query.encode()).fetchall()


BTC = "provider = 'bitfinex' AND listing = 'BTC-USD'"
DAY = "ts >= '2024-03-07' AND ts < '2024-03-08'"


def test_it_is_kept_without_outputs(notebook: nbformat.NotebookNode) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    nbformat.validate(notebook)
    assert 10 <= len(code) <= 14
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert {cell.execution_count for cell in code} == {None}
    assert {key for cell in notebook.cells for key in cell.metadata} == set()
    assert notebook.metadata.keys() == {"kernelspec", "language_info"}


def test_every_cell_runs_without_a_warning_and_shows_what_it_is_for(
    ran: nbformat.NotebookNode,
) -> None:
    shown: dict[str, list[str]] = {}
    for cell in ran.cells[:-1]:
        if cell.cell_type == "code":
            # The first import of Matplotlib may tell that it looks for fonts.
            told = [out.text for out in cell.outputs if out.get("name") == "stderr"]
            assert not [text for text in told if "Warning" in text]
            shown[cell.id] = [kind for out in cell.outputs for kind in out.get("data", ["text"])]
    pictures = {name for name, kinds in shown.items() if "image/png" in kinds}
    assert pictures == {"day", "candles", "returns", "profile"}
    tables = {name for name, kinds in shown.items() if "text/html" in kinds}
    assert tables == {"coverage", "gaps", "longer", "newest", "export"}
    assert shown["filled"] == ["text"]


def test_what_is_there_is_what_the_views_say(state: dict[str, Any], stocked: Database) -> None:
    ((percent,),) = rows(
        stocked,
        "SELECT 100 * sum(bars + empty)::float / sum(expected)::float"
        f" FROM market.coverage WHERE {BTC}",
    )
    assert state["percent"] == pytest.approx(percent)
    assert state["reasons"] == ["failed", "pending"]


def test_the_day_is_the_last_whole_one(state: dict[str, Any], stocked: Database) -> None:
    query = f"SELECT count(*), sum(volume) FROM market.bars_1m WHERE {BTC} AND {DAY}"
    ((count, volume),) = rows(stocked, query)
    assert state["day"] == "2024-03-07T00:00:00+00:00"
    assert (state["minutes"], state["volume"]) == (count, pytest.approx(volume))
    assert count == 1440 - 24 * 9
    assert state["before_noon"] == [f"2024-03-07T11:{m}:00+00:00" for m in (54, 55, 56, 57, 58)]


def test_hours_and_what_is_shaded_after_them(state: dict[str, Any], stocked: Database) -> None:
    ((hours, pale),) = rows(
        stocked,
        f"SELECT count(*), count(*) FILTER (WHERE NOT complete) FROM market.bars_1h WHERE {BTC}",
    )
    assert (state["hours"], state["pale"]) == (hours, pale) == (7 * 24 + 10, 0)
    [failed, pending] = state["shaded"]
    assert failed == 120
    assert pending > 24 * 60


def test_what_is_carried_on_is_counted_and_the_days_volatility_is_that_of_its_minutes(
    state: dict[str, Any], stocked: Database
) -> None:
    ((present,),) = rows(stocked, f"SELECT count(*) FROM market.bars_1m WHERE {BTC} AND {DAY}")
    # The last bar at or before each fifth minute, if the day has one.
    ((realised,),) = rows(
        stocked,
        f"""
        WITH price AS (
            SELECT five, (SELECT close FROM market.bars_1m WHERE {BTC} AND ts >= '2024-03-07'
                          AND ts <= five ORDER BY ts DESC LIMIT 1) AS close
            FROM generate_series(timestamptz '2024-03-07', '2024-03-07 23:55', '5 min') AS five
        ), change AS (
            SELECT ln(close / lag(close) OVER (ORDER BY five)) AS change FROM price
        )
        SELECT sqrt(sum(change ^ 2)) FROM change
        """,
    )
    assert state["carried"] == pytest.approx(1 - present / 1440)
    assert state["realised"] == pytest.approx(realised)
    assert realised > 0


def test_returns_are_those_of_complete_days(state: dict[str, Any], stocked: Database) -> None:
    found = rows(
        stocked,
        "SELECT ln(close / lag(close) OVER (ORDER BY ts)) FROM market.bars_1d"
        f" WHERE {BTC} AND ts < '2024-03-08' ORDER BY ts",
    )
    assert state["returns"] == pytest.approx([change for (change,) in found[1:]])
    assert len(state["returns"]) == 6


def test_the_profile_is_that_of_the_sessions_minutes(
    state: dict[str, Any], stocked: Database
) -> None:
    found = rows(
        stocked,
        """
        WITH half AS (
            SELECT date_bin('30 min', ts, '2024-06-03 13:30') AS half, sum(volume) AS volume
            FROM market.bars_1m WHERE listing = 'NVDA' AND NOT extended GROUP BY 1
        ), share AS (
            SELECT half, volume / sum(volume) OVER (PARTITION BY half::date) AS share FROM half
        )
        SELECT to_char(half AT TIME ZONE 'America/New_York', 'HH24:MI'), avg(share)
        FROM share GROUP BY 1 ORDER BY 1
        """,
    )
    assert len(found) == 13
    assert state["profile"] == pytest.approx(dict(found))
    assert next(iter(state["profile"])) == "09:30"


def test_duckdb_finds_in_the_files_what_the_ledger_has(
    state: dict[str, Any], stocked: Database
) -> None:
    found = rows(
        stocked,
        "SELECT count(*), (array_agg(open ORDER BY ts))[1], max(high), min(low),"
        f" (array_agg(close ORDER BY ts DESC))[1] FROM market.bars_1h WHERE {BTC}",
    )
    assert state["months"] == [list(row) for row in found]
