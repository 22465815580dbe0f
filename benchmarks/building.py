"""Bars above a minute: building a year of them, and building them anew after one minute changed.

The floor of a year is a bare binary COPY of its minutes out and of the resulting rows in.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg
import pyarrow.compute as pc
from psycopg import sql

from benchmarks.figures import Figure
from benchmarks.memory import peak, resident
from benchmarks.setting import (
    Streams,
    copy_in,
    copy_out,
    deliver,
    fill,
    fresh_database,
    months,
    put_in_ledger,
    read_minutes,
    timed,
)
from pipeline.building import build
from pipeline.catching_up import CaughtUp
from pipeline.intervals import MINUTE, Interval
from pipeline.listing import Listing
from pipeline.settings import load_settings
from pipeline.store.arrow import ArrowReader
from pipeline.store.database import Database
from pipeline.store.rewriting import Written
from pipeline.store.session import LedgerSession
from pipeline.store.timeframes import mark_stale, minutes_query
from pipeline.timeframes import USUAL

ROUNDS, CHANGES, YEARS = 9, 40, 10
_YEAR = months(datetime(2023, 1, 1, tzinfo=UTC), 12)
_MONTH, _DECADE = (months(datetime(2015, 1, 1, tzinfo=UTC), count) for count in (1, 12 * YEARS))
_TABLES = [sql.Identifier("ledger", f"bars_{name}") for name in USUAL]
_TO_FLOOR, _TO_MINUTES, _TO_MONTH = 2.0, 1.5, 2.0


def run() -> Iterator[Figure]:
    """Measure, and yield the figures."""
    with fresh_database() as database:
        listing = put_in_ledger(database, _YEAR)
        minutes = fill(database, listing, _YEAR)
        yield from _of_a_year(database, listing, minutes)
        yield from _memory(database, listing)
    with fresh_database() as short, fresh_database() as long:
        yield from _of_a_minute(_Stored(short, _MONTH), _Stored(long, _DECADE))


def _of_a_year(database: Database, listing: Listing, minutes: int) -> Iterator[Figure]:
    """Build a year of eight timeframes where there are none, and over what is there."""
    floor, empty, again = [], [], []
    with LedgerSession(database) as session, database.connect() as connection:
        connection.autocommit = True
        rebuild = partial(_rebuild, database, session, listing)
        rows = sum(written.written for written in rebuild().rows.values())
        streams = copy_out(connection, _TABLES)
        for _ in range(ROUNDS):
            _empty(connection)
            floor.append(timed(lambda: _copy(connection, listing, streams)))
            _empty(connection)
            empty.append(timed(rebuild))
            connection.execute("CHECKPOINT")
            again.append(timed(rebuild))
    yield Figure(
        f"COPY of {minutes:,} minutes and of {rows:,} rows above them, bare",
        f"{statistics.median(floor):.2f} s",
    )
    for name, times in (("into empty tables", empty), ("over rows that are there", again)):
        ratio = statistics.median(o / f for o, f in zip(times, floor, strict=True))
        yield Figure(
            f"a year rebuilt {name} / bare COPY",
            f"{statistics.median(times):.2f} s, {ratio:.2f}x",
            f"<= {_TO_FLOOR:.2f}x",
            ratio <= _TO_FLOOR,
        )


def _copy(connection: psycopg.Connection, listing: Listing, streams: Streams) -> None:
    """Read the year's minutes and write the rows above them, and nothing else."""
    read_minutes(connection, listing, _YEAR)
    copy_in(connection, streams)


def _empty(connection: psycopg.Connection) -> None:
    connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(_TABLES)))
    connection.execute("CHECKPOINT")


def _rebuild(database: Database, session: LedgerSession, listing: Listing) -> CaughtUp:
    session.run(partial(mark_stale, listing_id=listing.id, during=_YEAR))
    return build(database, session, [listing.id])[listing.id]


def _memory(database: Database, listing: Listing) -> Iterator[Figure]:
    """Rebuild the year in a process of its own."""
    with ArrowReader(database) as reader:
        minutes = reader.read(minutes_query(listing.id, _YEAR)).nbytes / (1 << 20)
    command = [sys.executable, "-m", "benchmarks.building", database.url(), str(listing.id)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    more: float = json.loads(done.stdout)
    yield Figure("a year of minutes as an Arrow table", f"{minutes:,.0f} MiB")
    yield Figure(
        "rebuilding it, peak memory of the process above what it had before",
        f"{more:,.0f} MiB, {more / minutes:.2f}x",
        f"<= {_TO_MINUTES:.2f}x",
        more <= _TO_MINUTES * minutes,
    )


class _Stored:
    """A ledger with minutes of some months and the bars above them."""

    def __init__(self, database: Database, wanted: Interval) -> None:
        self._database = database
        self._session = LedgerSession(database)
        self._listing = put_in_ledger(database, wanted)
        self._connection = database.connect()
        self._connection.autocommit = True
        fill(database, self._listing, wanted)
        self._session.run(partial(mark_stale, listing_id=self._listing.id, during=wanted))
        build(database, self._session, [self._listing.id])
        self._connection.execute("VACUUM ANALYZE")

    def change(self, minute: datetime) -> tuple[float, Mapping[str, Written]]:
        """Have a minute come back different; return what building took, and the rows written."""
        during = Interval(minute, minute + MINUTE)
        with ArrowReader(self._database) as reader:
            bars = reader.read(minutes_query(self._listing.id, during))
        volume = pc.add(bars["volume"], 1.0)
        bars = bars.set_column(bars.column_names.index("volume"), "volume", volume)
        if deliver(self._connection, self._listing, bars, during).revised != 1:
            raise RuntimeError(f"the minute {minute} was not revised")
        built: dict[str, Written] = {}

        def work() -> None:
            of_listing = build(self._database, self._session, [self._listing.id])
            built.update(of_listing[self._listing.id].rows)

        return timed(work), built

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
        self._connection.close()


def _of_a_minute(short: _Stored, long: _Stored) -> Iterator[Figure]:
    """Change minutes of January 2015 where only that is stored, and of all 2015 in ten years."""
    costs: dict[_Stored, list[float]] = {short: [], long: []}
    rows: set[int] = set()
    for number in range(CHANGES):
        for stored, during in ((short, _MONTH), (long, months(_MONTH.start, 12))):
            # A prime number of minutes apart, so that no two lie alike in their bars.
            minute = during.start + timedelta(minutes=number * 10_007 % during.minutes)
            seconds, written = stored.change(minute)
            costs[stored].append(seconds)
            rows |= {written.get(name, Written()).written for name in USUAL}
    for stored in costs:
        stored.close()
    alone, among = (statistics.median(times) * 1000 for times in costs.values())
    ratio = statistics.median(o / a for a, o in zip(*costs.values(), strict=True))
    yield Figure("one changed minute, a month stored", f"{alone:.0f} ms")
    yield Figure(
        f"one changed minute of 2015, {YEARS} years stored / a month",
        f"{among:.0f} ms, {ratio:.2f}x",
        f"<= {_TO_MONTH:.2f}x",
        ratio <= _TO_MONTH,
    )
    yield Figure("rows that it changes of each timeframe", _said(rows), "1", rows == {1})


def _said(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def _build_in_process(url: str, listing_id: int) -> None:
    """Rebuild a listing's year and print by how many MiB that raised this process's memory.

    A day of it is built before, so that the code that is loaded for it does not count.
    """
    database = Database.from_settings(load_settings(database_url=url))
    day = Interval(_YEAR.start, _YEAR.start + timedelta(days=1))
    with LedgerSession(database) as session:
        for during in (day, _YEAR):
            before = resident()
            session.run(partial(mark_stale, listing_id=listing_id, during=during))
            build(database, session, [listing_id])
    sys.stdout.write(str(peak() - before))


if __name__ == "__main__":
    _build_in_process(sys.argv[1], int(sys.argv[2]))
