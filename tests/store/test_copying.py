"""Rows in PostgreSQL's binary COPY format."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
from psycopg import sql

from pipeline.aggregation import TIMEFRAME_SCHEMA
from pipeline.store.copying import NO_ROWS, copy_out, copy_rows, encoded
from pipeline.store.database import Database
from tests.making import at

_BAR = {
    "ts": at("1999-12-31 23:00"),
    "before": at("2038-01-19 04:00"),
    "session_date": date(1999, 12, 31),
    "open": 1.1,
    "high": 1e300,
    "low": 5e-324,
    "close": -2.5,
    "volume": 0.0,
    "vwap": 1 / 3,
    "trades": 2**40,
    "minutes_expected": 60,
    "minutes_present": 1,
    "complete": True,
}


def test_rows_are_encoded_byte_by_byte_as_the_server_sends_them(database: Database) -> None:
    nothing = {"volume": None, "vwap": None, "trades": None, "complete": False}
    bars = pa.Table.from_pylist([_BAR, _BAR | nothing], schema=TIMEFRAME_SCHEMA)
    names = sql.SQL(", ").join(map(sql.Identifier, TIMEFRAME_SCHEMA.names))
    query = sql.SQL("SELECT {} FROM bars").format(names)
    with database.connect() as connection:
        connection.execute(
            sql.SQL("CREATE TEMP TABLE bars AS SELECT {} FROM ledger.bars_1d").format(names)
        )
        assert copy_out(connection, query) == NO_ROWS
        copy_rows(connection, sql.Identifier("bars"), bars)
        assert copy_out(connection, query) == b"".join(encoded(bars))
