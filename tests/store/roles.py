"""Connections of other roles than our own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from pipeline.store.database import Database


@contextmanager
def as_analyst(database: Database) -> Iterator[psycopg.Connection]:
    """A connection with the rights of an analyst; each statement is a transaction."""
    with database.connect() as connection:
        connection.autocommit = True
        connection.execute("SET ROLE analyst")
        yield connection
