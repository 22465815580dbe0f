"""A year of minutes into pandas, against reading the same rows by a bare binary COPY."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pyarrow as pa

from benchmarks.figures import Figure
from benchmarks.setting import PROVIDER, fresh_database, months, put_in_ledger
from pipeline.bars import bar_table
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.reading import connect
from pipeline.settling import Settling
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit

ROUNDS = 9
_YEAR = months(datetime(2023, 1, 1, tzinfo=UTC), 12)
_MICROSECONDS = 60_000_000


def run() -> Iterator[Figure]:
    """Measure, and yield the figures."""
    with fresh_database() as database:
        listing = put_in_ledger(database, _YEAR)
        rows = _fill(database, listing)
        reads = {"bare binary COPY": [], "into pandas": [], "into Arrow": []}  # type: dict[str, list[float]]
        newest: list[float] = []
        with database.connect() as connection, connect(database.url()) as ledger:
            for _ in range(ROUNDS):
                reads["bare binary COPY"].append(_timed(lambda: _bare(connection, listing)))
                reads["into pandas"].append(_timed(lambda: _read(ledger.bars)))
                reads["into Arrow"].append(_timed(lambda: _read(ledger.arrow.bars)))
                newest.append(_timed(lambda: ledger.bars("BTC-USDT", limit=100)))
    for name, times in reads.items():
        yield Figure(f"{name}, {rows:,} rows", f"{rows / statistics.median(times):,.0f} rows/s")
    yield Figure("the newest 100 of them", f"{statistics.median(newest) * 1000:,.0f} ms")
    floor = reads["bare binary COPY"]
    ratio = statistics.median(o / f for o, f in zip(reads["into pandas"], floor, strict=True))
    yield Figure("into pandas / bare COPY", f"{ratio:.2f}x", "<= 1.50x", ratio <= 1.5)


def _fill(database: Database, listing: Listing) -> int:
    """Store a year of minutes as downloads do; return how many."""
    rows = 0
    with database.connect() as connection:
        for month in _YEAR.months():
            delivery = Delivery(
                listing_id=listing.id,
                month=month.start.date(),
                answered=(month,),
                bars=_bars(month),
                refused=(),
                failed=(),
                received_at=datetime(2024, 6, 1, tzinfo=UTC),
                settling=Settling((timedelta(days=1),)),
            )
            rows += commit(connection, delivery).inserted
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")
    return rows


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


def _bare(connection: psycopg.Connection, listing: Listing) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY (SELECT ts, open, high, low, close, volume, vwap, trades FROM ledger.bars_1m"
            f" WHERE listing_id = {listing.id} AND ts >= '{_YEAR.start}' AND ts < '{_YEAR.end}'"
            " ORDER BY ts) TO STDOUT (FORMAT BINARY)".encode()
        ) as copy,
    ):
        for _ in copy:
            pass


def _read(bars: Callable[..., object]) -> object:
    return bars("BTC-USDT", provider=PROVIDER, since=_YEAR.start, before=_YEAR.end)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
