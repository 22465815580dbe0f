"""Reading many rows as Arrow tables, through ADBC: several times as fast as row by row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, LiteralString, Self

import psycopg
import pyarrow as pa
from psycopg import sql

from pipeline.store.database import Database

if TYPE_CHECKING:
    from adbc_driver_manager import ProgrammingError
    from adbc_driver_manager.dbapi import Connection, Cursor


class ArrowReader:
    """A connection for reading; each query sees what is committed when it begins.

    Args:
        database: Where to connect; done when first needed, and again after an error.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def read(self, query: sql.Composed) -> pa.Table:
        """Return the rows of a query; times are UTC.

        Raises:
            psycopg.OperationalError: The server went away, or does not answer; asking again may
                help.
            psycopg.ProgrammingError: The server refuses the query.
        """
        with self._cursor() as cursor:
            cursor.execute(query.as_string())
            return cursor.fetch_arrow_table()

    def ask(self, query: LiteralString, **values: object) -> pa.Table:
        """Return the rows of a query with values in the places that it names; None is NULL.

        Raises:
            psycopg.OperationalError, psycopg.ProgrammingError: As `read`.
        """
        literals = {name: _literal(value) for name, value in values.items()}
        return self.read(sql.SQL(query).format(**literals))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Have all queries see what was committed when the first one began.

        Raises:
            psycopg.OperationalError: As `read`.
        """
        self._execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            if self._connection is not None:
                self._execute("ROLLBACK")

    def _execute(self, command: str) -> None:
        with self._cursor() as cursor:
            cursor.execute(command)

    @contextmanager
    def _cursor(self) -> Iterator[Cursor]:
        import adbc_driver_manager as adbc
        from adbc_driver_postgresql import dbapi

        try:
            if self._connection is None:
                self._connection = dbapi.connect(self._database.url(), autocommit=True)
            with self._connection.cursor() as cursor:
                yield cursor
        except adbc.ProgrammingError as error:
            raise _refusal(error) from None
        except adbc.Error as error:
            self.close()
            raise psycopg.OperationalError(str(error)) from None

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _literal(value: object) -> sql.Composable:
    """Return a literal whose type PostgreSQL knows, also when it is null."""
    if isinstance(value, datetime):
        return sql.Literal(value)
    return sql.SQL("NULL") if value is None else sql.Literal(str(value))


def _refusal(error: ProgrammingError) -> psycopg.Error:
    """Return what psycopg would have raised."""
    try:
        return psycopg.errors.lookup(error.sqlstate or "")(str(error))
    except KeyError:
        return psycopg.ProgrammingError(str(error))
