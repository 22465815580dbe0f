"""Opening the ledger for commands that read it, without making one by the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.commands.output import CommandError

if TYPE_CHECKING:
    import psycopg

    from pipeline.settings import Settings


def connect(settings: Settings) -> psycopg.Connection:
    """Connect to the market database; the embedded server is started when it is needed.

    Raises:
        CommandError: There is no embedded database yet, and looking should not make one.
        DatabaseError, ServerError: The server cannot be reached or started.
    """
    from pipeline.store.database import Database

    if settings.database_url is None and not (settings.postgres_dir / "PG_VERSION").exists():
        raise CommandError(
            f"there is no ledger in {settings.home} yet; run `minuteledger init`, then "
            "`minuteledger migrate` or `minuteledger up` (or set MINUTELEDGER_HOME)"
        )
    return Database.from_settings(settings).connect()
