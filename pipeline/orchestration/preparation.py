"""What has to be true before anything is served: a migrated database in step with the universe."""

from __future__ import annotations

import psycopg

from pipeline.fundamentals.registry import registry
from pipeline.selection import select
from pipeline.snapshots.history import catch_up
from pipeline.store.database import Database
from pipeline.store.listings import sync_universe
from pipeline.store.migrate import migrate
from pipeline.universe import Universe


def sync(database: Database, universe: Universe) -> None:
    """Bring the ledger's listings in step with the universe.

    Raises:
        RelabelledListing: A key with stored history now means another market; nothing is changed.
        TimeframeInUse: A timeframe that is no longer wanted is being read; nothing is changed.
    """
    with database.connect() as connection:
        sync_universe(connection, universe)
        keep_in_step(connection, universe, anew=True)


def keep_in_step(connection: psycopg.Connection, universe: Universe, *, anew: bool = False) -> None:
    """Do what is to be done now and then, also when the universe has not changed.

    Who serves depends on how providers answer, and what was noted to be combined anew may have been
    left by somebody who was killed.

    Args:
        connection: An open connection, outside of a transaction.
        universe: The universe, with which the ledger is in step.
        anew: Look at all months for what is asked of standbys, not only at the newest.
    """
    select(connection, universe, anew=anew)
    catch_up(connection, registry())


def prepare(database: Database, universe: Universe) -> None:
    """Migrate, and sync the universe.

    Raises:
        DatabaseError, RelabelledListing, TimeframeInUse: One of these does not work.
    """
    migrate(database)
    sync(database, universe)
