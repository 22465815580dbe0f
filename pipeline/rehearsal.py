"""What an import of files would do, without doing any of it.

What belongs here: reading the files of a listing as a download would, and comparing them with what
is stored. Nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
import pyarrow as pa

from pipeline.bars import BAR_SCHEMA
from pipeline.calendars import open_months
from pipeline.intervals import MINUTE, Interval, common, floor_minute
from pipeline.providers.errors import ProviderError
from pipeline.providers.files_client import FileReport, FilesProvider
from pipeline.providers.protocol import Holdings
from pipeline.quality import sift
from pipeline.sessions import Session
from pipeline.universe import ListingSpec

_STORED = """
SELECT b.ts, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades
FROM ledger.bars_1m b JOIN ledger.listing l ON l.id = b.listing_id
WHERE l.provider = %s AND l.key = %s AND b.ts >= %s AND b.ts < %s
"""


@dataclass(slots=True)
class Rehearsal:
    """What an import of one listing would do; times are UTC.

    Attributes:
        listing: Key of the listing.
        files: How many files it has.
        unreadable: Files that cannot be used, each with the reason.
        rows: Rows in the others.
        first: Stamp of the first row, as the start of its minute.
        last: Stamp of the last row, likewise.
        months: How many months have rows.
        duplicates: Rows that repeat another to the last value.
        refused: How many rows break which rule.
        outside: Rows before the listing's start or after its end: they are not taken.
        new: Minutes that are not stored yet.
        equal: Minutes that are stored alike.
        different: Minutes that are stored otherwise.
        vanished: Stored minutes that the files answer, and have no bar for.
        uncovered: Expected minutes of the listing's life, from the first row on, in no file.
        lacks: Why some of them are not, though files cover what is before and after.
    """

    listing: str
    files: int = 0
    unreadable: list[str] = field(default_factory=list)
    rows: int = 0
    first: datetime | None = None
    last: datetime | None = None
    months: int = 0
    duplicates: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    outside: int = 0
    new: int = 0
    equal: int = 0
    different: int = 0
    vanished: int = 0
    uncovered: int = 0
    lacks: list[str] = field(default_factory=list)

    @property
    def troubled(self) -> bool:
        """Whether something of the files would not be stored as it is, or is missing."""
        return not self.files or bool(self.unreadable or self.refused or self.lacks)


def rehearse(
    connection: psycopg.Connection | None,
    provider: FilesProvider,
    spec: ListingSpec,
    session: Session,
    now: datetime,
) -> Rehearsal:
    """Read the files of a listing and compare them with what is stored.

    Args:
        connection: The ledger; None where there is none yet.
        provider: The files.
        spec: The listing.
        session: When its market is open.
        now: The present, UTC.
    """
    told = Rehearsal(spec.key)
    try:
        reports = provider.files(spec.symbol)
    except ProviderError as error:
        told.lacks.append(str(error))
        return told
    _count_files(told, reports)
    end = min(now, spec.end or now)
    if told.first is None or told.last is None:
        return told
    start = max(spec.start, floor_minute(told.first))
    life = Interval(start, max(start, floor_minute(end)))
    expected = _expected(session, life)
    fetched = 0
    for month in Interval(floor_minute(told.first), floor_minute(told.last) + MINUTE).months():
        whole = Interval.month(month.start.date())
        held = provider.holdings(spec.symbol, spec.asset_class, whole)
        bars = _fetch(provider, spec, held)
        fetched += bars.num_rows
        told.months += bars.num_rows > 0
        _judge(told, bars, life, _stored(connection, provider.name, spec.key, held.pieces))
        told.uncovered -= sum(_minutes(piece, expected) for piece in held.pieces)
        told.lacks += [str(hole.error) for hole in held.holes if _minutes(hole.during, expected)]
    told.duplicates += told.rows - fetched
    told.uncovered += sum(piece.minutes for piece in expected)
    told.lacks = list(dict.fromkeys(told.lacks))
    return told


def _count_files(told: Rehearsal, reports: list[FileReport]) -> None:
    told.files = len(reports)
    told.unreadable = [report.error for report in reports if report.error]
    told.rows = sum(report.held.rows for report in reports if report.held)
    told.first = min((report.held.first for report in reports if report.held), default=None)
    told.last = max((report.held.last for report in reports if report.held), default=None)


def _fetch(provider: FilesProvider, spec: ListingSpec, held: Holdings) -> pa.Table:
    tables = [provider.fetch_bars(spec.symbol, spec.asset_class, one) for one in held.pieces]
    return pa.concat_tables(tables) if tables else BAR_SCHEMA.empty_table()


def _judge(told: Rehearsal, bars: pa.Table, life: Interval, stored: Mapping[datetime, Any]) -> None:
    """Note what would become of the bars of a month."""
    inside = pa.array([ts in life for ts in bars["ts"].to_pylist()], pa.bool_())
    mine = bars.filter(inside)
    told.outside += bars.num_rows - mine.num_rows
    good, refused = sift(mine)
    rules = Counter(one.rule for one in refused)
    told.duplicates += rules.pop("repeated", 0)
    told.refused += rules
    found = {row[0]: row[1:] for row in _rows(good)}
    told.new += len(found.keys() - stored.keys())
    told.equal += sum(found.get(ts) == bar for ts, bar in stored.items())
    told.different += sum(ts in found and found[ts] != bar for ts, bar in stored.items())
    told.vanished += sum(ts in life and ts not in found for ts in stored)


def _rows(bars: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in bars.columns), strict=True)


def _stored(
    connection: psycopg.Connection | None, provider: str, key: str, pieces: Iterable[Interval]
) -> dict[datetime, Any]:
    if connection is None:
        return {}
    return {
        row[0]: row[1:]
        for piece in pieces
        for row in connection.execute(_STORED, [provider, key, piece.start, piece.end])
    }


def _expected(session: Session, life: Interval) -> list[Interval]:
    """Return the minutes that are expected to have bars."""
    if not life.minutes:
        return []
    months = open_months(session, life.start.date(), life.end.date())
    return common((piece for month in months for piece in month.open), life)


def _minutes(piece: Interval, expected: Iterable[Interval]) -> int:
    """Return how many expected minutes a piece holds."""
    return sum(both.minutes for both in common(expected, piece))
