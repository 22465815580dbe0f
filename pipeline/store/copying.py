"""Arrow tables into PostgreSQL's, by its binary COPY, and out of it inside a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import pgpq
import psycopg
import pyarrow as pa
from psycopg import sql

NO_ROWS: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\xff\xff"
"""What the server sends for no rows: a header without flags, and the end."""


def copy_rows(connection: psycopg.Connection, table: sql.Identifier, rows: pa.Table) -> None:
    """Write the rows of an Arrow table whose columns are called like those of a table.

    Args:
        connection: An open connection.
        table: The table.
        rows: Columns of the types that the table's columns have; a null is NULL.

    Raises:
        psycopg.Error: A row breaks a rule of the table; none is written.
    """
    if rows.num_rows == 0:
        return
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        table, column_list(rows.schema.names)
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in encoded(rows):
            copy.write(piece)


def encoded(rows: pa.Table) -> Iterator[bytes]:
    """Yield what the server would send for these rows, by a COPY in its binary format."""
    rows = rows.combine_chunks()
    encoder = pgpq.ArrowToPostgresBinaryEncoder(rows.schema)
    yield encoder.write_header()
    for batch in rows.to_batches():
        yield encoder.write_batch(batch)
    yield encoder.finish()


def copy_out(connection: psycopg.Connection, query: sql.Composed) -> bytes:
    """Return what the server sends for the rows of a query, by a COPY in its binary format."""
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(query)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return b"".join(bytes(piece) for piece in copy)


def with_constant(rows: pa.Table, name: str, value: pa.Scalar) -> pa.Table:
    """Return the rows with a first column that has the same value in each."""
    return rows.add_column(0, pa.field(name, value.type), pa.repeat(value, rows.num_rows))


def fetch_rows(
    connection: psycopg.Connection,
    query: sql.Composed,
    values: Sequence[object],
    schema: pa.Schema,
) -> pa.Table:
    """Return the rows of a query with the schema's columns, as the transaction sees them.

    For few rows: many are read several times as fast by `store.arrow`, outside of it.
    """
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(query, values).fetchall()
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    arrays = [pa.array(c, field.type) for c, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def column_list(names: Iterable[str], *qualifier: str) -> sql.Composed:
    """Return names of columns, each of a table if one is named, with commas between them."""
    return sql.SQL(", ").join(sql.Identifier(*qualifier, name) for name in names)
