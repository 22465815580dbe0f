"""The code location as Dagster loads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.workspace.config_schema import ensure_workspace_config

from pipeline.aggregation import TIMEFRAME_SCHEMA
from pipeline.bars import BAR_SCHEMA
from pipeline.definitions import build_defs
from pipeline.settings import load_settings
from pipeline.universe import load_universe
from resources.partitions import missing_partitions
from tests.dagster.conftest import BARS, HIGHER, ROOT, Location

BIN = Path(sys.executable).parent
HEAVY = ("ccxt", "pandas", "pandera", "matplotlib", "alpaca", "yfinance")


def test_the_definitions_load(location: Location) -> None:
    dg.Definitions.validate_loadable(build_defs())


def test_an_asset_rides_in_one_run_with_its_likes(location: Location) -> None:
    bars = build_defs().get_assets_def(BARS)
    assert bars.backfill_policy == dg.BackfillPolicy.multi_run(max_partitions_per_run=60)
    assert bars.op.pool == "bitfinex"
    assert bars.group_names_by_key[BARS] == "bitfinex"


def test_the_partitions_are_listings_times_months_up_to_the_current_one(location: Location) -> None:
    partitions = build_defs().get_assets_def(BARS).partitions_def
    assert isinstance(partitions, dg.MultiPartitionsDefinition)
    names = [dimension.name for dimension in partitions.partitions_defs]
    assert names == ["listing", "month"]
    found = partitions.get_partition_keys(dynamic_partitions_store=location.instance)
    assert found[0] == "BTC-USD|2024-01-01"
    months = {key.partition("|")[2] for key in found}
    assert len(found) == 3 * len(months)
    assert max(months) == location.stored("SELECT date_trunc('month', now(), 'UTC')::date::text")


@pytest.mark.parametrize(
    ("asset", "view", "columns"),
    [
        (BARS, "market.bars_1m", 3 + len(BAR_SCHEMA) + 3),
        (HIGHER, "market.bars_1h", 3 + len(TIMEFRAME_SCHEMA) + 2),
    ],
)
def test_the_table_is_described_as_it_is(
    location: Location, asset: dg.AssetKey, view: str, columns: int
) -> None:
    metadata = build_defs().get_assets_def(asset).metadata_by_key[asset]
    schema = metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    described = [(column.name, column.type) for column in schema.columns]
    with location.database.connect() as connection:
        real = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
            [view],
        ).fetchall()
    types = {"timestamp with time zone": "timestamptz"}
    assert described == [(name, types.get(kind, kind)) for name, kind in real]
    assert len(described) == columns


def test_columns_follow_from_columns_that_there_are(location: Location) -> None:
    metadata = {spec.key: spec.metadata for spec in build_defs().resolve_all_asset_specs()}
    schemas = {key: each.get("dagster/column_schema") for key, each in metadata.items()}
    names = {
        key: {column.name for column in schema.columns}
        for key, schema in schemas.items()
        if isinstance(schema, dg.TableSchema)
    }
    assert names.keys() == metadata.keys() - {dg.AssetKey(["operations", "housekeeping"])}
    lineages = {key: each.get("dagster/column_lineage") for key, each in metadata.items()}
    found = {
        key: lineage.deps_by_column
        for key, lineage in lineages.items()
        if isinstance(lineage, dg.TableColumnLineage)
    }
    assert {key.path[-1] for key in found} == {"bars", "bars_1m"}
    assert {each.asset_key for each in found[HIGHER]["close"]} == {BARS}
    for key, columns in found.items():
        assert columns.keys() == names[key]
        for deps in columns.values():
            assert all(dep.column_name in names[dep.asset_key] for dep in deps)


def test_whatever_is_shown_says_what_it_is(location: Location) -> None:
    defs = build_defs()
    for spec in defs.resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.owners, spec.key
        assert "postgres" in spec.kinds, spec.key
    repository = defs.get_repository_def()
    described = {job.name: job.description for job in repository.get_all_jobs()}
    described |= {each.name: each.description for each in repository.schedule_defs}
    described |= {each.name: each.description for each in repository.sensor_defs}
    assert [name for name, said in described.items() if not said] == ["__ASSET_JOB"]


@pytest.mark.parametrize("others", ["", "bitfinex: , "])
def test_a_provider_without_bars_has_neither_assets_nor_jobs_nor_partitions_of_bars(
    others: str, tmp_path: Path
) -> None:
    file = tmp_path / "universe.yaml"
    file.write_text(
        f"start: 2024-01-01\nproviders: {{{others}fmp: , coingecko: }}\ninstruments:\n"
        "  AAPL: {class: equity, fundamentals: {fmp: AAPL}}\n"
    )
    universe = load_universe(file)
    defs = build_defs(settings=load_settings(home=tmp_path), universe=universe)
    dg.Definitions.validate_loadable(defs)
    keys = {spec.key.to_user_string() for spec in defs.resolve_all_asset_specs()}
    of_bars = {"bars_1m", "gaps", "bars", "markets"}
    having = {key.partition("/")[0] for key in keys if key.partition("/")[2] in of_bars}
    assert having == ({"bitfinex", "consolidated"} if others else set())
    jobs = {job.name for job in defs.resolve_all_job_defs() if job.name.startswith("heal")}
    assert jobs == ({"heal_bitfinex"} if others else set())
    with dg.instance_for_test() as instance:
        missing = missing_partitions(instance, universe)
    assert not {"fmp_listings", "coingecko_listings"} & missing.keys()


def test_an_invalid_universe_still_loads_and_says_what_is_wrong(location: Location) -> None:
    location.universe_file.write_text("start: soon\n")
    defs = build_defs()
    dg.Definitions.validate_loadable(defs)
    (spec,) = defs.resolve_all_asset_specs()
    assert "universe.yaml:1: start:" in (spec.description or "")
    assert defs.get_sensor_def("universe")


def test_loading_imports_no_provider_and_no_plotting(location: Location) -> None:
    code = f"import pipeline.definitions, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_dagsters_own_check_of_the_module_passes(location: Location) -> None:
    command = [str(BIN / "dagster"), "definitions", "validate", "-m", "pipeline.definitions"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_dagster_accepts_the_instances_file(location: Location) -> None:
    settings = location.instance.get_settings("concurrency")
    assert settings["pools"] == {"granularity": "run", "default_limit": 1}
    queue = location.instance.get_concurrency_config()
    assert queue.pool_config.pool_granularity is not None
    assert location.instance.run_monitoring_enabled
    assert not location.instance.telemetry_enabled


def test_dagster_accepts_the_workspace_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINUTELEDGER_CODE_PORT", "4266")
    file = ROOT / "workspace.yaml"
    config = ensure_workspace_config(yaml.safe_load(file.read_text()), str(file))
    assert config["load_from"] == [
        {"grpc_server": {"host": "127.0.0.1", "port": 4266, "location_name": "minuteledger"}}
    ]
