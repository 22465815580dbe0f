"""Building bars above a minute, wherever minutes have changed, however old these are.

What belongs here: the order of the steps, one month of one listing in a transaction. A process that
is killed leaves what it has not built noted as such. Doing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import psycopg
import pyarrow as pa

from pipeline.aggregation import TIMEFRAME_SCHEMA, Market, aggregate
from pipeline.bars import empty_bars
from pipeline.calendars import SessionDay
from pipeline.intervals import Interval, merged
from pipeline.store import timeframes as store
from pipeline.store.arrow import ArrowReader
from pipeline.store.database import Database
from pipeline.store.rewriting import Written
from pipeline.store.session import LedgerSession
from pipeline.timeframes import DAY, Period, Timeframe


@dataclass(slots=True)
class Built:
    """What was built of one listing.

    Attributes:
        rows: Rows written and removed, by timeframe.
        months: Months in which days or shorter bars were built anew, first days.
    """

    rows: dict[str, Written] = field(default_factory=dict)
    months: set[date] = field(default_factory=set)


def build(
    database: Database, session: LedgerSession, listing_ids: Collection[int]
) -> Mapping[int, Built]:
    """Build the bars of listings wherever their minutes have changed since the last time.

    Args:
        database: The ledger's database.
        session: A session with it.
        listing_ids: The listings.

    Returns:
        What was built of those that had something to build.

    Raises:
        psycopg.Error, DatabaseError: The ledger cannot be read or written.
    """
    work = session.run(lambda c: store.stale_listings(c, listing_ids))
    if not work:
        return {}
    wanted = session.run(store.timeframes)
    done: dict[int, Built] = {}
    with ArrowReader(database) as reader:
        for listing_id in work:
            done[listing_id] = built = Built()
            while session.run(
                partial(_build_month, reader=reader, listing=listing_id, wanted=wanted, built=built)
            ):
                pass
    return done


def _build_month(
    connection: psycopg.Connection,
    reader: ArrowReader,
    listing: int,
    wanted: Sequence[Timeframe],
    built: Built,
) -> bool:
    """Build what is to be built of the first month; return whether there was any."""
    with connection.transaction():
        stale = store.take_stale(connection, listing)
        if not stale:
            return False
        month = _Month(connection, reader, listing, stale)
        found = [*month.of_days(wanted), *month.of_periods(wanted)]
    built.months |= {first for piece in stale for first in piece.first_days()}
    for timeframe, written in found:
        name = timeframe.name
        built.rows[name] = built.rows.get(name, Written()) + written
    return True


_Found = tuple[Timeframe, Written]


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
        market = self._market(self._days)
        for timeframe in wanted:
            if timeframe.period is None:
                yield self._write(timeframe, bars, market, during)

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
            return self._write(timeframe, empty_bars(), None, self._stale)
        first, before = period.first_day(min(dates)), period.next_first_day(max(dates))
        days = store.days_between(self._connection, self._listing, first, before)
        whole = [Interval(days[0].start, days[-1].end)] if days else []
        bars = [store.stored_bars(self._connection, self._listing, DAY, one) for one in whole]
        during = list(merged(sorted([*whole, *(one for _, one in stored)])))
        below = bars[0] if bars else empty_bars()
        return self._write(timeframe, below, self._market(days), during)

    def _market(self, days: Sequence[SessionDay]) -> Market | None:
        return store.market_of(self._connection, self._listing, days) if days else None

    def _write(
        self,
        timeframe: Timeframe,
        below: pa.Table,
        market: Market | None,
        during: Sequence[Interval],
    ) -> _Found:
        bars = TIMEFRAME_SCHEMA.empty_table()
        if market is not None:
            bars = aggregate(below, timeframe, market)
        return timeframe, store.write_bars(self._connection, self._listing, timeframe, bars, during)
