"""Runs of `P/bars_1m` in process: what is stored, and what Dagster says of each partition."""

from __future__ import annotations

import json
from datetime import date
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pytest
from dagster._serdes import serialize_value

from pipeline.definitions import build_defs
from pipeline.intervals import Interval
from pipeline.store.cells import Cell
from tests.dagster.conftest import BARS, GAPS, HIGHER, Location
from venue import VenueProcess

JANUARY, FEBRUARY, MARCH = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)
BTC = [Cell("BTC-USD", month) for month in (JANUARY, FEBRUARY, MARCH)]
FEBRUARY_10 = {"from": 1_707_523_200_000, "to": 1_707_526_800_000}


def truth(venue: VenueProcess, cell: Cell) -> int:
    """Return how many bars the venue has of a cell."""
    month = Interval.month(cell.month)
    bounds = (int(moment.timestamp() * 1000) for moment in (month.start, month.end))
    return len(next(iter(venue.truth("bitfinex", cell.listing, *bounds).values())))


def failure(result: dg.ExecuteInProcessResult) -> Any:
    """Return the failure of the run's only step."""
    (event,) = result.get_step_failure_events()
    data = event.step_failure_data
    assert data.user_failure_data is not None
    return data.user_failure_data


def check_status(location: Location) -> str:
    """Return what Dagster shows of the check after the latest run."""
    key = dg.AssetCheckKey(BARS, "minutes_add_up")
    (record,) = location.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    return record.status.value


def test_a_single_partition_holds_every_bar_of_the_venue(
    location: Location, venue: VenueProcess
) -> None:
    result = location.run(BTC[0])
    assert result.success
    assert check_status(location) == "SUCCEEDED"
    assert location.materialized() == {"BTC-USD|2024-01-01"}
    found = location.metadata(BTC[0])
    bars = truth(venue, BTC[0])
    assert found["dagster/partition_row_count"] == found["inserted"] == bars
    assert found["coverage_percent"] == 100.0
    assert found["expected_minutes"] == bars + found["empty_minutes"]
    assert found["picture"].startswith("![bars](data:image/svg+xml;base64,")
    assert len(found["picture"]) < 4096


def test_the_check_alone_looks_at_all_partitions_and_asks_nobody(
    location: Location, venue: VenueProcess
) -> None:
    location.run(BTC[0], BTC[1])
    venue.clear_requests()

    def check_alone() -> dg.AssetCheckEvaluation:
        job = build_defs().resolve_implicit_global_asset_job_def()
        check = {dg.AssetCheckKey(BARS, "minutes_add_up")}
        subset = job.get_subset(asset_selection=set(), asset_check_selection=check)
        done = subset.execute_in_process(instance=location.instance)
        (evaluation,) = done.get_asset_check_evaluations()
        return evaluation

    found = check_alone()
    assert found.passed
    assert found.metadata["stored"].value == truth(venue, BTC[0]) + truth(venue, BTC[1])
    assert venue.requests()["total"] == 0
    with location.database.connect() as connection:
        connection.execute(
            "DELETE FROM ledger.bars_1m WHERE ts = (SELECT max(ts) FROM ledger.bars_1m)"
        )
    found = check_alone()
    assert not found.passed
    assert str(found.description).startswith("1 of ")
    assert location.materialized() == {"BTC-USD|2024-01-01", "BTC-USD|2024-02-01"}


def test_a_run_shows_the_coverage_of_all_the_providers_listings_once(location: Location) -> None:
    result = location.run(BTC[0], BTC[1])
    (evaluation,) = result.get_asset_check_evaluations()
    shown = str(evaluation.metadata["coverage"].value)
    assert shown.startswith("![Coverage of 3 listings, 2024-01 to ")
    assert len(shown) < 4096
    assert "coverage" not in location.metadata(BTC[0])


def test_a_run_shows_numbers_of_how_the_provider_answered(location: Location) -> None:
    result = location.run(BTC[0], BTC[1])
    (evaluation,) = result.get_asset_check_evaluations()
    shown = {name: value.value for name, value in evaluation.metadata.items()}
    assert shown["provider_requests"] > 0
    assert shown["provider_success_percent"] == 100.0
    assert shown["provider_p95_ms"] > 0
    assert shown["provider_refusals"] == 0


def test_what_is_covered_is_not_asked_again_and_not_drawn_again(
    location: Location, venue: VenueProcess
) -> None:
    location.run(BTC[1], BTC[2])
    venue.clear_requests()
    assert location.run(BTC[1], BTC[2]).success
    assert venue.requests()["total"] == 0
    assert "picture" not in location.metadata(BTC[1])
    assert location.metadata(BTC[1])["dagster/partition_row_count"] == truth(venue, BTC[1])


def test_a_range_run_covers_a_rectangle_with_one_event_a_partition(
    location: Location, venue: VenueProcess
) -> None:
    cells = [Cell(name, month) for name in ("BTC-USD", "ETH-USD") for month in (JANUARY, FEBRUARY)]
    result = location.run(cells[0], cells[-1])
    assert result.success
    events = [
        (event.asset_key, event.partition) for event in result.get_asset_materialization_events()
    ]
    for asset in (BARS, GAPS):
        mine = sorted(partition for key, partition in events if key == asset)
        assert mine == [f"{cell.listing}|{cell.month}" for cell in cells]
    assert [location.metadata(cell)["dagster/partition_row_count"] for cell in cells] == [
        truth(venue, cell) for cell in cells
    ]


def test_a_month_before_the_first_trade_is_a_success_without_rows(location: Location) -> None:
    cell = Cell("ETH-USD", JANUARY)
    assert location.run(cell).success
    found = location.metadata(cell)
    assert found["dagster/partition_row_count"] == 0
    assert found["note"] == "before the listing's first trade, 2024-02-10 12:00 UTC"


def test_a_month_after_the_end_is_a_success_without_rows(
    location: Location, venue: VenueProcess
) -> None:
    cell = Cell("ZEC-USD", MARCH)
    assert location.run(cell).success
    assert location.metadata(cell)["note"] == "after the listing's end, 2024-03-01 00:00 UTC"


def test_a_month_that_failed_in_part_leaves_the_others_materialized(
    location: Location, venue: VenueProcess
) -> None:
    location.run(BTC[0])
    venue.post_fault("server_error", exchange="bitfinex", **FEBRUARY_10)
    result = location.run(BTC[0], BTC[2])
    assert not result.success
    assert location.materialized() == {"BTC-USD|2024-01-01", "BTC-USD|2024-03-01"}
    assert check_status(location) == "SUCCEEDED"
    said = failure(result)
    assert said.description.startswith("1 partitions are not complete:\nBTC-USD|2024-02-01: [2024-")
    assert said.metadata["not_complete"].value == ["BTC-USD|2024-02-01"]
    assert "2 of 3 partitions complete" in location.metadata(BTC[2])["run"]
    tags = location.event(BTC[2]).tags or {}
    assert tags["dagster/partition/listing"] == "BTC-USD"


def test_the_next_run_asks_only_for_what_failed(location: Location, venue: VenueProcess) -> None:
    location.run(BTC[0])
    venue.post_fault("server_error", exchange="bitfinex", **FEBRUARY_10)
    location.run(BTC[0], BTC[2])
    venue.clear_faults()
    assert location.run(BTC[0], BTC[2]).success
    assert location.materialized() == {
        "BTC-USD|2024-01-01",
        "BTC-USD|2024-02-01",
        "BTC-USD|2024-03-01",
    }
    asked = [location.metadata(cell).get("requests", 0) for cell in BTC]
    assert asked[0] == asked[2] == 0
    assert asked[1] >= 1
    assert location.metadata(BTC[1])["dagster/partition_row_count"] == truth(venue, BTC[1])


def test_what_failed_is_left_alone_until_it_is_due_if_so_configured(
    location: Location, venue: VenueProcess
) -> None:
    location.run(BTC[0])
    venue.post_fault("server_error", exchange="bitfinex", **FEBRUARY_10)
    location.run(BTC[1])
    venue.clear_faults()
    venue.clear_requests()
    assert location.run(BTC[1], only_due=True).success
    assert venue.requests()["total"] == 0
    found = location.metadata(BTC[1])
    assert found["failed_minutes"] > 0
    assert found["note"].startswith("the failed minutes are left alone")


def test_a_provider_that_is_down_is_given_up_and_nothing_is_materialized(
    location: Location, venue: VenueProcess
) -> None:
    location.run(BTC[0])
    venue.post_fault("server_error", exchange="bitfinex")
    result = location.run(BTC[1], BTC[2])
    assert not result.success
    assert location.materialized() == {"BTC-USD|2024-01-01"}
    assert len(failure(result).metadata["not_complete"].value) == 2


def test_a_key_that_the_ledger_does_not_know_fails_alone(location: Location) -> None:
    location.instance.add_dynamic_partitions("bitfinex_listings", ["NOPE-USD"])
    result = location.run(Cell("ZEC-USD", MARCH), Cell("NOPE-USD", MARCH))
    assert not result.success
    assert location.materialized() == {"ZEC-USD|2024-03-01"}
    assert "NOPE-USD|2024-03-01: the ledger has no such listing" in failure(result).description


def test_a_symbol_that_the_provider_does_not_know_is_named(location: Location) -> None:
    text = location.universe_file.read_text().replace("BTC/USD", "XYZ/USD")
    location.universe_file.write_text(text)
    location.sync()
    result = location.run(BTC[0])
    assert not result.success
    assert "XYZ/USD" in failure(result).description


def test_a_listing_that_left_the_universe_keeps_its_bars_and_is_not_asked_for(
    location: Location, venue: VenueProcess
) -> None:
    location.run(BTC[0])
    lines = location.universe_file.read_text().splitlines()
    location.universe_file.write_text("\n".join(line for line in lines if "BTC-USD" not in line))
    location.sync()
    venue.clear_requests()
    assert location.run(BTC[0], BTC[1]).success
    assert venue.requests()["total"] == 0
    found = [location.metadata(cell) for cell in BTC[:2]]
    assert [one["dagster/partition_row_count"] for one in found] == [truth(venue, BTC[0]), 0]
    assert all(one["note"].startswith("no longer in the universe") for one in found)


def test_the_check_finds_a_bar_that_was_lost_behind_the_ledgers_back(location: Location) -> None:
    location.run(BTC[0])
    with location.database.connect() as connection:
        connection.execute(
            "DELETE FROM ledger.bars_1m WHERE ts = (SELECT min(ts) FROM ledger.bars_1m)"
        )
    result = location.run(BTC[0])
    assert result.success
    (evaluation,) = result.get_asset_check_evaluations()
    assert not evaluation.passed
    (wrong,) = evaluation.metadata["wrong"].value
    assert wrong["listing"] == "BTC-USD"
    assert wrong["bars"] == wrong["stored"] + 1


def test_no_secret_reaches_dagster(
    location: Location, venue: VenueProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = location.database.url()
    user = urlsplit(url).netloc.removesuffix("@")
    monkeypatch.setenv("MINUTELEDGER_DATABASE_URL", url.replace(f"{user}@", f"{user}:hunter2@"))
    location.run(BTC[0])
    venue.post_fault("server_error", exchange="bitfinex", **FEBRUARY_10)
    result = location.run(BTC[1], BTC[2])
    assert location.materialized() == {"BTC-USD|2024-01-01", "BTC-USD|2024-03-01"}
    run = location.instance.get_run_by_id(result.run_id)
    assert run is not None
    said = [serialize_value(entry) for entry in location.instance.all_logs(result.run_id)]
    said += [serialize_value(run), json.dumps(run.run_config)]
    assert not any("hunter2" in text for text in said)
    assert {BARS, GAPS, HIGHER} == set(run.asset_selection or ())
