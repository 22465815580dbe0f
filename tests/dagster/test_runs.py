"""Runs of `P/bars_1m` in process: what is stored, and what Dagster says of each partition."""

from __future__ import annotations

from datetime import date

from pipeline.store.cells import Cell
from tests.dagster.conftest import Location
from venue import VenueProcess

JANUARY, FEBRUARY, MARCH = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)
BTC_JANUARY = Cell("BTC-USD", JANUARY)


def test_a_single_partition_holds_every_bar_of_the_venue(
    location: Location, venue: VenueProcess
) -> None:
    result = location.run(BTC_JANUARY)
    assert result.success
    truth = venue.truth("bitfinex", "BTC-USD", 1_704_067_200_000, 1_706_745_600_000)
    metadata = location.metadata(BTC_JANUARY)
    assert metadata["dagster/partition_row_count"] == len(next(iter(truth.values())))
    assert location.materialized() == {"BTC-USD|2024-01-01"}
