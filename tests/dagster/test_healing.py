"""The job that repairs a provider's minutes, in process."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pipeline.definitions import build_defs
from pipeline.store.cells import Cell
from resources.downloads import DownloadsResource
from tests.dagster.conftest import BARS, GAPS, Location
from venue import VenueProcess

JANUARY, FEBRUARY = date(2024, 1, 1), date(2024, 2, 1)
FEBRUARY_10 = {"from": 1_707_523_200_000, "to": 1_707_526_800_000}


def run(location: Location, **config: object) -> Any:
    """Run the job in process."""
    defs = build_defs(
        resources={"downloads": DownloadsResource(attempts=2, first_wait_seconds=0.01)}
    )
    return defs.resolve_job_def("heal_bitfinex").execute_in_process(
        instance=location.instance,
        run_config={"ops": {"heal_bitfinex_minutes": {"config": config}}},
        raise_on_error=False,
    )


@pytest.fixture
def short(location: Location) -> Location:
    """A location whose listings all end after February, bitcoin's first trade known."""
    text = location.universe_file.read_text()
    for symbol in ("BTC/USD", "ETH/USD"):
        text = text.replace(
            f"{{bitfinex: {symbol}}}", f"{{bitfinex: {{symbol: {symbol}, end: 2024-03-01}}}}"
        )
    location.universe_file.write_text(text)
    location.sync()
    assert location.run(Cell("BTC-USD", JANUARY)).success
    return location


def make_due(location: Location) -> None:
    """Let the time of all failed minutes come."""
    with location.database.connect() as connection:
        connection.execute("UPDATE ledger.fetch_failure SET next_attempt_at = now()")


def test_a_failed_partition_turns_green_once_it_is_healed(
    short: Location, venue: VenueProcess
) -> None:
    btc = Cell("BTC-USD", FEBRUARY)
    venue.post_fault("server_error", exchange="bitfinex", symbol="BTC-USD", **FEBRUARY_10)
    assert not short.run(btc).success
    assert short.materialized() == {"BTC-USD|2024-01-01"}
    venue.clear_faults()
    make_due(short)
    assert run(short).success
    for asset in (BARS, GAPS):
        assert "BTC-USD|2024-02-01" in short.materialized(asset)
    found = short.metadata(btc)
    assert found["coverage_percent"] == 100.0
    assert found["failed_minutes"] == 0
    # Whatever else was pending came along.
    assert "ETH-USD|2024-02-01" in short.materialized()
    assert short.stored("SELECT count(*) FROM market.failures") == 0


def test_a_partition_that_cannot_be_healed_fails_the_run_and_stays_as_it_was(
    short: Location, venue: VenueProcess
) -> None:
    venue.post_fault("server_error", exchange="bitfinex", symbol="BTC-USD", **FEBRUARY_10)
    result = run(short)
    assert not result.success
    (event,) = result.get_step_failure_events()
    data = event.step_failure_data.user_failure_data
    assert data.metadata["not_complete"].value == ["BTC-USD|2024-02-01"]
    assert "ETH-USD|2024-02-01" in short.materialized()
    assert "BTC-USD|2024-02-01" not in short.materialized()


def test_the_budget_leaves_the_rest_for_next_time(short: Location, venue: VenueProcess) -> None:
    pending = "SELECT sum(pending) FROM market.coverage"
    before = short.stored(pending)
    venue.clear_requests()
    assert run(short, requests=4).success
    assert 0 < len(venue.requests()["requests"]) <= 5
    assert 0 < short.stored(pending) < before


def test_months_that_are_shown_daily_are_told_of_at_once_only_where_they_had_failed(
    location: Location, venue: VenueProcess
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    noon = int(yesterday.replace(hour=12, minute=0, second=0, microsecond=0).timestamp() * 1000)
    text = location.universe_file.read_text()
    location.universe_file.write_text(
        text.replace("start: 2024-01-01", f"start: {yesterday:%Y-%m-%d}").replace(
            ", end: 2024-03-01", ""
        )
    )
    location.sync()
    hour = {"from": noon, "to": noon + 3_600_000}
    venue.post_fault("server_error", exchange="bitfinex", symbol="BTC-USD", **hour)
    assert not run(location).success
    venue.clear_faults()
    make_due(location)
    assert run(location).success
    assert location.materialized() == {f"BTC-USD|{yesterday:%Y-%m}-01"}
    assert location.stored("SELECT count(DISTINCT listing) FROM market.coverage WHERE bars > 0") > 1


def test_the_job_waits_for_its_turn_at_the_provider(location: Location) -> None:
    job = build_defs().resolve_job_def("heal_bitfinex")
    assert job.all_node_defs[0].pool == "bitfinex"  # type: ignore[attr-defined]
