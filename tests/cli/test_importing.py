"""`import`: somebody's files, through real Dagster processes, and what is told before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Home
from tests.files.conftest import lines, minutes

pytestmark = pytest.mark.long

UNIVERSE = """
start: 2024-01-01
providers:
  history:
    client: files
    files:
      path: '{folder}/{{symbol}}-{{year}}-{{month}}.csv'
      columns: [time, open, high, low, close, volume]
      zone: UTC
      stamp: start
instruments:
  SPY: {{class: etf, session: 24x7, listings: {{history: {{symbol: SPY, end: 2024-04-01}}}}}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vendor")
    for month in ("01", "03"):
        (folder / f"SPY-2024-{month}.csv").write_text(lines(minutes(f"2024-{month}-10 10:00", 50)))
    return folder


@pytest.fixture(scope="module")
def owner(make_home: Callable[[], Home], folder: Path) -> Iterator[Home]:
    made = make_home()
    made.write_universe(UNIVERSE.format(folder=folder))
    yield made
    made.end()


def test_a_dry_run_needs_no_ledger_and_makes_none(owner: Home, folder: Path) -> None:
    (told,) = owner.json("import", "--dry-run")
    assert told["files"] == 2
    assert (told["rows"], told["months"], told["new"]) == (100, 2, 100)
    assert (told["first"], told["last"]) == ("2024-01-10T10:00:00Z", "2024-03-10T10:49:00Z")
    assert told["uncovered"] == 29 * 1440
    assert f"{folder}/SPY-2024-02.csv" in told["lacks"][0]
    assert owner.run("import", "--dry-run").returncode == 1
    assert not (owner.path / "home" / "postgres").exists()


def test_files_are_imported_noticed_when_they_change_and_compared(
    owner: Home, folder: Path
) -> None:
    done = owner.run("import")
    assert done.returncode == 1
    assert "SPY-2024-02.csv" in done.stdout + done.stderr
    (told,) = owner.json("import", "--dry-run")
    assert (told["new"], told["equal"], told["different"]) == (0, 100, 0)
    (folder / "SPY-2024-02.csv").write_text(lines(minutes("2024-02-10 10:00", 50)))
    january = folder / "SPY-2024-01.csv"
    january.write_text(january.read_text().replace("10:07,107.0,", "10:07,107.5,"))
    (told,) = owner.json("import", "--dry-run")
    assert (told["new"], told["equal"], told["different"]) == (50, 99, 1)
    # A repair looks at the files, too, and needs no Dagster for it.
    done = owner.run("heal", "--provider", "history")
    assert done.returncode == 0, done.stdout + done.stderr
    (told,) = owner.json("import", "--dry-run")
    assert (told["new"], told["equal"], told["different"], told["lacks"]) == (0, 150, 0, [])
    assert owner.run("status", "--check").returncode == 0
    assert len(owner.json("revisions")["revisions"]) == 1


def test_import_wants_a_provider_of_files(owner: Home) -> None:
    done = owner.run("import", "nobody", "--dry-run")
    assert done.returncode == 2
    assert owner.run("import", "--json").returncode == 2
