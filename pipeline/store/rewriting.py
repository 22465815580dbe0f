"""Making stored rows those that were worked out, and touching none that are so already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pyarrow as pa
from psycopg import sql

from pipeline.intervals import Interval
from pipeline.store.copying import NO_ROWS, column_list, copy_out, copy_rows, encoded, with_constant
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


@dataclass(frozen=True, slots=True)
class Stray:
    """Bars of days that are cut otherwise now.

    A bar over minutes that have changed is worked out anew if it begins in a day of today's rule;
    one that begins elsewhere is of another rule.

    Attributes:
        over: The minutes that have changed, in order of time.
        reach: How long before them a bar over them may begin.
    """

    over: Sequence[Interval]
    reach: timedelta


def rewrite(
    connection: psycopg.Connection,
    table: sql.Identifier,
    owner: Owner,
    bars: pa.Table,
    during: Sequence[Interval],
    *,
    stray: Stray | None = None,
) -> Written:
    """Make the rows of an owner that begin during some intervals those that were worked out.

    Args:
        connection: An open connection, inside a transaction.
        table: A table whose primary key is the owner and `ts`.
        owner: Whose rows.
        bars: Its other columns, by their names.
        during: Intervals in order of time; none may touch the next.
        stray: Which rows that begin elsewhere are no longer right either, and go.

    Raises:
        psycopg.Error: A row breaks a rule of the table.
    """
    pieces = to_multirange(during)
    rows = with_constant(bars, owner.column, pa.scalar(owner.number, pa.int32()))
    since, where = during[0].start, sql.SQL("ts <@ {}::tstzmultirange").format(pieces)
    if stray is not None:
        since = min(since, stray.over[0].start) - stray.reach
        where = sql.SQL("({} OR tstzrange(ts, before) && {}::tstzmultirange)").format(
            where, to_multirange(stray.over)
        )
    stored = sql.SQL("{} = {} AND ts >= {} AND ts < {} AND {}").format(
        sql.Identifier(owner.column), owner.number, since, during[-1].end, where
    )
    query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
        column_list(rows.schema.names), table, stored
    )
    found = copy_out(connection, query + sql.SQL(" ORDER BY ts"))
    if found == NO_ROWS:
        copy_rows(connection, table, rows)
        return Written(bars.num_rows)
    # Equal bytes are equal rows: a rebuild finds most of them so, and stages and joins nothing.
    if found == b"".join(encoded(rows)):
        return Written()
    return _merge(connection, table, rows, query, stored)


def _merge(
    connection: psycopg.Connection,
    table: sql.Identifier,
    rows: pa.Table,
    query: sql.Composed,
    stored: sql.Composed,
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
    removed = connection.execute(remove.format(table, stored, built)).rowcount
    values.remove("ts")
    # A row that conflicts is locked, and so touched, even if it is not updated then.
    write = sql.SQL(
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM {built} EXCEPT {query}"
        " ON CONFLICT ({owner}, ts) DO UPDATE SET ({values}) = ({new})"
    ).format(
        table=table,
        built=built,
        query=query,
        owner=sql.Identifier(owner),
        columns=column_list(rows.schema.names),
        values=column_list(values),
        new=column_list(values, "excluded"),
    )
    return Written(connection.execute(write).rowcount, removed)
