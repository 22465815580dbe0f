"""What a ledger holds, in the form of `published`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pipeline.intervals import Interval
from pipeline.store.database import Database
from tests.oracle import Bar
from tests.realdata.published import Bars

_TABLES = ("bars_1m", "coverage", "fetch_failure", "bar_revision", "quarantine")


def stored(database: Database, listing: str) -> Bars:
    """Return the stored bars of a listing."""
    rows = query(
        database,
        """
        SELECT b.ts, b.open, b.high, b.low, b.close, b.volume
        FROM ledger.bars_1m b JOIN ledger.listing l ON l.id = b.listing_id WHERE l.key = %s
        """,
        listing,
    )
    return {ts: tuple(values) for ts, *values in rows}


def bars_above(database: Database, listing: str, timeframe: str) -> list[Bar]:
    """Return the bars of a timeframe of a listing as an analyst reads them, in order of time."""
    columns = ", ".join(Bar._fields)
    statement = f"SELECT {columns} FROM market.bars_{timeframe} WHERE listing = %s ORDER BY ts"
    return [Bar(*row) for row in query(database, statement, listing)]


def query(database: Database, statement: str, *values: object) -> Sequence[tuple[Any, ...]]:
    """Return the rows of a query."""
    with database.connect() as connection:
        return connection.execute(statement.encode(), values).fetchall()


def versions(database: Database) -> dict[str, Any]:
    """Return what changes when any row of the ledger is written, even with the same values."""
    statement = """
        SELECT count(*), coalesce(sum(hashtextextended(t::text || t.xmin::text, 0)), 0)
        FROM ledger.{} t
    """
    return {table: query(database, statement.format(table))[0] for table in _TABLES}


class Gap(NamedTuple):
    """Answered minutes without a bar, from the first one to the first minute after them; UTC."""

    since: datetime
    before: datetime
    minutes: int
    reason: str
    evidence: str | None


def gaps(database: Database, listing: str, during: Interval) -> list[Gap]:
    """Return the gaps of a listing that touch an interval, those without a trade among them."""
    rows = query(
        database,
        """
        SELECT since, before, minutes, reason, evidence FROM market.gaps
        WHERE state = 'empty' AND listing = %s AND since < %s AND before > %s
        UNION ALL
        SELECT since, before, minutes, 'no_trade', NULL
        FROM ledger.listing l
        CROSS JOIN LATERAL market.quiet_gaps(l.provider, l.key, %s, %s) WHERE l.key = %s
        ORDER BY since
        """,
        listing,
        during.end,
        during.start,
        during.start,
        during.end,
        listing,
    )
    return [Gap(*row) for row in rows]
