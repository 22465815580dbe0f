"""Alpha Vantage in a ledger: winter months for a request each, a spent day, and no key anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime

import psycopg
import pytest
from psycopg import sql

from assets.downloading import download_cells
from assets.outcomes import CellOutcome
from pipeline.download import Downloader
from pipeline.providers.alpha_vantage_client import AlphaVantageProvider
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.options import ProviderOptions
from pipeline.store.cells import Cell
from pipeline.store.coverage import coverage
from pipeline.store.database import Database
from pipeline.store.limits import LedgerLimiter
from pipeline.store.listings import sync_universe
from pipeline.store.queries import false_sums
from pipeline.universe import Universe
from tests.faults.conftest import HASTE
from tests.wire.alpha_vantage import KEY, MARKETS, NOW, keys
from venue import VenueProcess

NOVEMBER, DECEMBER, JANUARY = date(2023, 11, 1), date(2023, 12, 1), date(2024, 1, 1)


@pytest.fixture(scope="module")
def process() -> Iterator[VenueProcess]:
    section = {"requests_per_second": 0, "markets": MARKETS, "account": {"keys": [KEY]}}
    config = {"now": NOW.isoformat(), "speed": 0, "exchanges": {"alpha_vantage": section}}
    with VenueProcess(config) as running:
        yield running


def put_in_ledger(database: Database) -> None:
    listing = {"class": "equity", "listings": {"alpha_vantage": "MSFT"}}
    document = {
        "start": "2023-11-01",
        "providers": {"alpha_vantage": {}},
        "instruments": {"MSFT": listing},
    }
    with database.connect() as connection:
        sync_universe(connection, Universe.model_validate(document))


def download(venue: VenueProcess, database: Database, *months: date) -> list[CellOutcome]:
    options = ProviderOptions(
        source="alpha_vantage",
        base_url=f"{venue.url}/alpha_vantage",
        limit=RateLimit(1000, 1.0),
        asset_classes=("equity",),
        keys=keys(),
        timeout_seconds=2.0,
        now=lambda: NOW,
    )
    with (
        LedgerLimiter(database, "alpha_vantage") as limiter,
        closing(AlphaVantageProvider("alpha_vantage", options, limiter=limiter)) as provider,
        Downloader(database, provider, patience=HASTE, now=lambda: NOW) as downloader,
    ):
        cells = [Cell("MSFT", month) for month in months]
        return download_cells(database, downloader, "alpha_vantage", cells)


def everything_in(connection: psycopg.Connection) -> str:
    """Return the text of every row of every table of the ledger but the bars."""
    tables = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables"
        " WHERE schemaname = 'ledger' AND tablename NOT LIKE 'bars%%'"
    ).fetchall()
    assert len(tables) > 10
    return "\n".join(
        str(
            connection.execute(
                sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(*name))
            ).fetchall()
        )
        for name in tables
    )


def test_winter_months_take_a_request_each_and_add_up(
    process: VenueProcess, database: Database
) -> None:
    process.clear_faults()
    process.clear_requests()
    put_in_ledger(database)
    outcomes = download(process, database, NOVEMBER, DECEMBER, JANUARY)
    assert [one.problem for one in outcomes] == [""] * 3
    assert process.requests()["total"] == 3
    start, end = (
        int(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000)
        for year, month in ((2023, 11), (2024, 2))
    )
    truth = process.truth("alpha_vantage", "MSFT", start, end)
    with database.connect() as connection:
        assert false_sums(connection) == []
        rows = coverage(connection, "alpha_vantage", months=[NOVEMBER, DECEMBER, JANUARY])
        stored = connection.execute("SELECT ts, close FROM ledger.bars_1m ORDER BY ts").fetchall()
        assert KEY not in everything_in(connection)
    assert all(row.adds_up and row.failed == row.pending == 0 for row in rows)
    assert [(int(ts.timestamp() * 1000), close) for ts, close in stored] == list(
        zip(truth["ts"], truth["close"], strict=True)
    )


def test_a_spent_day_leaves_the_month_open_everybody_waiting_and_no_key_behind(
    process: VenueProcess, database: Database
) -> None:
    process.clear_faults()
    put_in_ledger(database)
    process.post_fault("rate_limit", retry_after=86_400)
    (outcome,) = download(process, database, NOVEMBER)
    assert "25 requests per day" in outcome.problem
    process.clear_faults()
    process.clear_requests()
    (again,) = download(process, database, NOVEMBER)
    assert again.problem
    assert process.requests()["total"] == 0  # nobody asks before the next day
    with database.connect() as connection:
        (row,) = coverage(connection, "alpha_vantage", months=[NOVEMBER])
        text = everything_in(connection)
    assert row.adds_up
    assert row.bars == row.empty == 0
    assert "25 requests per day" in text
    assert KEY not in text + outcome.problem + again.problem
