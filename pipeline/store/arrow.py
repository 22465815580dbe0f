"""Reading many rows as Arrow tables, through ADBC: several times as fast as row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import psycopg
import pyarrow as pa
from psycopg import sql

from pipeline.store.database import Database

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection


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
        import adbc_driver_manager as adbc
        from adbc_driver_postgresql import dbapi

        try:
            if self._connection is None:
                self._connection = dbapi.connect(self._database.url(), autocommit=True)
            with self._connection.cursor() as cursor:
                cursor.execute(query.as_string())
                return cursor.fetch_arrow_table()
        except adbc.ProgrammingError as error:
            raise psycopg.ProgrammingError(str(error)) from None
        except adbc.Error as error:
            self.close()
            raise psycopg.OperationalError(str(error)) from None

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
