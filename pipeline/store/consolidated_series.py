"""Reading consolidated series: minutes, bars above them, and whose they are.

What belongs here: the statements, on the views that analysts read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.rows import class_row

from pipeline.aggregation import TIMEFRAME_SCHEMA
from pipeline.bars import COMBINED_SCHEMA
from pipeline.intervals import Interval
from pipeline.store.copying import column_list, fetch_rows
from pipeline.timeframes import Timeframe

BUILT_SCHEMA = TIMEFRAME_SCHEMA.append(COMBINED_SCHEMA.field("provider"))
"""Columns of consolidated bars above a minute."""

_SERVED = """
SELECT provider, coalesce(b.bars, 0) AS bars, s.minutes, s.reason
FROM (SELECT provider, count(*) AS bars FROM market.consolidated_1m
      WHERE instrument = %(name)s AND ts >= %(since)s AND ts < %(before)s GROUP BY provider) AS b
FULL JOIN (SELECT provider, minutes, reason FROM market.consolidated_segments
           WHERE instrument = %(name)s AND month = %(month)s AND provider IS NOT NULL) AS s
USING (provider)
ORDER BY s.minutes DESC NULLS FIRST, provider
"""


def minutes(connection: psycopg.Connection, instrument: str, during: Interval) -> pa.Table:
    """Return the consolidated minutes of a time, with `COMBINED_SCHEMA`, in order of it."""
    return _read(connection, "consolidated_1m", COMBINED_SCHEMA, instrument, during)


def bars(
    connection: psycopg.Connection, instrument: str, timeframe: Timeframe, during: Interval
) -> pa.Table:
    """Return the consolidated bars that begin during a time, with `BUILT_SCHEMA`."""
    return _read(connection, f"consolidated_{timeframe}", BUILT_SCHEMA, instrument, during)


def _read(
    connection: psycopg.Connection, view: str, schema: pa.Schema, instrument: str, during: Interval
) -> pa.Table:
    query = sql.SQL(
        "SELECT {} FROM {} WHERE instrument = %s AND ts >= %s AND ts < %s ORDER BY ts"
    ).format(column_list(schema.names), sql.Identifier("market", view))
    return fetch_rows(connection, query, [instrument, during.start, during.end], schema)


@dataclass(frozen=True, slots=True)
class Served:
    """What a provider serves of a month of an instrument.

    Attributes:
        provider: The provider; several are joined by +.
        bars: How many bars of the series are its own.
        minutes: How many open minutes it serves, with a bar or quiet; None where several are
            combined.
        reason: Why it does; None likewise.
    """

    provider: str
    bars: int
    minutes: int | None
    reason: str | None


def served(connection: psycopg.Connection, instrument: str, month: date) -> list[Served]:
    """Return who serves what of a month of an instrument, most minutes first."""
    whole = Interval.month(month)
    row = {"name": instrument, "month": month, "since": whole.start, "before": whole.end}
    with connection.cursor(row_factory=class_row(Served)) as cursor:
        return cursor.execute(_SERVED, row).fetchall()


def instruments_by_key(connection: psycopg.Connection, keys: Collection[str]) -> Mapping[str, int]:
    """Return the numbers of those instruments that the ledger knows, by name."""
    rows = connection.execute(
        "SELECT key, id FROM ledger.instrument WHERE key = ANY(%s)", [sorted(keys)]
    )
    return dict(rows.fetchall())


def instruments_by_number(
    connection: psycopg.Connection, numbers: Collection[int]
) -> Mapping[str, int]:
    """Return names and numbers of some instruments."""
    rows = connection.execute(
        "SELECT key, id FROM ledger.instrument WHERE id = ANY(%s) ORDER BY key", [sorted(numbers)]
    )
    return dict(rows.fetchall())


def instruments_of_listings(
    connection: psycopg.Connection, listing_ids: Collection[int]
) -> Mapping[str, int]:
    """Return names and numbers of the instruments of some listings."""
    rows = connection.execute(
        "SELECT DISTINCT i.key, i.id FROM ledger.instrument i"
        " JOIN ledger.listing l ON l.instrument_id = i.id WHERE l.id = ANY(%s) ORDER BY i.key",
        [sorted(listing_ids)],
    )
    return dict(rows.fetchall())
