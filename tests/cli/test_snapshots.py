"""`minuteledger snapshots`: keeping documents, from the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.fundamentals.registry import registry
from pipeline.settings import load_settings
from pipeline.snapshots.history import follow
from pipeline.snapshots.refreshing import read
from pipeline.store.database import Database
from pipeline.store.snapshots import keep
from pipeline.store.subjects import subjects
from tests.cli.conftest import Home
from tests.fundamentals import DAY
from tests.making import at
from tests.unit.fundamentals.making import fmp_income

UNIVERSE = """
start: 2024-01-01
providers: {fmp: {}}
snapshots: {month_ends: false}
instruments: {ACME: {class: equity, fundamentals: {fmp: ACME}}}
"""
START = at("2026-03-02")


@pytest.fixture(scope="module")
def keeper(make_home: Callable[[], Home]) -> Home:
    """A home with four documents about a company; the newest one in thousands."""
    made = make_home()
    made.write_universe(UNIVERSE)
    done = made.run("migrate")
    assert done.returncode == 0, done.stderr
    settings = load_settings(home=made.path / "home", universe=None, database_url=None)
    with Database.from_settings(settings).connect() as connection:
        (subject,) = subjects(connection)
        for day, revenue in enumerate([1200, 1210, 1220, 1_230_000]):
            moment = START + day * DAY
            payload = json.dumps([fmp_income(revenue=revenue, netIncome=100 + day)])
            fetched = read(subject, "income-statement", payload, moment)
            keep(connection, subject, fetched, registry().version)
            follow(connection, registry(), subject.instrument_id, moment)
    return made


def test_payloads_are_pruned_and_restored(keeper: Home) -> None:
    before = keeper.json("fundamentals", "ACME", "--at", "2026-03-03")
    planned = keeper.json("snapshots", "prune", "--dry-run")["pruned"]
    assert [one["fetched_at"] for one in planned] == ["2026-03-03T00:00:00Z"]
    assert "1 payloads pruned" in keeper.run("snapshots", "prune").stdout
    (one,) = keeper.json("snapshots", "pruned")
    assert (one["snapshot"], one["instrument"]) == (planned[0]["snapshot"], "ACME")
    assert keeper.json("fundamentals", "ACME", "--at", "2026-03-03") == before
    done = keeper.run("snapshots", "restore", "--pruned-at", one["pruned_at"])
    assert "1 payloads restored" in done.stdout
    assert "nothing like this was pruned" in keeper.run("snapshots", "restore", "--all").stderr


def test_documents_go_out_and_come_in(keeper: Home, tmp_path: Path) -> None:
    done = keeper.run("snapshots", "export", str(tmp_path))
    assert "4 files written" in done.stdout
    assert {one["outcome"] for one in keeper.json("snapshots", "import", str(tmp_path))} == {
        "there"
    }
    (tmp_path / "torn.json").write_text("{")
    done = keeper.run("snapshots", "import", str(tmp_path), "--dry-run")
    assert done.returncode == 1
    assert "torn.json is no snapshot" in done.stderr


def test_what_is_held_is_listed_accepted_and_read_again(keeper: Home) -> None:
    (one,) = keeper.json("snapshots", "held")
    assert (one["field"], one["old"], one["new"]) == ("revenue", 1220.0, 1_230_000.0)
    chosen = ("ACME", "--provider", "fmp", "--field", "revenue")
    done = keeper.run("snapshots", "accept", *chosen)
    assert "counts from 2026-03-05 00:00 UTC on" in done.stdout, done.stderr
    assert "annual 2025-12-31" in done.stdout
    assert keeper.json("snapshots", "held") == []
    assert keeper.json("snapshots", "reparse", "--all") == []
    assert keeper.run("snapshots", "accept", *chosen, "--undo").returncode == 0
    assert (
        "no revenue of ACME was accepted"
        in keeper.run("snapshots", "accept", *chosen, "--undo").stderr
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("held", "--provider", "fpm"), "fpm is not asked for .*did you mean fmp"),
        (("held", "--instrument", "ACNE"), "nobody is asked for .*did you mean ACME"),
        (("reparse", "--all", "--provider", "fpm"), "did you mean fmp"),
        (("export", "{folder}", "--instrument", "ACNE"), "did you mean ACME"),
        (("restore", "--instrument", "ACNE"), "did you mean ACME"),
        (("accept", "ACNE", "--provider", "fmp", "--field", "revenue"), "did you mean ACME"),
        (("accept", "ACME", "--provider", "fmp", "--field", "revenu"), "did you mean revenue"),
    ],
)
def test_a_name_that_is_misspelt_is_an_error_that_names_the_nearest(
    keeper: Home, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = keeper.run("snapshots", *(one.format(folder=tmp_path) for one in arguments))
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(said, done.stderr), done.stderr
