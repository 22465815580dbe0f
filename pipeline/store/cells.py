"""Questions about many cells at once; a cell is one listing's month.

What belongs here: reading what became of the cells of a run, in as few queries as it takes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import psycopg
from psycopg.rows import class_row

from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.store import listings
from pipeline.store.coverage import CoverageRow, coverage

_WEEK = timedelta(days=7)
_FAILING = """
SELECT DISTINCT l.key, ledger.month_of(lower(f.during))
FROM ledger.fetch_failure f JOIN ledger.listing l ON l.id = f.listing_id WHERE l.provider = %s
"""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One month of one of a provider's listings; `month` is its first day."""

    listing: str
    month: date


@dataclass(frozen=True, slots=True)
class CellState:
    """What the ledger says about a cell, and what its table of bars really holds.

    Attributes:
        coverage: What became of its minutes; None when none are expected.
        stored: Rows counted in the table of bars.
    """

    coverage: CoverageRow | None
    stored: int

    @property
    def adds_up(self) -> bool:
        """Whether each minute is accounted for once, and the bars accounted for are there."""
        if self.coverage is None:
            return self.stored == 0
        noted = self.coverage.bars + self.coverage.extended
        return self.coverage.adds_up and noted == self.stored


@dataclass(frozen=True, slots=True)
class Slice:
    """One of the equal slices that a month is cut into, when it has bars.

    Attributes:
        number: Which slice; they are numbered from 0.
        low: Lowest close.
        high: Highest close.
    """

    number: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Candle:
    """The bar of one day of trading, without its volume.

    Attributes:
        day: Its date, as the market has it.
        open: First price.
        high: Highest price.
        low: Lowest price.
        close: Last price.
        complete: Whether the provider has answered for all its minutes.
    """

    day: date
    open: float
    high: float
    low: float
    close: float
    complete: bool


def known_listings(
    connection: psycopg.Connection, provider: str, keys: Iterable[str]
) -> dict[str, Listing]:
    """Return those of the named listings that the ledger has, by key."""
    rows = connection.execute(
        "SELECT key FROM ledger.listing WHERE provider = %s AND key = ANY(%s)",
        [provider, sorted(set(keys))],
    ).fetchall()
    known = listings.listings(connection, provider, [key for (key,) in rows])
    return {listing.key: listing for listing in known}


def failing_cells(connection: psycopg.Connection, provider: str) -> set[Cell]:
    """Return the listings and months of a provider in which minutes have failed."""
    return {Cell(key, month) for key, month in connection.execute(_FAILING, [provider])}


def open_cells(
    connection: psycopg.Connection,
    provider: str | None = None,
    listing: str | None = None,
    first: date | None = None,
    last: date | None = None,
) -> dict[str, list[Cell]]:
    """Return, by provider, the cells with failed or pending minutes.

    Args:
        connection: An open connection.
        provider: Only this provider; None for all.
        listing: Only listings of this key; None for all.
        first: Only months from the one of this first day on; None for all.
        last: Only months up to and with the one of this first day; None for all.
    """
    rows = connection.execute(
        """
        SELECT provider, listing, month FROM market.coverage
        WHERE provider = coalesce(%s, provider) AND listing = coalesce(%s, listing)
          AND month BETWEEN coalesce(%s, month) AND coalesce(%s, month) AND failed + pending > 0
        ORDER BY provider, listing, month
        """,
        [provider, listing, first, last],
    ).fetchall()
    found: dict[str, list[Cell]] = {}
    for name, key, month in rows:
        found.setdefault(name, []).append(Cell(key, month))
    return found


def states(
    connection: psycopg.Connection, provider: str, cells: Collection[Cell]
) -> dict[Cell, CellState]:
    """Return the state of each cell, all of them seen at one moment."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        covered = _coverage(connection, provider, cells)
        stored = _stored(connection, provider, cells)
    return {cell: CellState(covered.get(cell), stored.get(cell, 0)) for cell in cells}


def _coverage(
    connection: psycopg.Connection, provider: str, cells: Collection[Cell]
) -> Mapping[Cell, CoverageRow]:
    named, months = {cell.listing for cell in cells}, {cell.month for cell in cells}
    rows = coverage(connection, provider, named, months)
    return {Cell(row.listing, row.month): row for row in rows}


def _stored(
    connection: psycopg.Connection, provider: str, cells: Collection[Cell]
) -> Mapping[Cell, int]:
    months = [Interval.month(cell.month) for cell in cells]
    rows = connection.execute(
        """
        SELECT cell.key, cell.month,
               (SELECT count(*) FROM ledger.bars_1m b
                WHERE b.listing_id = l.id AND b.ts >= cell.since AND b.ts < cell.before)
        FROM unnest(%s::text[], %s::date[], %s::timestamptz[], %s::timestamptz[])
             AS cell(key, month, since, before)
        JOIN ledger.listing l ON l.provider = %s AND l.key = cell.key
        """,
        [
            [cell.listing for cell in cells],
            [cell.month for cell in cells],
            [month.start for month in months],
            [month.end for month in months],
            provider,
        ],
    ).fetchall()
    return {Cell(key, month): count for key, month, count in rows}


def slices(
    connection: psycopg.Connection, listing_id: int, month: date, number: int
) -> list[Slice]:
    """Cut a month into `number` equal slices and return those that have bars, in order of time."""
    whole = Interval.month(month)
    with connection.cursor(row_factory=class_row(Slice)) as cursor:
        cursor.execute(
            """
            SELECT floor(extract(epoch FROM ts - %(since)s) * %(number)s
                         / extract(epoch FROM %(before)s - %(since)s))::integer AS number,
                   min(close) AS low, max(close) AS high
            FROM ledger.bars_1m
            WHERE listing_id = %(listing)s AND ts >= %(since)s AND ts < %(before)s
            GROUP BY 1 ORDER BY 1
            """,
            {"listing": listing_id, "since": whole.start, "before": whole.end, "number": number},
        )
        return cursor.fetchall()


def candles(connection: psycopg.Connection, listing_id: int, month: date) -> list[Candle]:
    """Return the stored bars of a month's days of trading, in order; `1d` is to be built."""
    whole = Interval.month(month)
    with connection.cursor(row_factory=class_row(Candle)) as cursor:
        cursor.execute(
            """
            SELECT session_date AS day, open, high, low, close, complete FROM ledger.bars_1d
            WHERE listing_id = %s AND ts >= %s AND ts < %s AND session_date >= %s
              AND session_date < %s
            ORDER BY ts
            """,
            # The first day of trading may begin in the month before.
            [listing_id, whole.start - _WEEK, whole.end, whole.start.date(), whole.end.date()],
        )
        return cursor.fetchall()
