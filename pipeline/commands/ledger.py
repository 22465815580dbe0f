"""Opening the ledger for commands that read it, without making one by the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

    from pipeline.settings import Settings


def connect(settings: Settings) -> psycopg.Connection:
    """Connect to the market database; the embedded server is started when it is needed.

    Raises:
        DatabaseError, ServerError: There is none, or it cannot be reached or started.
    """
    from pipeline.store.database import Database

    return Database.existing(settings).connect()
