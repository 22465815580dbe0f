"""Bars and listings made for tests."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa

from pipeline.bars import BAR_SCHEMA
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.store.listings import listings, sync_universe
from pipeline.store.session import LedgerSession
from pipeline.universe import Universe
from tests.oracle import Minute


def at(text: str) -> datetime:
    """Return an ISO 8601 moment, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    """Return a moment as the venue counts."""
    return int(moment.timestamp() * 1000)


def span(start: str, end: str) -> Interval:
    """Return a half-open interval of UTC minutes."""
    return Interval(at(start), at(end))


def bar(ts: datetime, price: float = 100.0, **other: Any) -> dict[str, Any]:
    """Return a credible bar as a row; `other` replaces its columns."""
    row = {"ts": ts, "open": price, "high": price + 1, "low": price - 1, "close": price}
    return row | {"volume": 2.5, "vwap": None, "trades": None} | other


def table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Return rows as a table of bars."""
    return pa.Table.from_pylist(list(rows), schema=BAR_SCHEMA)


def bars(interval: Interval, price: float = 100.0) -> pa.Table:
    """Return one bar for every minute of an interval, each minute's price its own."""
    minutes = [interval.start + timedelta(minutes=n) for n in range(interval.minutes)]
    return table(bar(ts, price + (ts.minute + 60 * ts.hour) / 7) for ts in minutes)


def add_listing(
    connection: psycopg.Connection, *, start: str = "2024-01-01", **options: str
) -> Listing:
    """Put one listing into the ledger through a universe, and return it."""
    document: dict[str, Any] = {
        "start": start,
        "providers": {"bitfinex": {}},
        "instruments": {
            "BTC-USD": {
                "class": "crypto_spot",
                "listings": {"bitfinex": {"symbol": "BTC/USD"} | options},
            }
        },
    }
    sync_universe(connection, Universe.model_validate(document))
    return listings(connection, "bitfinex")[0]


def stored_bars(connection: psycopg.Connection, listing: Listing) -> list[tuple[Any, ...]]:
    """Return all stored bars of a listing in order of time."""
    return connection.execute(
        """
        SELECT ts, open, high, low, close, volume, vwap, trades FROM ledger.bars_1m
        WHERE listing_id = %s ORDER BY ts
        """,
        [listing.id],
    ).fetchall()


def rows_of(bars_: pa.Table) -> list[tuple[Any, ...]]:
    """Return a table of bars in the form of `stored_bars`."""
    return [tuple(row.values()) for row in bars_.sort_by("ts").to_pylist()]


def executed(session: LedgerSession, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement in a session, and return its rows, if it is one that has any."""

    def run(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
        done = connection.execute(statement.encode())
        return done.fetchall() if done.description else []

    return session.run(run)


def made_up_minute(generator: random.Random) -> Minute:
    """Return a minute with prices about 100 that are possible together."""
    low, high = sorted(generator.uniform(90, 110) for _ in range(2))
    opens, closes, vwap = (generator.uniform(low, high) for _ in range(3))
    return Minute(opens, high, low, closes, generator.uniform(0, 9), vwap, generator.randrange(99))
