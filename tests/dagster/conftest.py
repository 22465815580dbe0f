"""A real Dagster instance on a real PostgreSQL, beside the ledger; a venue without limits."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from psycopg import sql

from pipeline.definitions import build_defs
from pipeline.orchestration.instance import DEFAULTS
from pipeline.store.cells import Cell
from pipeline.store.database import Database
from pipeline.store.listings import sync_universe
from pipeline.store.server import EmbeddedServer
from pipeline.universe import Universe, load_universe
from resources.downloads import DownloadsResource
from resources.partitions import to_key
from sensors.universe import sync_instance
from venue import VenueProcess

ROOT = Path(__file__).resolve().parents[2]
BARS = dg.AssetKey(["bitfinex", "bars_1m"])
GAPS = dg.AssetKey(["bitfinex", "gaps"])
HIGHER = dg.AssetKey(["bitfinex", "bars"])
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

VENUE: dict[str, Any] = {
    "exchanges": {
        "bitfinex": {
            "requests_per_second": 0,
            "markets": {
                "BTC-USD": {"listed_at": "2024-01-06T08:00:00Z", "price": 60000, "quiet": 0.1},
                "ETH-USD": {"listed_at": "2024-02-10T12:00:00Z", "price": 3000, "quiet": 0.3},
                "ZEC-USD": {"listed_at": "2024-01-06T08:00:00Z", "price": 40, "quiet": 0.9},
            },
        }
    }
}

UNIVERSE = """
start: 2024-01-01
providers:
  bitfinex:
    base_url: {url}/bitfinex
    limits: {{requests: 6000, seconds: 1}}
instruments:
  BTC-USD: {{class: crypto_spot, listings: {{bitfinex: BTC/USD}}}}
  ETH-USD: {{class: crypto_spot, listings: {{bitfinex: ETH/USD}}}}
  ZEC-USD: {{class: crypto_spot, listings: {{bitfinex: {{symbol: ZEC/USD, end: 2024-03-01}}}}}}
"""

_numbers = count(1)


def dagster_url(server: EmbeddedServer, name: str) -> str:
    """Return the URL as dagster.yaml wants it."""
    return server.url(name).replace("postgresql://", "postgresql+psycopg2://")


@pytest.fixture(scope="session")
def markets() -> Iterator[VenueProcess]:
    with VenueProcess(VENUE) as process:
        yield process


@pytest.fixture
def venue(markets: VenueProcess) -> VenueProcess:
    """A venue without limits and faults."""
    markets.clear_faults()
    markets.clear_requests()
    return markets


@pytest.fixture
def universe_file(tmp_path: Path, venue: VenueProcess) -> Path:
    file = tmp_path / "universe.yaml"
    file.write_text(UNIVERSE.format(url=venue.url))
    return file


@pytest.fixture(scope="session")
def dagster_template(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of a database with Dagster's tables, to copy."""
    name = "dagster_template"
    home = tmp_path_factory.mktemp("dagster")
    shutil.copy(ROOT / "dagster.yaml", home)
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINUTELEDGER_DAGSTER_URL", dagster_url(server, name))
        with dg.DagsterInstance.from_config(str(home)):
            pass
    return name


@pytest.fixture
def dagster_database(server: EmbeddedServer, dagster_template: str) -> str:
    """URL of a database of the test's own for Dagster, as dagster.yaml wants it."""
    name = f"dagster_{next(_numbers)}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(dagster_template)
            )
        )
    return dagster_url(server, name)


@pytest.fixture
def environment(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    database: Database,
    dagster_database: str,
    universe_file: Path,
) -> Path:
    """The environment that the processes run in; returns DAGSTER_HOME."""
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    monkeypatch.setenv("MINUTELEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("MINUTELEDGER_UNIVERSE", str(universe_file))
    monkeypatch.setenv("MINUTELEDGER_DATABASE_URL", database.url())
    monkeypatch.setenv("MINUTELEDGER_DAGSTER_URL", dagster_database)
    monkeypatch.setenv("MINUTELEDGER_SENSORS", "stopped")  # what is launched, the test launches
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    for name, value in DEFAULTS.items():
        monkeypatch.setenv(name, value)
    return home


@pytest.fixture
def instance(environment: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(environment)) as instance:
        yield instance


@dataclass
class Location:
    """The code location, its instance, and the ledger, brought in step with each other."""

    instance: dg.DagsterInstance
    database: Database
    universe_file: Path

    @property
    def universe(self) -> Universe:
        return load_universe(self.universe_file)

    def sync(self) -> None:
        with self.database.connect() as connection:
            sync_universe(connection, self.universe)
        sync_instance(self.instance, self.universe)

    def run(
        self,
        first: Cell,
        last: Cell | None = None,
        assets: Sequence[dg.AssetKey] = (BARS, GAPS, HIGHER),
        **config: object,
    ) -> Any:
        """Materialize the cells from the first to the last in process."""
        defs = build_defs(
            resources={"downloads": DownloadsResource(attempts=2, first_wait_seconds=0.01)}
        )
        range_tags = {RANGE_START: to_key(first), RANGE_END: to_key(last)} if last else {}
        return defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=assets,
            partition_key=None if last else to_key(first),
            tags=range_tags,
            run_config={"ops": {f"{assets[0].path[0]}__minutes": {"config": config}}},
            raise_on_error=False,
        )

    def materialized(self, asset: dg.AssetKey = BARS) -> set[str]:
        return self.instance.get_materialized_partitions(asset)

    def event(self, cell: Cell, asset: dg.AssetKey = BARS) -> dg.AssetMaterialization:
        """Return the latest materialization of a cell."""
        records = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[to_key(cell)]), limit=1
        ).records
        event = records[0].asset_materialization
        assert event is not None
        return event

    def metadata(self, cell: Cell, asset: dg.AssetKey = BARS) -> dict[str, Any]:
        """Return the metadata of the latest materialization, as plain values."""
        return {name: value.value for name, value in self.event(cell, asset).metadata.items()}

    def stored(self, sql: str) -> Any:
        with self.database.connect() as connection:
            row = connection.execute(sql).fetchone()
        assert row is not None
        return row[0]


def told_at(location: Location, asset: dg.AssetKey) -> float:
    """Return when an asset was last told to be materialized."""
    told = location.instance.get_latest_materialization_event(asset)
    assert told is not None
    return told.timestamp


@pytest.fixture
def location(instance: dg.DagsterInstance, database: Database, universe_file: Path) -> Location:
    location = Location(instance, database, universe_file)
    location.sync()
    return location
