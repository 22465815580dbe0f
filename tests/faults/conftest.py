"""A venue without limits of its own, and what it takes to download one day from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

import venue as venue_package
from pipeline.asking import Patience
from pipeline.download import Downloader
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.ccxt_client import CcxtProvider
from pipeline.providers.options import ProviderOptions
from pipeline.reports import MonthReport
from pipeline.store.coverage import CoverageRow, coverage
from pipeline.store.database import Database
from pipeline.store.limits import LedgerLimiter
from pipeline.store.listings import listings, sync_universe
from pipeline.store.ranges import from_multirange
from pipeline.universe import Universe
from tests.making import at, stored_bars
from venue import VenueProcess

DAY = Interval(at("2024-03-10"), at("2024-03-11"))
MARKETS = {
    "binance": ("BTC/USDT", "BTC-USDT"),
    "bitfinex": ("BTC/USD", "BTC-USD"),
    "coinbase": ("BTC/USD", "BTC-USD"),
}
HASTE = Patience(attempts=2, first_wait=timedelta(milliseconds=1), failures_in_a_row=100)


@pytest.fixture(scope="session")
def unlimited_process() -> Iterator[VenueProcess]:
    default = Path(venue_package.__file__).with_name("default.yaml")
    config = yaml.safe_load(default.read_text())
    for exchange in config["exchanges"].values():
        exchange["requests_per_second"] = 0
    with VenueProcess(config) as process:
        yield process


@pytest.fixture
def unlimited(unlimited_process: VenueProcess) -> Iterator[VenueProcess]:
    unlimited_process.clear_faults()
    unlimited_process.clear_requests()
    yield unlimited_process
    unlimited_process.clear_faults()


@dataclass
class Drill:
    """One listing of the venue, the ledger it is downloaded into, and what is true of it."""

    venue: VenueProcess
    database: Database
    exchange: str
    listing: Listing

    def download(
        self,
        *,
        now: Callable[[], datetime] = lambda: at("2024-05-01"),
        patience: Patience = HASTE,
        again: bool = False,
        budget: RateLimit | None = None,
    ) -> MonthReport:
        """Download the day with a fresh client; return the report."""
        options = ProviderOptions(
            source=self.exchange,
            base_url=f"{self.venue.url}/{self.exchange}",
            limit=RateLimit(1000, 1.0),
            budget=budget,
            timeout_seconds=1.5,
        )
        with (
            LedgerLimiter(self.database, self.exchange) as limiter,
            closing(CcxtProvider(self.exchange, options, limiter=limiter)) as provider,
            Downloader(self.database, provider, patience=patience, now=now) as downloader,
        ):
            return downloader.download(self._current(), DAY.start.date(), again=again)

    def truth(self) -> dict[datetime, tuple[float, ...]]:
        """Return the true bars of the day: time to open, high, low, close and volume."""
        start, end = (int(bound.timestamp()) * 1000 for bound in (DAY.start, DAY.end))
        columns = self.venue.truth(self.exchange, MARKETS[self.exchange][1], start, end)
        stamps = [DAY.start + timedelta(milliseconds=ts - start) for ts in columns["ts"]]
        values = zip(
            *(columns[name] for name in ("open", "high", "low", "close", "volume")), strict=True
        )
        return dict(zip(stamps, (tuple(map(float, row)) for row in values), strict=True))

    def stored(self) -> dict[datetime, tuple[float, ...]]:
        """Return the stored bars in the same form."""
        with self.database.connect() as connection:
            return {row[0]: row[1:6] for row in stored_bars(connection, self.listing)}

    def answered(self) -> list[Interval]:
        """Return what the ledger believes to be answered."""
        with self.database.connect() as connection:
            row = connection.execute("SELECT answered FROM ledger.coverage").fetchone()
        return from_multirange(row[0]) if row else []

    def coverage(self) -> CoverageRow:
        """Return the one row of `market.coverage`."""
        with self.database.connect() as connection:
            (row,) = coverage(connection)
        return row

    def query(self, statement: str) -> list[Any]:
        """Return the rows of a query on the ledger."""
        with self.database.connect() as connection:
            return connection.execute(statement.encode()).fetchall()

    def asked(self) -> list[dict[str, Any]]:
        """Return the requests for candles that the venue has seen since it last forgot them."""
        return [request for request in self.venue.requests()["requests"] if request["symbol"]]

    def _current(self) -> Listing:
        with self.database.connect() as connection:
            return listings(connection, self.exchange)[0]


def put_in_ledger(connection: psycopg.Connection, exchange: str, start: datetime) -> Listing:
    """Put the exchange's market into the universe, wanted from `start` to the end of the day."""
    symbol, key = MARKETS[exchange]
    document = {
        "start": start,
        "providers": {exchange: {}},
        "instruments": {
            key: {
                "class": "crypto_spot",
                "listings": {exchange: {"symbol": symbol, "end": DAY.end}},
            }
        },
    }
    sync_universe(connection, Universe.model_validate(document))
    connection.commit()
    return listings(connection, exchange)[0]


@pytest.fixture
def drill(request: pytest.FixtureRequest, unlimited: VenueProcess, database: Database) -> Drill:
    with database.connect() as connection:
        listing = put_in_ledger(connection, request.param, DAY.start)
    return Drill(unlimited, database, request.param, listing)
