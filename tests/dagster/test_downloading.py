"""Lists of cells as no rectangle makes them, without Dagster around."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from assets.downloading import download_cells
from assets.outcomes import CellOutcome
from assets.pictures import picture
from pipeline.store.cells import Cell, Slice
from resources.downloads import DownloadsResource
from tests.dagster.conftest import Location
from venue import VenueProcess

JANUARY, FEBRUARY, MARCH = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)

START_OF_2024 = 1_704_067_200_000


def download(location: Location, cells: Sequence[Cell]) -> list[CellOutcome]:
    resource = DownloadsResource(attempts=1, first_wait_seconds=0)
    with resource.downloader(location.database, location.universe, "bitfinex") as downloader:
        return download_cells(location.database, downloader, "bitfinex", cells)


def test_any_list_of_cells_is_done_listing_by_listing_in_order_of_time(location: Location) -> None:
    cells = [
        Cell("ZEC-USD", FEBRUARY),
        Cell("BTC-USD", MARCH),
        Cell("ETH-USD", FEBRUARY),
        Cell("BTC-USD", JANUARY),
        Cell("BTC-USD", MARCH),
    ]
    outcomes = download(location, cells)
    assert [outcome.cell for outcome in outcomes] == [
        Cell("BTC-USD", JANUARY),
        Cell("BTC-USD", MARCH),
        Cell("ETH-USD", FEBRUARY),
        Cell("ZEC-USD", FEBRUARY),
    ]
    assert not any(outcome.problem for outcome in outcomes)
    assert all(outcome.state.adds_up and outcome.state.stored for outcome in outcomes)


def test_no_cells_are_no_work(location: Location, venue: VenueProcess) -> None:
    assert download(location, []) == []
    assert venue.requests()["total"] == 0


def test_the_first_trade_is_asked_for_once_a_listing(
    location: Location, venue: VenueProcess
) -> None:
    months = (JANUARY, FEBRUARY, MARCH)
    download(location, [Cell("ETH-USD", month) for month in months])
    beginnings = [
        request["start"]
        for request in venue.requests()["requests"]
        if request["symbol"] == "ETH-USD" and request["start"] < START_OF_2024
    ]
    assert 1 <= len(beginnings) < len(months)


def test_a_picture_breaks_its_line_and_its_underline_at_a_gap() -> None:
    shape = [Slice(0, 1.0, 2.0), Slice(1, 1.5, 1.5), Slice(4, 2.0, 3.0)]
    with_gap, without = picture(shape, 10), picture(shape[:2], 10)
    assert len(with_gap) > len(without)


def test_a_picture_of_one_price_and_of_a_whole_month_stays_small() -> None:
    assert len(picture([Slice(0, 5.0, 5.0)], 160)) < 400
    assert len(picture([Slice(n, n, n + 50.0) for n in range(160)], 160)) < 4096
    worst = picture([Slice(n, n % 7, n % 7 + 50.0) for n in range(0, 160, 2)], 160)
    assert len(worst) < 4096
