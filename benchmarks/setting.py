"""A ledger, a venue and a listing to measure with."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from pipeline.bars import bar_table
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.ccxt_client import CcxtProvider
from pipeline.providers.options import ProviderOptions
from pipeline.settling import Settling
from pipeline.store import copying
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.limits import LedgerLimiter
from pipeline.store.listings import listings, sync_universe
from pipeline.store.merging import Merged
from pipeline.store.migrate import migrate
from pipeline.store.server import EmbeddedServer
from pipeline.universe import Universe
from venue import VenueProcess

UNLIMITED = RateLimit(1_000_000, 1.0)
PROVIDER = "binance"
_MICROSECONDS = 60_000_000

Streams = Sequence[tuple[sql.Identifier, Sequence[bytes]]]
"""Binary COPY streams, by the table."""


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


def fill(database: Database, listing: Listing, wanted: Interval) -> int:
    """Store bars of all minutes of an interval as downloads do; return how many."""
    with database.connect() as connection:
        rows = sum(
            deliver(connection, listing, _bars(month), month).inserted for month in wanted.months()
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")
    return rows


def deliver(
    connection: psycopg.Connection, listing: Listing, bars: pa.Table, answered: Interval
) -> Merged:
    """Store the answer for an interval within a month, long after its end."""
    delivery = Delivery(
        listing_id=listing.id,
        month=answered.start.date().replace(day=1),
        answered=(answered,),
        bars=bars,
        refused=(),
        failed=(),
        received_at=datetime(2026, 6, 1, tzinfo=UTC),
        settling=Settling((timedelta(days=1),)),
    )
    return commit(connection, delivery)


def _bars(month: Interval) -> pa.Table:
    generator = np.random.default_rng(month.start.month)
    prices = 30_000 + np.cumsum(generator.normal(size=month.minutes)).round(2)
    first = int(month.start.timestamp()) * 1_000_000
    stamps = first + np.arange(month.minutes, dtype=np.int64) * _MICROSECONDS
    return bar_table(
        {
            "ts": pa.array(stamps).cast(pa.timestamp("us", tz="UTC")),
            "open": prices,
            "high": prices + 2,
            "low": prices - 2,
            "close": prices + 1,
            "volume": generator.exponential(size=month.minutes).round(6),
            "trades": generator.integers(1, 500, size=month.minutes),
        }
    )


def read_minutes(connection: psycopg.Connection, listing: Listing, during: Interval) -> None:
    """Read a listing's minutes by a bare binary COPY: the floor of all that reads them."""
    query = (
        "COPY (SELECT ts, open, high, low, close, volume, vwap, trades FROM ledger.bars_1m"
        f" WHERE listing_id = {listing.id} AND ts >= '{during.start}' AND ts < '{during.end}'"
        " ORDER BY ts) TO STDOUT (FORMAT BINARY)"
    )
    with connection.cursor() as cursor, cursor.copy(query.encode()) as copy:
        for _ in copy:
            pass


def copy_out(connection: psycopg.Connection, tables: Sequence[sql.Identifier]) -> Streams:
    """Return the binary COPY streams of tables, in pieces of a mebibyte."""
    step = 1 << 20
    streams = []
    for table in tables:
        query = sql.SQL("SELECT * FROM {}").format(table)
        whole = copying.copy_out(connection, query)
        streams.append((table, [whole[i : i + step] for i in range(0, len(whole), step)]))
    return streams


def copy_in(connection: psycopg.Connection, streams: Streams) -> None:
    """Write streams into their tables, each in a transaction: the floor of all that writes them."""
    for table, pieces in streams:
        statement = sql.SQL("COPY {} FROM STDIN (FORMAT BINARY)").format(table)
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for piece in pieces:
                copy.write(piece)
        connection.commit()


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


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
