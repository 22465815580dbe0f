"""Making one series of an instrument's listings, wherever these have changed, however old that is.

What belongs here: the order of the steps in one month of one instrument.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from psycopg import sql

from pipeline.aggregation import Market, Moments, Parts, Spans, aggregate, moments_of, parts_of
from pipeline.bars import COMBINED_SCHEMA
from pipeline.calendars import SessionDay
from pipeline.catching_up import CaughtUp, catch_up
from pipeline.consolidation import METHODS, joined, method_name
from pipeline.intervals import Interval, common, merged
from pipeline.store import consolidated as store
from pipeline.store import consolidated_series as series
from pipeline.store.arrow import ArrowReader
from pipeline.store.consolidated import Instrument
from pipeline.store.consolidated_series import BUILT_SCHEMA
from pipeline.store.database import Database
from pipeline.store.notes import UNCONSOLIDATED
from pipeline.store.rewriting import Owner, Stray, Written, rewrite
from pipeline.store.session import LedgerSession
from pipeline.store.timeframes import days_between, days_during, minutes_query
from pipeline.timeframes import DAY, Period, Timeframe

_LONG_CLOSED = timedelta(days=40)
"""No market is closed for longer between two of its days."""


def consolidate(
    database: Database, session: LedgerSession, instrument_ids: Collection[int]
) -> Mapping[int, CaughtUp]:
    """Bring the series of instruments in step with their listings.

    Args:
        database: The ledger's database.
        session: A session with it.
        instrument_ids: The instruments.

    Returns:
        What was done for those that had something to do, by number; `1m` are combined minutes.

    Raises:
        psycopg.Error, DatabaseError: The ledger cannot be read or written.
        ValueError: The ledger names a method that is not known.
    """
    return catch_up(database, session, UNCONSOLIDATED, instrument_ids, _month)


def _month(
    connection: psycopg.Connection,
    reader: ArrowReader,
    instrument_id: int,
    noted: Sequence[Interval],
    wanted: Sequence[Timeframe],
) -> Iterator[tuple[str, Written]]:
    instrument = store.instrument_of(connection, instrument_id)
    work = _Month(connection, reader, instrument, noted)
    yield from work.combined()
    yield from work.of_days(wanted)
    yield from work.of_periods(wanted)


class _Month:
    """One instrument's series around what has changed in one month."""

    def __init__(
        self,
        connection: psycopg.Connection,
        reader: ArrowReader,
        instrument: Instrument,
        noted: Sequence[Interval],
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._instrument = instrument
        self._owner = Owner("instrument_id", instrument.id)
        self._method = METHODS[method_name(instrument.method)]
        self._month = noted[0].start.date().replace(day=1)
        self._claims = sorted(
            store.claims(connection, instrument.id, self._month), key=self._method.order
        )
        changed = store.share(
            connection,
            instrument.id,
            self._month,
            [claim.listing_id for claim in self._claims],
            combines=self._method.combine is not None,
        )
        self._touched = list(merged(sorted([*noted, *changed])))
        self._days = days_during(connection, instrument.lead, self._touched)

    def combined(self) -> Iterator[tuple[str, Written]]:
        """Combine the minutes that several delivered."""
        together = store.combined(self._connection, self._instrument.id, self._month)
        parts = [part for one in self._touched for part in common(together, one)]
        bars = COMBINED_SCHEMA.empty_table()
        if parts and self._method.combine is not None:
            self._connection.execute("SELECT ledger.ensure_combined_month(%s)", [self._month])
            bars = self._method.combine(
                [
                    (claim.provider, self._minutes_of(claim.listing_id, parts))
                    for claim in self._claims
                    if claim.in_universe
                ]
            )
        table = sql.Identifier("ledger", "combined_1m")
        yield "1m", rewrite(self._connection, table, self._owner, bars, self._touched)

    def _minutes_of(self, listing_id: int, parts: Sequence[Interval]) -> pa.Table:
        around = Interval(parts[0].start, parts[-1].end)
        bars = self._reader.read(minutes_query(listing_id, around))
        return bars.filter(pa.array(Spans(parts).hold(moments_of(bars))))

    def of_days(self, wanted: Sequence[Timeframe]) -> Iterator[tuple[str, Written]]:
        """Build those bars of a day and below in which minutes of several listings meet."""
        whole = [Interval(day.start, day.end) for day in self._days]
        during = list(merged(sorted([*whole, *self._touched])))
        hull = Interval(during[0].start, during[-1].end)
        meeting = _Meeting(store.shared(self._connection, self._instrument.id, hull))
        mixed = [one for one in whole if meeting.anywhere(one)]
        minutes = [
            series.minutes(self._connection, self._instrument.key, piece) for piece in merged(mixed)
        ]
        below = pa.concat_tables(minutes) if minutes else COMBINED_SCHEMA.empty_table()
        parts = self._parts(below, self._days)
        for timeframe in wanted:
            if timeframe.period is None:
                bars = parts.bars(timeframe, meeting)
                yield timeframe.name, self._write(timeframe, bars, during)

    def of_periods(self, wanted: Sequence[Timeframe]) -> Iterator[tuple[str, Written]]:
        """Build those bars of weeks and longer in which minutes of several listings meet."""
        near = self._near()
        for timeframe in wanted:
            if timeframe.period is None:
                continue
            days, during = self._period(timeframe.period, near)
            hull = Interval(during[0].start, during[-1].end)
            meeting = _Meeting(store.shared(self._connection, self._instrument.id, hull))
            below = BUILT_SCHEMA.empty_table()
            if days and meeting.anywhere(hull):
                below = series.bars(self._connection, self._instrument.key, DAY, hull)
            bars = self._parts(below, days).bars(timeframe, meeting)
            yield timeframe.name, self._write(timeframe, bars, during)

    def _near(self) -> Sequence[SessionDay]:
        """Return the days that are touched, and one before and after what is.

        A night or a weekend that is touched lies in a bar of its week or month, too.
        """
        since, before = self._touched[0].start, self._touched[-1].end
        around = days_between(
            self._connection,
            self._instrument.lead,
            (since - _LONG_CLOSED).date(),
            (before + _LONG_CLOSED).date(),
        )
        return [
            *[day for day in around if day.start <= since][-1:],
            *self._days,
            *[day for day in around if day.end >= before][:1],
        ]

    def _period(
        self, period: Period, near: Sequence[SessionDay]
    ) -> tuple[Sequence[SessionDay], Sequence[Interval]]:
        """Return all days of the periods that are touched, and from where to where these reach."""
        if not near:
            return [], self._touched
        first, last = period.first_day(near[0].day), period.next_first_day(near[-1].day)
        found = days_between(self._connection, self._instrument.lead, first - _LONG_CLOSED, last)
        days = [day for day in found if day.day >= first]
        earlier = [day.end for day in found if day.day < first]
        # A period that begins later than it did leaves no bar behind.
        start = earlier[-1] if earlier else days[0].start
        return days, list(merged(sorted([Interval(start, days[-1].end), *self._touched])))

    def _parts(self, below: pa.Table, days: Sequence[SessionDay]) -> _Parts:
        around = days if below.num_rows else []
        return _Parts(below, store.market_of(self._connection, self._instrument.id, around))

    def _write(self, timeframe: Timeframe, bars: pa.Table, during: Sequence[Interval]) -> Written:
        table = sql.Identifier("ledger", f"consolidated_{timeframe}")
        stray = Stray(self._touched, timeframe.reach)
        return rewrite(self._connection, table, self._owner, bars, during, stray=stray)


class _Meeting:
    """Where minutes of several listings meet, so that no bar above them is a listing's own."""

    def __init__(self, shared: Sequence[Sequence[Interval]]) -> None:
        self._shared = [Spans(of_one) for of_one in shared]

    def of(self, starts: Moments, ends: Moments) -> NDArray[np.bool_]:
        """Return which bars, by their bounds, are not the own ones of any listing."""
        meet = np.ones(len(starts), dtype=np.bool_)
        for of_one in self._shared:
            meet &= of_one.passed(ends) > of_one.passed(starts)
        return meet

    def anywhere(self, during: Interval) -> bool:
        """Return whether there may be such a bar during a time."""
        bounds = np.array([during.start.timestamp(), during.end.timestamp()]).astype(np.int64) // 60
        return bool(self.of(bounds[:1], bounds[1:])[0])


class _Parts:
    """Minutes, or days, of which bars of a series are made, and whose they are."""

    def __init__(self, below: pa.Table, market: Market) -> None:
        self._market = market
        self._parts = Parts.of(below, market)
        self._providers = parts_of(below, market)["provider"].to_pylist()

    def bars(self, timeframe: Timeframe, meeting: _Meeting) -> pa.Table:
        """Return those bars in which minutes of several listings meet, with `BUILT_SCHEMA`."""
        bars = aggregate(self._parts, timeframe, self._market)
        bars = bars.filter(pa.array(meeting.of(moments_of(bars), moments_of(bars, "before"))))
        first = np.searchsorted(self._parts.ts, moments_of(bars))
        last = np.searchsorted(self._parts.ts, moments_of(bars, "before"))
        names = [joined(set(self._providers[i:j])) for i, j in zip(first, last, strict=True)]
        return bars.append_column(BUILT_SCHEMA.field("provider"), pa.array(names, pa.string()))
