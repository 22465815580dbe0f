"""Who serves: one process at most a home, and one at most a database.

The one of a home is found by all others through a file under it. That of a database may be on
another machine: two daemons would launch everything twice.
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg
from filelock import FileLock, Timeout

from pipeline.orchestration.errors import OrchestrationError
from pipeline.settings import Settings
from pipeline.store.database import Database, DatabaseError

_LOCK_SECONDS = 1.0
_LOOK_SECONDS = 0.0
# Any number will do, as long as no other program on the server uses it for an advisory lock.
_SERVING = 0x4D4C_5550
# So that a machine that is gone without a word holds nothing for longer than a minute.
_NOTICE_DEATH = """
SELECT set_config(name, value, false) FROM (VALUES
    ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3')
) AS wanted(name, value)
"""
_HOLDER = """
SELECT coalesce(client_addr::text, 'the same machine'),
       to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND classid = 0 AND objid = %s AND granted
  AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True, slots=True)
class Running:
    """The process that serves a home.

    Attributes:
        pid: Its process id.
        url: Where Dagster's web UI is, or will be.
        ready: Whether it answers there.
        command: The command it was started with: up, demo or backfill.
    """

    pid: int
    url: str
    ready: bool
    command: str


def running(settings: Settings) -> Running | None:
    """Return who serves the home now; None when nobody does, whatever a killed one left behind."""
    if not _file(settings).exists():
        return None
    try:
        with _lock(settings, _LOOK_SECONDS):
            return None
    except Timeout:
        return _read(settings)


@contextmanager
def claim(settings: Settings, command: str) -> Iterator[Claim]:
    """Be the one that serves the home for the time of the block.

    Raises:
        OrchestrationError: Another process is.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    lock = _lock(settings, _LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        other = _read(settings)
        who = f"process {other.pid} ({other.command})" if other else "another process"
        where = f" at {other.url}" if other else ""
        raise OrchestrationError(
            f"{settings.home} is served by {who}{where} already; use that one, end it, or set "
            "MINUTELEDGER_HOME to another folder"
        ) from None
    try:
        yield Claim(settings, command)
    finally:
        _file(settings).unlink(missing_ok=True)
        lock.release()


class Claim:
    """The right to serve a home, and the place to say where."""

    def __init__(self, settings: Settings, command: str) -> None:
        self._settings = settings
        self._command = command

    def publish(self, url: str, *, ready: bool) -> None:
        """Tell other processes where this one serves."""
        state = Running(os.getpid(), url, ready, self._command)
        path = _file(self._settings)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(state)), encoding="utf-8")
        draft.replace(path)


class SoleServer:
    """The right to launch what a database wants, held for as long as its connection lives.

    Raises:
        OrchestrationError: Another process has it.
        DatabaseError: The server cannot be reached.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = self._take()

    def keep(self) -> None:
        """Take the right again if the server has restarted; cheap, to be called all the time.

        Raises:
            OrchestrationError: Another process was faster.
        """
        # A server that ends closes the connection, which is all that there ever is to read.
        if self._connection.closed or select.select([self._connection], [], [], 0)[0]:
            self._connection.close()
            with suppress(DatabaseError):
                self._connection = self._take()

    def close(self) -> None:
        """Leave it to others."""
        # The server ends a connection after it was closed here, and then only frees the right.
        with suppress(psycopg.Error):
            self._connection.execute("SELECT pg_advisory_unlock(%s)", [_SERVING])
        self._connection.close()

    def _take(self) -> psycopg.Connection:
        connection = self._database.connect(self._database.dagster_name)
        connection.autocommit = True
        connection.execute(_NOTICE_DEATH)
        taken = connection.execute("SELECT pg_try_advisory_lock(%s)", [_SERVING]).fetchone()
        if taken == (True,):
            return connection
        other = connection.execute(_HOLDER, [_SERVING]).fetchone()
        connection.close()
        where, since = other or ("another machine", "a moment ago")
        raise OrchestrationError(
            f"this database is served already, from {where} since {since}; use that one, end it, "
            "or set MINUTELEDGER_DATABASE_URL to another database"
        )


def _file(settings: Settings) -> Path:
    return settings.home / "serving.json"


def _lock(settings: Settings, seconds: float) -> FileLock:
    return FileLock(settings.home / ".serving.lock", timeout=seconds, poll_interval=0.05)


def _read(settings: Settings) -> Running | None:
    try:
        return Running(**json.loads(_file(settings).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
