"""Moments inside a transaction, at which a process can be held in order to be killed there.

Nothing of the product is changed for it: PostgreSQL's own locks hold it, and triggers that do
nothing but wait for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

import psycopg

from pipeline.store.database import Database
from tests.drills.processes import until

_WAIT = """
CREATE FUNCTION ledger.drill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$
"""
_ADVISORY = "SELECT pg_advisory_xact_lock(7)"


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment inside a transaction.

    Attributes:
        name: What the process is about to do.
        hold: What holds it there.
        arm: What has to be set up first.
        survives: Whether the transaction is committed although the process dies.
    """

    name: str
    hold: str
    arm: Sequence[str] = ()
    survives: bool = False


MAKING_PARTITION = Moment(
    "while the month's table is made",
    "LOCK TABLE ledger.bars_1m IN SHARE UPDATE EXCLUSIVE MODE",
)
COPYING = Moment(
    "in the middle of COPY",
    _ADVISORY,
    (
        _WAIT,
        """
        CREATE TRIGGER drill BEFORE INSERT ON ledger.bars_1m FOR EACH ROW
        WHEN (extract(minute FROM NEW.ts) = 59) EXECUTE FUNCTION ledger.drill()
        """,
    ),
)
COPIED = Moment("between COPY and coverage", "LOCK TABLE ledger.fetch_failure IN EXCLUSIVE MODE")
MERGING = Moment(
    "between two statements of a merge", "LOCK TABLE ledger.bar_revision IN EXCLUSIVE MODE"
)
COMMITTING = Moment(
    "while COMMIT is under way",
    _ADVISORY,
    (
        _WAIT,
        """
        CREATE CONSTRAINT TRIGGER drill AFTER UPDATE ON ledger.coverage
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger.drill()
        """,
    ),
    survives=True,
)


@contextmanager
def held(database: Database, moment: Moment) -> Iterator[int]:
    """Hold whoever comes to the moment, until the end of the block; yields who holds."""
    with database.connect() as connection:
        connection.autocommit = True
        for statement in moment.arm:
            connection.execute(statement.encode())
    try:
        with database.connect() as connection:
            connection.execute(moment.hold.encode())
            yield connection.info.backend_pid
            connection.rollback()
    finally:
        until(lambda: not backends(database))
        with database.connect() as connection:
            connection.execute("DROP FUNCTION IF EXISTS ledger.drill() CASCADE")


def kill_at(database: Database, moment: Moment, process: BaseProcess, holder: int) -> None:
    """Kill a process once it is held at a moment."""
    until(lambda: blocked_by(database, holder), process)
    process.kill()
    process.join()


def backends(database: Database) -> int:
    """Return how many others are connected to a database."""
    with database.connect() as connection:
        row = connection.execute(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
              AND backend_type = 'client backend'
            """
        ).fetchone()
    return int(row[0]) if row else 0


def blocked_by(database: Database, holder: int) -> bool:
    """Return whether anybody waits for a lock of the holder."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))", [holder]
        ).fetchone()
    return bool(row and row[0])


def delivery_waits_for_standby(database: Database) -> bool:
    """Return whether the commit of a delivery waits for a second server that is not there.

    Another commit that waits there (a new month's table, a first trade) is let go.
    """
    with database.connect() as connection:
        connection.autocommit = True
        waiting = connection.execute(
            """
            SELECT EXISTS (
                SELECT FROM pg_locks l
                WHERE l.pid = a.pid AND l.relation = 'ledger.coverage'::regclass
                  AND l.mode = 'RowExclusiveLock')
            FROM pg_stat_activity a WHERE a.wait_event = 'SyncRep'
            """
        ).fetchall()
        if waiting and (True,) not in waiting:
            demand_standby(connection, demanded=False)
            until(lambda: not _waits(connection))
            demand_standby(connection, demanded=True)
    return (True,) in waiting


def demand_standby(connection: psycopg.Connection, *, demanded: bool) -> None:
    """Have nobody told of a commit before a second server has it, or no longer."""
    names = "'*'" if demanded else "DEFAULT"
    connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = {names}".encode())
    connection.execute("SELECT pg_reload_conf()")


def _waits(connection: psycopg.Connection) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    ).fetchone()
    return bool(row and row[0])
