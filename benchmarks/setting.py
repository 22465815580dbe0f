"""A ledger, a venue and a listing to measure with."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.ccxt_client import CcxtProvider
from pipeline.providers.options import ProviderOptions
from pipeline.store.database import Database
from pipeline.store.limits import LedgerLimiter
from pipeline.store.listings import listings, sync_universe
from pipeline.store.migrate import migrate
from pipeline.store.server import EmbeddedServer
from pipeline.universe import Universe
from venue import VenueProcess

UNLIMITED = RateLimit(1_000_000, 1.0)
PROVIDER = "binance"


@contextmanager
def fresh_database() -> Iterator[Database]:
    """A migrated database on a server of its own, with the settings that users get."""
    folder = Path(tempfile.mkdtemp(prefix="ml-bench-"))
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "pg")
    try:
        server.start()
        database = Database(server)
        migrate(database)
        yield database
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def binance_venue(requests_per_second: float = 0) -> Iterator[VenueProcess]:
    """A venue with one Binance market that trades in every minute, without Binance's own limits."""
    market = {"listed_at": "2010-01-01T00:00:00Z", "price": 60000, "volume": 8}
    exchange = {"requests_per_second": requests_per_second, "markets": {"BTC-USDT": market}}
    with VenueProcess({"exchanges": {PROVIDER: exchange}}) as venue:
        yield venue


def put_in_ledger(database: Database, wanted: Interval) -> Listing:
    """Put the venue's market into the ledger, wanted for an interval."""
    document: dict[str, Any] = {
        "start": wanted.start,
        "providers": {PROVIDER: {}},
        "instruments": {
            "BTC-USDT": {
                "class": "crypto_spot",
                "listings": {PROVIDER: {"symbol": "BTC/USDT", "end": wanted.end}},
            }
        },
    }
    with database.connect() as connection:
        sync_universe(connection, Universe.model_validate(document))
        connection.commit()
        return listings(connection, PROVIDER)[0]


def open_client(
    database: Database,
    venue: VenueProcess,
    limit: RateLimit = UNLIMITED,
    bars_per_request: int | None = None,
) -> CcxtProvider:
    """Open a client on the venue that keeps its limit in the ledger."""
    options = ProviderOptions(
        source=PROVIDER,
        base_url=f"{venue.url}/{PROVIDER}",
        limit=limit,
        bars_per_request=bars_per_request,
    )
    return CcxtProvider(PROVIDER, options, limiter=LedgerLimiter(database, PROVIDER))


def months(first: datetime, count: int) -> Interval:
    """Return `count` whole months from the month of `first` on."""
    whole = Interval.month(first.date())
    for _ in range(count - 1):
        whole = Interval(whole.start, Interval.month(whole.end.date()).end)
    return whole


def first_days(interval: Interval) -> list[date]:
    """Return the first day of each month that an interval touches."""
    return [piece.start.date().replace(day=1) for piece in interval.months()]
