"""Runs of `consolidated/...` in process: one series per instrument, after the providers' runs."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline.definitions import build_defs
from pipeline.store.cells import Cell
from resources.downloads import DownloadsResource
from resources.partitions import to_instrument_key
from tests.dagster.conftest import BARS, GAPS, Location, told_at
from venue import VenueProcess

MINUTES, HIGHER = (dg.AssetKey(["consolidated", name]) for name in ("bars_1m", "bars"))
SECOND = [dg.AssetKey(["second", name]) for name in ("bars_1m", "gaps", "bars")]
FIRST = [BARS, GAPS, dg.AssetKey(["bitfinex", "bars"])]
UNIVERSE = """
start: 2024-01-01
providers:
  bitfinex:
    base_url: {url}/bitfinex
    limits: {{requests: 6000, seconds: 1}}
  second:
    exchange: bitfinex
    base_url: {url}/bitfinex
    limits: {{requests: 6000, seconds: 1}}
instruments:
  BTC-USD:
    class: crypto_spot
    listings: {{bitfinex: BTC/USD, second: {{symbol: BTC/USD, key: BTCUSD, role: standby}}}}
"""
DAYS = "SELECT count(*) FROM market.consolidated_1d WHERE ts >= '2024-02-01'"
FEBRUARY = date(2024, 2, 1)
HOUR = {"from": 1_707_523_200_000, "to": 1_707_526_800_000}


@pytest.fixture
def universe_file(tmp_path: Path, venue: VenueProcess) -> Path:
    file = tmp_path / "universe.yaml"
    file.write_text(UNIVERSE.format(url=venue.url))
    return file


def consolidate(location: Location, instrument: str = "BTC-USD") -> Any:
    defs = build_defs(resources={"downloads": DownloadsResource(attempts=1)})
    return defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=location.instance,
        asset_selection=[MINUTES, HIGHER],
        partition_key=to_instrument_key(Cell(instrument, FEBRUARY)),
        raise_on_error=False,
    )


def fail_in_part(location: Location, venue: VenueProcess) -> None:
    """Download of the primary all but the page of an hour."""
    location.run(Cell("BTC-USD", date(2024, 1, 1)), assets=FIRST)  # finds the first trade
    venue.post_fault("server_error", exchange="bitfinex", **HOUR)
    assert not location.run(Cell("BTC-USD", FEBRUARY), assets=FIRST).success
    venue.clear_faults()


def shown(location: Location, key: dg.AssetKey) -> dict[str, Any]:
    partition = to_instrument_key(Cell("BTC-USD", FEBRUARY))
    records = location.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition]), limit=1
    ).records
    event = records[0].asset_materialization
    assert event is not None
    return {name: value.value for name, value in event.metadata.items()}


def test_what_the_primary_failed_to_deliver_comes_from_the_standby(
    location: Location, venue: VenueProcess
) -> None:
    fail_in_part(location, venue)
    assert location.run(Cell("BTCUSD", FEBRUARY), assets=SECOND).success
    for key in (MINUTES, HIGHER):
        assert location.materialized(key) == {"BTC-USD|2024-01-01", "BTC-USD|2024-02-01"}
        found = shown(location, key)
        assert 0 < found["second_percent"] < found["bitfinex_percent"] < 100
        assert "failed" in found["served"]
    rows = "SELECT count(*) FROM market.consolidated_1m WHERE ts >= '2024-02-01'"
    assert location.stored(rows) == shown(location, MINUTES)["dagster/partition_row_count"]
    # A page of ten thousand minutes failed: the days at its ends are of both.
    mixed = "SELECT count(*) FROM market.consolidated_1d WHERE provider = 'bitfinex+second'"
    assert location.stored(mixed) == 2


def test_what_follows_is_told_after_what_it_follows_from(location: Location) -> None:
    """Else Dagster shows it as out of step."""
    location.run(Cell("BTC-USD", date(2024, 1, 1)), assets=[BARS])
    first, *others = (told_at(location, key) for key in (*FIRST, MINUTES, HIGHER))
    assert first < min(others)


def test_what_the_primary_delivers_in_the_end_is_its_own_again(
    location: Location, venue: VenueProcess
) -> None:
    fail_in_part(location, venue)
    location.run(Cell("BTCUSD", FEBRUARY), assets=SECOND)
    assert shown(location, MINUTES)["bitfinex_percent"] < 100
    assert location.run(Cell("BTC-USD", FEBRUARY), assets=FIRST).success
    assert shown(location, MINUTES)["bitfinex_percent"] == 100
    assert location.stored("SELECT count(*) FROM ledger.consolidated_1d") == 0
    assert location.stored(DAYS) == 29


def test_another_method_is_followed_by_materializing(
    location: Location, venue: VenueProcess, universe_file: Path
) -> None:
    both = UNIVERSE.format(url=venue.url).replace(", role: standby", "")
    universe_file.write_text(both)
    location.sync()
    for cell, assets in ((Cell("BTC-USD", FEBRUARY), FIRST), (Cell("BTCUSD", FEBRUARY), SECOND)):
        location.run(cell, assets=assets)
    universe_file.write_text(both + "consolidate: median\n")
    location.sync()
    assert shown(location, MINUTES)["bitfinex_percent"] == 100
    assert consolidate(location).success
    assert shown(location, MINUTES)["bitfinex+second_percent"] > 99


def test_an_instrument_that_the_ledger_does_not_know_fails_with_a_word(location: Location) -> None:
    location.instance.add_dynamic_partitions("instruments", ["XYZ"])
    result = consolidate(location, "XYZ")
    assert not result.success
    failed = next(one for one in result.all_events if one.is_step_failure)
    assert "the ledger has no instrument XYZ" in str(failed.step_failure_data.user_failure_data)


def test_instruments_are_partitions_from_the_earliest_month_on(location: Location) -> None:
    partitions = build_defs().get_assets_def(MINUTES).partitions_def
    assert isinstance(partitions, dg.MultiPartitionsDefinition)
    found = partitions.get_partition_keys(dynamic_partitions_store=location.instance)
    assert found[0] == "BTC-USD|2024-01-01"
    assert list(location.instance.get_dynamic_partitions("instruments")) == ["BTC-USD"]
