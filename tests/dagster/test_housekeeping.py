"""What is forgotten of real runs, in Dagster's database: nothing that is shown of assets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.events import DagsterEventType
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from pipeline.definitions import build_defs
from pipeline.orchestration.forgetting import KNOWN_COLUMNS, PASSING
from pipeline.orchestration.history import Forgotten, UnknownHistory, forget, history
from pipeline.store.cells import Cell
from tests.dagster.conftest import BARS, GAPS, HIGHER, Location
from venue import VenueProcess

JANUARY, FEBRUARY = Cell("BTC-USD", date(2024, 1, 1)), Cell("BTC-USD", date(2024, 2, 1))
FEBRUARY_2 = {"from": 1_706_832_000_000, "to": 1_706_835_600_000}
ASSETS = (BARS, GAPS, HIGHER)
SIZES = dg.AssetKey(["operations", "sizes"])
NEVER, LATER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

KEPT = {
    # what an asset page, a partition's status and a plot are made of
    "ASSET_MATERIALIZATION",
    "ASSET_OBSERVATION",
    "ASSET_CHECK_EVALUATION",
    "ASSET_FAILED_TO_MATERIALIZE",
    "ASSET_HEALTH_CHANGED",
    "ASSET_WIPED",
    "STEP_EXPECTATION_RESULT",
    "FRESHNESS_STATE_EVALUATION",
    # how a run ended, and why
    "PIPELINE_START",
    "PIPELINE_SUCCESS",
    "PIPELINE_FAILURE",
    "PIPELINE_CANCELING",
    "PIPELINE_CANCELED",
    "RUN_SUSPENDED",
    "RUN_RESUMED",
    "STEP_FAILURE",
    "STEP_SKIPPED",
    "STEP_UP_FOR_RETRY",
    "STEP_RESTARTED",
    "RESOURCE_INIT_FAILURE",
    "HOOK_COMPLETED",
    "HOOK_ERRORED",
    "HOOK_SKIPPED",
    "ALERT_START",
    "ALERT_SUCCESS",
    "ALERT_FAILURE",
    "ASSET_STORE_OPERATION",
    "CODE_LOCATION_UPDATED",
}
ONCE_REPLACED = {"ASSET_MATERIALIZATION_PLANNED", "FRESHNESS_STATE_CHANGE"}


@contextmanager
def tables(location: Location) -> Iterator[psycopg.Connection]:
    with history(location.database) as connection:
        yield connection


def prune(
    location: Location, *, details_before: datetime = LATER, runs_before: datetime = NEVER
) -> Forgotten:
    with tables(location) as connection:
        return forget(
            connection,
            details_before=details_before,
            runs_before=runs_before,
            delete_run=location.instance.delete_run,
            delete_output=lambda run: location.instance.compute_log_manager.delete_logs(
                prefix=[run]
            ),
            batch=3,
        )


def seen(location: Location) -> dict[str, Any]:
    """Return what Dagster's pages are made of: partitions, latest events, checks, last runs."""
    instance, defs = location.instance, build_defs()
    found: dict[str, Any] = {}
    for key in ASSETS:
        definition = defs.get_assets_def(key)
        cached = get_and_update_asset_status_cache_value(instance, key, definition.partitions_def)
        assert cached is not None
        assert definition.partitions_def is not None
        name = key.to_user_string()
        found[f"{name} materialized"] = instance.get_materialized_partitions(key)
        found[f"{name} failed"] = set(
            cached.deserialize_failed_partition_subsets(
                definition.partitions_def
            ).get_partition_keys()
        )
        found[f"{name} in progress"] = set(
            cached.deserialize_in_progress_partition_subsets(
                definition.partitions_def
            ).get_partition_keys()
        )
        for partition in found[f"{name} materialized"]:
            records = instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition]), limit=1
            ).records
            found[f"{name} {partition}"] = (records[0].storage_id, records[0].asset_materialization)
    checks = [check.key for one in ASSETS for check in defs.get_assets_def(one).check_specs]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
    found["checks"] = {check: (one.id, one.status, one.run_id) for check, one in latest.items()}
    found["last runs"] = {
        record.asset_entry.asset_key: record.asset_entry.last_run_id
        for record in instance.get_asset_records(list(ASSETS))
    }
    return found


def without_cache(location: Location) -> dict[str, Any]:
    """Return the same, made of the events alone."""
    with tables(location) as connection:
        connection.execute("UPDATE asset_keys SET cached_status_data = NULL")
    return seen(location)


def kinds_of(location: Location, run_id: str) -> set[str | None]:
    with tables(location) as connection:
        rows = connection.execute(
            "SELECT DISTINCT dagster_event_type FROM event_logs WHERE run_id = %s", [run_id]
        )
        return {kind for (kind,) in rows}


def count(location: Location, where: str = "true") -> int:
    with tables(location) as connection:
        row = connection.execute(f"SELECT count(*) FROM event_logs WHERE {where}".encode())
        return int((row.fetchone() or (0,))[0])


@pytest.fixture
def busy(location: Location, venue: VenueProcess) -> Location:
    """A location with a run that failed for one of two months, and one that succeeded after it."""
    text = location.universe_file.read_text().replace("start: 2024-01-01", "start: 2024-01-30")
    short = "{bitfinex: {symbol: BTC/USD, end: 2024-02-03}}"
    location.universe_file.write_text(text.replace("{bitfinex: BTC/USD}", short))
    location.sync()
    venue.post_fault("server_error", exchange="bitfinex", symbol="BTC-USD", **FEBRUARY_2)
    assert not location.run(JANUARY, FEBRUARY).success
    venue.clear_faults()
    assert location.run(JANUARY).success
    return location


def test_partitions_checks_and_metadata_are_shown_as_before_when_details_and_runs_are_forgotten(
    busy: Location,
) -> None:
    failed, good = sorted(busy.instance.get_runs(), key=lambda run: run.status.value)
    before, anew, events = seen(busy), without_cache(busy), count(busy)
    assert before["bitfinex/bars_1m materialized"] == {"BTC-USD|2024-01-01"}
    assert before["bitfinex/bars_1m failed"] == {"BTC-USD|2024-02-01"}
    assert anew == before

    # Young runs are left alone.
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    nothing = Forgotten(0, 0, 0)
    assert prune(busy, details_before=an_hour_ago, runs_before=an_hour_ago) == nothing
    assert count(busy) == events

    # Of old ones that succeeded the details go; what failed says why.
    of_failed = count(busy, f"run_id = '{failed.run_id}'")
    done = prune(busy)
    assert done.events > 15
    assert (done.outputs, done.runs) == (1, 0)
    assert count(busy) == events - done.events
    assert count(busy, f"run_id = '{failed.run_id}'") == of_failed
    assert kinds_of(busy, good.run_id) <= KEPT | {None}  # a line that warns
    home = Path(busy.instance.root_directory, "storage")
    assert [(home / run.run_id).exists() for run in (failed, good)] == [True, False]
    assert seen(busy) == before
    assert without_cache(busy) == before

    # Runs stay that have made, or failed to make, what nothing has replaced.
    assert prune(busy, runs_before=LATER) == nothing
    assert busy.run(FEBRUARY).success
    after = without_cache(busy)
    assert after["bitfinex/bars_1m failed"] == set()
    assert prune(busy, runs_before=LATER).runs == 1
    assert failed.run_id not in {run.run_id for run in busy.instance.get_runs()}
    assert count(busy, f"run_id = '{failed.run_id}'") == 0
    assert without_cache(busy) == after
    assert seen(busy) == after


def test_a_release_of_dagster_with_other_tables_is_left_alone(location: Location) -> None:
    with tables(location) as connection:
        connection.execute("ALTER TABLE event_logs RENAME partition TO partition_key")
    with pytest.raises(UnknownHistory, match=r"no event_logs\.partition: .*nothing of it was del"):
        prune(location)


def test_every_event_of_this_release_of_dagster_is_known_to_stay_or_to_go() -> None:
    kinds = {kind.value for kind in DagsterEventType}
    assert kinds == KEPT | set(PASSING) | ONCE_REPLACED
    assert not KEPT & set(PASSING)


def test_the_tables_of_this_release_of_dagster_are_those_that_are_known(
    location: Location,
) -> None:
    with tables(location) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name = ANY(%s)",
            [list(KNOWN_COLUMNS)],
        ).fetchall()
        references = connection.execute(
            "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint "
            "WHERE contype = 'f' AND confrelid IN ('runs'::regclass, 'event_logs'::regclass)"
        ).fetchall()
    columns = {name: {column for table, column in rows if table == name} for name in KNOWN_COLUMNS}
    # All of them, so that a new one is looked at: something may be built on it.
    assert columns == {
        "event_logs": KNOWN_COLUMNS["event_logs"],
        "runs": KNOWN_COLUMNS["runs"]
        | {"id", "snapshot_id", "pipeline_name", "mode", "run_body", "partition"}
        | {"partition_set", "create_timestamp", "start_time"},
        "asset_keys": KNOWN_COLUMNS["asset_keys"]
        | {"id", "last_materialization", "asset_details", "wipe_timestamp", "tags"}
        | {"last_materialization_timestamp", "create_timestamp", "cached_status_data"},
        "asset_check_executions": KNOWN_COLUMNS["asset_check_executions"]
        | {"execution_status", "evaluation_event", "evaluation_event_timestamp"}
        | {"evaluation_event_storage_id", "materialization_event_storage_id", "create_timestamp"},
    }
    assert references == [("run_tags", "runs")]


def run_job(location: Location, name: str) -> Any:
    job = build_defs().resolve_job_def(name)
    return job.execute_in_process(instance=location.instance, raise_on_error=False)


def test_the_jobs_run_and_say_what_they_did(location: Location) -> None:
    for days in (3, 0):
        assert run_job(location, "sizes").success
        with location.database.connect() as connection:
            connection.execute(
                "UPDATE ledger.size SET day = day - %s::integer, bytes = bytes / 2 WHERE %s > 0",
                [days, days],
            )
    (event,) = run_job(location, "sizes").asset_materializations_for_node("operations__sizes")
    shown = {name: value.value for name, value in event.metadata.items()}
    assert shown["dagster_mb"] > 0.5
    megabytes = shown["market_mb"] + shown["dagster_mb"]
    assert shown["mb_a_day"] == pytest.approx(megabytes / 6, rel=0.2)
    assert "| dagster | event_logs |" in shown["tables"]
    assert "| market | ledger.session_month |" in shown["tables"]
    assert location.stored("SELECT count(DISTINCT day) FROM market.sizes") == 2

    with location.database.connect() as connection:
        connection.execute("SELECT ledger.ensure_bars_month('2024-01-01')")
        connection.execute(
            "INSERT INTO ledger.bars_1m (listing_id, ts, open, high, low, close) "
            "SELECT min(id), ts, 1, 1, 1, 1 FROM ledger.listing, generate_series("
            "'2024-01-01', '2024-01-01 00:59'::timestamptz, '1 minute') AS ts GROUP BY ts"
        )
        connection.execute(
            "INSERT INTO ledger.fetch_log VALUES "
            "('gone', now() - interval '91 days', 'answered', 3, 7), "
            "('gone', now() - interval '89 days', 'answered', 3, 7)"
        )
    with tables(location) as connection:
        connection.execute("UPDATE runs SET end_time = end_time - 15 * 86400")
    done = run_job(location, "housekeeping")
    (event,) = done.asset_materializations_for_node("operations__housekeeping")
    shown = {name: value.value for name, value in event.metadata.items()}
    assert shown["events_deleted"] > 15
    assert (shown["outputs_deleted"], shown["runs_deleted"]) == (3, 0)
    assert shown["request_counts_deleted"] == 1
    assert location.stored("SELECT count(*) FROM ledger.fetch_log WHERE provider = 'gone'") == 1
    assert location.stored("SELECT reltuples FROM pg_class WHERE relname = 'bars_1m'") == 60
    assert shown["tables_counted"] >= 6
