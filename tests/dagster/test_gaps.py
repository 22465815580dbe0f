"""Runs of `P/gaps` in process: it rides with the bars, and alone asks for nothing."""

from __future__ import annotations

from datetime import date

from pipeline.store.cells import Cell
from tests.dagster.conftest import BARS, GAPS, Location
from venue import VenueProcess

BTC = [Cell("BTC-USD", date(2024, month, 1)) for month in (1, 2, 3)]
FEBRUARY_10 = {"from": 1_707_523_200_000, "to": 1_707_526_800_000}


def unjudged(location: Location) -> int:
    found: int = location.stored("SELECT count(*) FROM ledger.coverage WHERE NOT judged")
    return found


def test_gaps_are_judged_in_the_run_that_downloads(location: Location) -> None:
    assert location.run(BTC[0], BTC[2]).success
    assert location.materialized(GAPS) == location.materialized(BARS)
    assert unjudged(location) == 0
    shown = location.metadata(BTC[0], GAPS)
    assert shown["quiet_minutes"] == location.metadata(BTC[0])["empty_minutes"] > 0
    assert shown["quiet_gaps"] > 0
    assert shown["outages"] == shown["halts"] == shown["pending_minutes"] == 0
    assert "| 2024-01-01 00:00 | 7,680 | not_listed |" in shown["gaps"]


def test_a_month_that_failed_keeps_no_other_month_from_being_judged(
    location: Location, venue: VenueProcess
) -> None:
    location.run(BTC[0])
    venue.post_fault("server_error", exchange="bitfinex", **FEBRUARY_10)
    assert not location.run(BTC[1], BTC[2]).success
    assert location.materialized(GAPS) == {"BTC-USD|2024-01-01", "BTC-USD|2024-03-01"}
    assert unjudged(location) == 0
    failed = location.stored("SELECT sum(minutes) FROM market.gaps WHERE state = 'failed'")
    assert failed > 0


def test_alone_they_are_judged_without_asking_the_provider(
    location: Location, venue: VenueProcess
) -> None:
    location.run(BTC[0], assets=[BARS])
    with location.database.connect() as connection:
        connection.execute("UPDATE ledger.coverage SET judged = false, silences = 0")
    venue.clear_requests()
    assert location.run(BTC[0], assets=[GAPS]).success
    assert venue.requests()["total"] == 0
    assert unjudged(location) == 0
    assert location.metadata(BTC[0], GAPS)["quiet_gaps"] > 0


def test_what_is_judged_already_is_not_described_again(location: Location) -> None:
    location.run(BTC[0])
    location.run(BTC[0])
    assert set(location.metadata(BTC[0], GAPS)) == {"run"}
