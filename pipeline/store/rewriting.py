"""Making stored rows those that were worked out, and touching none that are so already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
import pyarrow as pa
from psycopg import sql

from pipeline.intervals import Interval
from pipeline.store.copying import column_list, copy_rows, with_constant
from pipeline.store.ranges import to_multirange


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows of a table of bars were written, and how many were removed."""

    written: int = 0
    removed: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(self.written + other.written, self.removed + other.removed)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose rows: the column of a table of bars, and its number there."""

    column: str
    number: int


def rewrite(
    connection: psycopg.Connection,
    table: sql.Identifier,
    owner: Owner,
    bars: pa.Table,
    during: Iterable[Interval],
) -> Written:
    """Make the rows of an owner that begin during some intervals those that were worked out.

    Args:
        connection: An open connection, inside a transaction.
        table: A table whose primary key is the owner and `ts`.
        owner: Whose rows.
        bars: Its other columns, by their names.
        during: Intervals in order of time; none may touch the next.

    Raises:
        psycopg.Error: A row breaks a rule of the table.
    """
    pieces = to_multirange(during)
    rows = with_constant(bars, owner.column, pa.scalar(owner.number, pa.int32()))
    key = {
        "owner": owner.number,
        "during": pieces,
        "since": pieces[0].lower,
        "before": pieces[-1].upper,
    }
    stored = sql.SQL(
        "{} = %(owner)s AND ts >= %(since)s AND ts < %(before)s"
        " AND ts <@ %(during)s::tstzmultirange"
    ).format(sql.Identifier(owner.column))
    exists = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(table, stored)
    if not (connection.execute(exists, key).fetchone() or (False,))[0]:
        copy_rows(connection, table, rows)
        return Written(bars.num_rows)
    return _merge(connection, table, stored, rows, key)


def _merge(
    connection: psycopg.Connection,
    table: sql.Identifier,
    stored: sql.Composed,
    rows: pa.Table,
    key: dict[str, object],
) -> Written:
    owner, *values = rows.schema.names
    # One for each form of a row.
    built = sql.Identifier(f"built_{owner}_{len(values)}")
    connection.execute(
        sql.SQL("CREATE TEMP TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS").format(
            built, table
        )
    )
    connection.execute(sql.SQL("TRUNCATE {}").format(built))
    copy_rows(connection, built, rows)
    remove = sql.SQL("DELETE FROM {} WHERE {} AND ts NOT IN (SELECT ts FROM {})")
    removed = connection.execute(remove.format(table, stored, built), key).rowcount
    values.remove("ts")
    write = sql.SQL(
        "INSERT INTO {table} AS b ({columns}) SELECT {columns} FROM {built}"
        " ON CONFLICT ({owner}, ts) DO UPDATE SET ({values}) = ({new})"
        " WHERE ({old}) IS DISTINCT FROM ({new})"
    ).format(
        table=table,
        built=built,
        owner=sql.Identifier(owner),
        columns=column_list(rows.schema.names),
        values=column_list(values),
        old=column_list(values, "b"),
        new=column_list(values, "excluded"),
    )
    return Written(connection.execute(write).rowcount, removed)
