"""A run of Dagster that is killed twice: what is stored, and what Dagster believes of it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from psycopg import sql

from pipeline.definitions import build_defs
from pipeline.settings import load_settings
from pipeline.store.database import Database
from pipeline.universe import load_universe
from resources.partitions import sync_partitions, to_key
from tests.drills import evidence, moments
from tests.drills.processes import (
    COMPLETE,
    INCOMPLETE,
    KILLED,
    Job,
    download_and_judge,
    ended,
    run,
    started,
    until,
)
from tests.drills.worlds import PROVIDER, SMALL
from venue import VenueProcess

ROOT = Path(__file__).resolve().parents[2]
BARS = dg.AssetKey([PROVIDER, "bars_1m"])


def materialize(job: Job) -> None:
    """Materialize all cells in one run, as a run's process does, and end with an exit code."""
    cells = job.world.cells()
    with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance:
        sync_partitions(instance, load_universe(load_settings().universe_path))
        done = (
            build_defs()
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(
                instance=instance,
                asset_selection=[BARS],
                tags={
                    "dagster/asset_partition_range_start": to_key(cells[0]),
                    "dagster/asset_partition_range_end": to_key(cells[-1]),
                },
                raise_on_error=False,
            )
        )
    sys.exit(COMPLETE if done.success else INCOMPLETE)


@pytest.fixture
def environment(
    database: Database, fresh: VenueProcess, tmp_path: Path
) -> Iterator[dict[str, str]]:
    """What a run's process finds: a home, a universe, and two databases."""
    assert database.external_url is not None
    name = database.dagster_name
    identifier = sql.Identifier(name)
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    universe = tmp_path / "universe.yaml"
    universe.write_text(json.dumps(SMALL.document(f"{fresh.url}/{PROVIDER}", 40)))
    with psycopg.connect(database.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
        yield {
            "DAGSTER_HOME": str(home),
            "MINUTELEDGER_HOME": str(tmp_path),
            "MINUTELEDGER_UNIVERSE": str(universe),
            "MINUTELEDGER_DATABASE_URL": database.external_url,
            "MINUTELEDGER_DAGSTER_URL": database.url(name).replace("://", "+psycopg2://", 1),
        }
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


def test_a_run_killed_twice_is_completed_by_a_third_that_asks_only_for_the_rest(
    database: Database,
    undisturbed: Database,
    environment: dict[str, str],
    fresh: VenueProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for ledger in (database, undisturbed):
        SMALL.enter(ledger)
    assert run(Job.of(undisturbed, fresh.url, SMALL), download_and_judge) == COMPLETE
    fresh.clear_requests()
    job = replace(Job.of(database, fresh.url, SMALL), environment=environment)

    with started(job, materialize) as process:
        # The first of four cells is stored and the second is being asked for.
        until(lambda: any(evidence.settled(database).values()), process)
        seen = evidence.how_many(fresh)
        until(lambda: evidence.how_many(fresh) >= seen + 5, process)
        process.kill()
        assert ended(process) == KILLED
    first = evidence.settled(database)
    evidence.check_sums(database)

    fresh.clear_requests()
    with started(job, materialize) as process, moments.held(database, moments.COPIED) as holder:
        moments.kill_at(database, moments.COPIED, process, holder)
    assert evidence.overlaps(evidence.asked(fresh, SMALL), first) == []
    second = evidence.settled(database)
    evidence.check_sums(database)

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
        assert instance.get_materialized_partitions(BARS) == set()
        fresh.clear_requests()
        with started(job, materialize) as process:
            assert ended(process) == COMPLETE
        assert evidence.overlaps(evidence.asked(fresh, SMALL), second) == []
        keys = {str(to_key(cell)) for cell in SMALL.cells()}
        assert instance.get_materialized_partitions(BARS) == keys
    found = evidence.tables(database)
    assert evidence.differences(found, evidence.tables(undisturbed)) == []
    evidence.check_truth(database, fresh, SMALL)
