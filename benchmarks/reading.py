"""A year of minutes into pandas, against reading the same rows by a bare binary COPY."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from benchmarks.figures import Figure
from benchmarks.setting import (
    PROVIDER,
    fill,
    fresh_database,
    months,
    put_in_ledger,
    read_minutes,
    timed,
)
from pipeline.reading import connect

ROUNDS = 9
_YEAR = months(datetime(2023, 1, 1, tzinfo=UTC), 12)


def run() -> Iterator[Figure]:
    """Measure, and yield the figures."""
    with fresh_database() as database:
        listing = put_in_ledger(database, _YEAR)
        rows = fill(database, listing, _YEAR)
        reads = {"bare binary COPY": [], "into pandas": [], "into Arrow": []}  # type: dict[str, list[float]]
        newest: list[float] = []
        with database.connect() as connection, connect(database.url()) as ledger:
            for _ in range(ROUNDS):
                reads["bare binary COPY"].append(
                    timed(lambda: read_minutes(connection, listing, _YEAR))
                )
                reads["into pandas"].append(timed(lambda: _read(ledger.bars)))
                reads["into Arrow"].append(timed(lambda: _read(ledger.arrow.bars)))
                newest.append(timed(lambda: ledger.bars("BTC-USDT", limit=100)))
    for name, times in reads.items():
        yield Figure(f"{name}, {rows:,} rows", f"{rows / statistics.median(times):,.0f} rows/s")
    yield Figure("the newest 100 of them", f"{statistics.median(newest) * 1000:,.0f} ms")
    floor = reads["bare binary COPY"]
    ratio = statistics.median(o / f for o, f in zip(reads["into pandas"], floor, strict=True))
    yield Figure("into pandas / bare COPY", f"{ratio:.2f}x", "<= 1.50x", ratio <= 1.5)


def _read(bars: Callable[..., object]) -> object:
    return bars("BTC-USDT", provider=PROVIDER, since=_YEAR.start, before=_YEAR.end)
