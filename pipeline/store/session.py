"""A session with the ledger that outlives a restart of the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, TypeVar

import psycopg
import tenacity

from pipeline.store.database import Database, DatabaseError

T = TypeVar("T")

RESTART_SECONDS = 60.0
"""How long a server may be away before work on it fails."""


class LedgerSession:
    """Runs pieces of work on one connection, and again on a new one when the server restarts.

    Args:
        database: Where to connect; the first connection is opened at once.

    Raises:
        DatabaseError: The server cannot be reached at the start.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: psycopg.Connection | None = self._connect()

    def run(self, work: Callable[[psycopg.Connection], T]) -> T:
        """Run `work` and return its result.

        Args:
            work: A whole piece of work, harmless when done twice: when the connection breaks at its
                commit, nobody can know whether it was committed.

        Raises:
            psycopg.OperationalError, DatabaseError: The server stayed away too long.
        """
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_delay(RESTART_SECONDS),
            wait=tenacity.wait_exponential(multiplier=0.1, max=2),
            retry=tenacity.retry_if_exception_type((psycopg.OperationalError, DatabaseError)),
            reraise=True,
        )
        result: T = retrying(self._attempt, work)
        return result

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _attempt(self, work: Callable[[psycopg.Connection], T]) -> T:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        try:
            return work(self._connection)
        except psycopg.OperationalError:
            self.close()
            raise

    def _connect(self) -> psycopg.Connection:
        connection = self._database.connect()
        # Every piece of work says itself where its transactions begin and end.
        connection.autocommit = True
        return connection
