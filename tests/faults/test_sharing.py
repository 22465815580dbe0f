"""Many stocks share requests; each is judged, stored, refused and failed by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from assets.downloading import download_cells
from pipeline.asking import Patience
from pipeline.download import Downloader
from pipeline.heal import find_tasks, heal
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.plan import plan
from pipeline.providers.alpaca_client import AlpacaProvider
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.options import ProviderOptions
from pipeline.reports import MonthReport
from pipeline.store.cells import Cell
from pipeline.store.coverage import coverage
from pipeline.store.database import Database
from pipeline.store.limits import LedgerLimiter
from pipeline.store.listings import listings, save_first_trade, sync_universe
from pipeline.store.queries import false_sums
from pipeline.universe import Universe
from tests.faults.conftest import HASTE
from tests.making import at, stored_bars
from venue import VenueProcess

NAMES = [f"S{letter}" for letter in "ABCDEFGHIJKL"]
QUIET = "QUIET"
HOUR = Interval(at("2024-06-03T14:00"), at("2024-06-03T15:00"))
NOW = at("2024-06-03T15:16")  # the hour has just become final
MONTH = date(2024, 6, 1)
PROVIDER = "alpaca"


@pytest.fixture(scope="module")
def process() -> Iterator[VenueProcess]:
    stock = {"listed_at": "2024-05-31T13:30:00Z", "price": 100, "volume": 900}
    markets = dict.fromkeys(NAMES, stock) | {QUIET: {**stock, "quiet": 0.9}}
    section = {"requests_per_second": 0, "markets": markets}
    with VenueProcess({"now": NOW.isoformat(), "exchanges": {"alpaca": section}}) as running:
        yield running


class Desk:
    """Thirteen stocks whose first trade is known, and one hour of them that is to be had."""

    def __init__(self, venue: VenueProcess, database: Database) -> None:
        self.venue, self.database = venue, database
        venue.clear_faults()
        venue.set_clock(now=NOW.isoformat(), speed=0)
        self.enter({name: name for name in (*NAMES, QUIET)})

    def enter(self, symbols: dict[str, str]) -> None:
        instruments = {
            key: {"class": "equity", "listings": {PROVIDER: {"symbol": symbol, "end": HOUR.end}}}
            for key, symbol in symbols.items()
        }
        document = {"start": HOUR.start, "providers": {PROVIDER: {}}, "instruments": instruments}
        with self.database.connect() as connection:
            sync_universe(connection, Universe.model_validate(document))
            for listing in listings(connection, PROVIDER):
                save_first_trade(connection, listing, at("2024-05-31T13:30"), "known", NOW)

    @contextmanager
    def downloader(self, patience: Patience = HASTE, now: datetime = NOW) -> Iterator[Downloader]:
        names = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
        options = ProviderOptions(
            source="alpaca",
            base_url=f"{self.venue.url}/alpaca",
            limit=RateLimit(1000, 1.0),
            timeout_seconds=1.5,
            asset_classes=("equity",),
            keys={name: SecretStr("k") for name in names},
            now=lambda: now,
        )
        with (
            LedgerLimiter(self.database, PROVIDER) as limiter,
            closing(AlpacaProvider(PROVIDER, options, limiter=limiter)) as provider,
            Downloader(self.database, provider, patience=patience, now=lambda: now) as opened,
        ):
            provider.markets()
            self.venue.clear_requests()
            yield opened

    def listings(self) -> list[Listing]:
        with self.database.connect() as connection:
            return list(listings(connection, PROVIDER))

    def download(self, now: datetime = NOW, **options: Any) -> dict[str, MonthReport]:
        with self.downloader(now=now) as downloader:
            reports = downloader.download_together(self.listings(), MONTH, **options)
        return {report.listing.key: report for report in reports}

    def requests(self) -> int:
        total: int = self.venue.requests()["total"]
        return total

    def truth(self, symbol: str) -> list[tuple[Any, ...]]:
        start, end = (int(bound.timestamp()) * 1000 for bound in (HOUR.start, HOUR.end))
        columns = self.venue.truth("alpaca", symbol, start, end)
        return list(zip(columns["ts"], columns["close"], columns["volume"], strict=True))

    def stored(self, key: str) -> list[tuple[Any, ...]]:
        with self.database.connect() as connection:
            (listing,) = listings(connection, PROVIDER, [key])
            rows = stored_bars(connection, listing)
        return [(int(row[0].timestamp()) * 1000, row[4], row[5]) for row in rows]

    def check(self, *without: str) -> None:
        """Everything but some stocks is stored as it is true, and all minutes add up."""
        for key in (*NAMES, QUIET):
            assert self.stored(key) == ([] if key in without else self.truth(key)), key
        with self.database.connect() as connection:
            assert false_sums(connection) == []
            assert all(row.adds_up for row in coverage(connection))


@pytest.fixture
def desk(process: VenueProcess, database: Database) -> Desk:
    return Desk(process, database)


def test_an_hour_of_many_stocks_takes_one_request_and_one_for_silent_edges(desk: Desk) -> None:
    reports = desk.download()
    assert all(report.complete for report in reports.values())
    assert desk.requests() <= 2
    assert sum(report.requests for report in reports.values()) == desk.requests()
    desk.check()
    assert len(desk.stored(QUIET)) < 20
    desk.venue.clear_requests()
    assert all(report.complete for report in desk.download().values())
    assert desk.requests() == 0


def test_a_run_shares_requests_among_the_cells_of_a_month(desk: Desk) -> None:
    cells = [Cell(key, month) for key in (*NAMES, QUIET, "NEVER") for month in (MONTH,)]
    told = []
    with desk.downloader() as downloader:
        outcomes = download_cells(
            desk.database, downloader, PROVIDER, cells, tell=lambda one: told.append(one.cell)
        )
    assert desk.requests() <= 2
    assert {one.cell.listing for one in outcomes if one.problem} == {"NEVER"}
    assert sorted(told) == sorted(cells)
    desk.check()


def test_a_repair_shares_requests_within_its_budget(desk: Desk) -> None:
    def repair(budget: int) -> int:
        with desk.database.connect() as connection, desk.downloader() as downloader:
            tasks = find_tasks(connection, PROVIDER, downloader.capabilities, NOW)
            connection.rollback()
            return len(heal(downloader, tasks, budget=budget).left)

    assert repair(0) == 13
    assert desk.requests() == 0
    assert repair(5) == 13  # begun, as far as it reaches
    assert repair(100) == 0
    desk.check()


def test_a_plan_counts_shared_requests_once(desk: Desk) -> None:
    cells = [Cell(key, MONTH) for key in (*NAMES, QUIET)]
    with desk.downloader() as downloader, desk.database.connect() as connection:
        found = plan(connection, PROVIDER, downloader.capabilities, cells, NOW)
    assert found.requests == 1 + 1  # the list of assets, and everybody's hour


def test_a_shared_request_that_fails_is_a_failure_of_each(desk: Desk) -> None:
    desk.venue.post_fault("server_error", symbol="SF")
    reports = desk.download()
    assert desk.requests() == HASTE.attempts
    for report in reports.values():
        (failure,) = report.failures
        assert (failure.during, failure.error) == (HOUR, "ProviderUnavailable")
    desk.venue.clear_faults()
    assert all(report.complete for report in desk.download().values())
    desk.check()


@pytest.mark.parametrize("kind", ["outside_window", "clock_shift"])
def test_what_is_wrong_with_one_stock_is_refused_for_that_one_alone(kind: str, desk: Desk) -> None:
    desk.venue.post_fault(kind, symbol="SC")
    reports = desk.download()
    assert [key for key, report in reports.items() if not report.complete] == ["SC"]
    assert {failure.error for failure in reports["SC"].failures} == {"OutsideWindow"}
    desk.check("SC")


def test_bad_values_of_one_stock_leave_only_its_minutes_failed(desk: Desk) -> None:
    desk.venue.post_fault("bad_values", symbol="SC", variant="null")
    reports = desk.download()
    assert [key for key, report in reports.items() if not report.complete] == ["SC"]
    assert reports["SC"].refused == 12
    assert len(desk.stored("SC")) == 48


def test_a_page_that_shrinks_is_noticed_at_the_edge_of_each_stock(desk: Desk) -> None:
    desk.venue.post_fault("short_page", times=1)
    reports = desk.download()
    assert all(report.complete for report in reports.values())
    desk.check()


def test_a_symbol_that_only_the_bars_do_not_know_is_found_by_halves(desk: Desk) -> None:
    # The list has it, and a request for bars that names it is refused whole.
    desk.venue.post_fault("truncated_json", symbol="SF")
    reports = desk.download()
    assert [key for key, report in reports.items() if not report.complete] == ["SF"]
    assert reports["SF"].failures[0].error == "MalformedAnswer"
    desk.check("SF")


def test_a_stock_that_does_not_exist_fails_alone(desk: Desk) -> None:
    desk.enter({name: name for name in (*NAMES, QUIET)} | {"NOPE": "NOPE"})
    reports = desk.download()
    assert [key for key, report in reports.items() if not report.complete] == ["NOPE"]
    assert reports["NOPE"].failures[0].error == "UnknownSymbol"
    desk.check()


def test_a_restated_bar_of_one_stock_is_a_revision_of_that_one(desk: Desk) -> None:
    desk.download()
    first = int(HOUR.start.timestamp()) * 1000
    desk.venue.post_fault("restate", symbol="SB", **{"from": first, "to": first + 120_000})
    late = NOW + timedelta(days=30)
    desk.venue.set_clock(now=late.isoformat(), speed=0)
    reports = desk.download(now=late, again=True)
    assert {key: report.revised for key, report in reports.items() if report.revised} == {"SB": 2}


def test_what_the_ledger_refuses_of_one_stock_leaves_the_others_stored(desk: Desk) -> None:
    with desk.database.connect() as connection:
        (listing,) = listings(connection, PROVIDER, ["SD"])
        connection.execute(
            "CREATE FUNCTION pg_temp_refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE check_violation USING MESSAGE = 'not this one'; END $$"
        )
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON ledger.coverage FOR EACH ROW"
            f" WHEN (NEW.listing_id = {listing.id}) EXECUTE FUNCTION pg_temp_refuse()"
        )
    cells = [Cell(key, MONTH) for key in NAMES]
    with desk.downloader() as downloader:
        outcomes = download_cells(desk.database, downloader, PROVIDER, cells)
    problems = {one.cell.listing: one.problem for one in outcomes if one.problem}
    assert problems == {"SD": "the ledger refused it: CheckViolation: not this one"}
    assert desk.stored("SE") == desk.truth("SE")
