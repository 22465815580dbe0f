"""Building bars above a minute, wherever minutes have changed, however old these are.

What belongs here: the order of the steps in one month of one listing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import psycopg
import pyarrow as pa

from pipeline.aggregation import TIMEFRAME_SCHEMA, Parts, aggregate
from pipeline.bars import empty_bars
from pipeline.catching_up import CaughtUp, catch_up
from pipeline.intervals import Interval, merged
from pipeline.store import timeframes as store
from pipeline.store.arrow import ArrowReader
from pipeline.store.consolidated import note_unconsolidated
from pipeline.store.database import Database
from pipeline.store.notes import STALE
from pipeline.store.rewriting import Written
from pipeline.store.session import LedgerSession
from pipeline.timeframes import DAY, Period, Timeframe

_Found = tuple[str, Written]


def build(
    database: Database, session: LedgerSession, listing_ids: Collection[int]
) -> Mapping[int, CaughtUp]:
    """Build the bars of listings wherever their minutes have changed since the last time.

    Args:
        database: The ledger's database.
        session: A session with it.
        listing_ids: The listings.

    Returns:
        What was built of those that had something to build, by number.

    Raises:
        psycopg.Error, DatabaseError: The ledger cannot be read or written.
    """
    return catch_up(database, session, STALE, listing_ids, _build_month)


def _build_month(
    connection: psycopg.Connection,
    reader: ArrowReader,
    listing_id: int,
    stale: Sequence[Interval],
    wanted: Sequence[Timeframe],
) -> Iterator[_Found]:
    note_unconsolidated(connection, listing_id, stale)
    month = _Month(connection, reader, listing_id, stale)
    yield from month.of_days(wanted)
    yield from month.of_periods(wanted)


class _Month:
    """One listing's bars around minutes of one month that have changed."""

    def __init__(
        self,
        connection: psycopg.Connection,
        reader: ArrowReader,
        listing: int,
        stale: Sequence[Interval],
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._listing = listing
        self._stale = stale
        self._days = store.days_during(connection, listing, stale)

    def of_days(self, wanted: Sequence[Timeframe]) -> Iterator[_Found]:
        """Build bars of a day and below from the minutes of the days that have changed."""
        whole = list(merged(Interval(day.start, day.end) for day in self._days))
        during = list(merged(sorted([*whole, *self._stale])))
        minutes = [self._reader.read(store.minutes_query(self._listing, piece)) for piece in whole]
        bars = pa.concat_tables(minutes) if minutes else empty_bars()
        market = store.market_of(self._connection, self._listing, self._days)
        parts = Parts.of(bars, market)
        for timeframe in wanted:
            if timeframe.period is None:
                yield self._write(timeframe, aggregate(parts, timeframe, market), during)

    def of_periods(self, wanted: Sequence[Timeframe]) -> Iterator[_Found]:
        """Build bars of weeks and longer from bars of a day, after these."""
        for timeframe in wanted:
            if timeframe.period is not None:
                yield self._of_period(timeframe, timeframe.period)

    def _of_period(self, timeframe: Timeframe, period: Period) -> _Found:
        """Build the bars of all periods in which something has changed, or no longer is."""
        stored = store.bars_touching(self._connection, self._listing, timeframe, self._stale)
        dates = [*(day.day for day in self._days), *(day for day, _ in stored)]
        if not dates:
            return self._write(timeframe, TIMEFRAME_SCHEMA.empty_table(), self._stale)
        first, before = period.first_day(min(dates)), period.next_first_day(max(dates))
        days = store.days_between(self._connection, self._listing, first, before)
        whole = [Interval(days[0].start, days[-1].end)] if days else []
        below = [store.stored_bars(self._connection, self._listing, DAY, one) for one in whole]
        market = store.market_of(self._connection, self._listing, days)
        parts = Parts.of(pa.concat_tables([*below, TIMEFRAME_SCHEMA.empty_table()]), market)
        during = list(merged(sorted([*whole, *(one for _, one in stored)])))
        return self._write(timeframe, aggregate(parts, timeframe, market), during)

    def _write(self, timeframe: Timeframe, bars: pa.Table, during: Sequence[Interval]) -> _Found:
        written = store.write_bars(
            self._connection, self._listing, timeframe, bars, during, changed=self._stale
        )
        return timeframe.name, written
