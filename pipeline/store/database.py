"""Which PostgreSQL serves us, and connections to its databases.

What belongs here: finding (or starting) the server, the two databases on it, and plain connections.
Not here: what the tables are (`migrations`) and what is done with them (`ledger`, `queries`).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from pipeline.clock import SYSTEM, Clock
from pipeline.settings import Settings
from pipeline.store.server import EmbeddedServer


class DatabaseError(Exception):
    """The database cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Database:
    """The market database, and Dagster's database beside it on the same server.

    Attributes:
        server: The embedded server that is used when there is no external URL.
        external_url: A `postgresql://` URL of the market database on somebody's server, or None.
        clock: What its sessions take for the present.
    """

    server: EmbeddedServer
    external_url: str | None = None
    clock: Clock = SYSTEM

    @classmethod
    def from_settings(cls, settings: Settings) -> Database:
        """Return the database that the settings name; nothing is started or connected yet."""
        url = settings.database_url
        return cls(
            EmbeddedServer(settings.postgres_dir),
            url.get_secret_value() if url else None,
            settings.clock,
        )

    @classmethod
    def existing(cls, settings: Settings) -> Database:
        """Return the database that the settings name, for reading: looking should make none.

        Raises:
            DatabaseError: There is no embedded database yet.
        """
        if settings.database_url is None and not (settings.postgres_dir / "PG_VERSION").exists():
            raise DatabaseError(
                f"there is no ledger in {settings.home} yet; run `minuteledger init`, then "
                "`minuteledger migrate` or `minuteledger up` (or set MINUTELEDGER_HOME)"
            )
        return cls.from_settings(settings)

    @property
    def name(self) -> str:
        """Name of the market database."""
        if self.external_url is None:
            return "market"
        return urlsplit(self.external_url).path.lstrip("/") or "market"

    @property
    def dagster_name(self) -> str:
        """Name of Dagster's database: beside several market databases each has its own."""
        return "dagster" if self.name == "market" else f"{self.name}_dagster"

    def url(self, database: str | None = None) -> str:
        """Return the `postgresql://` URL of a database on our server (the market one unless named).

        Starts the embedded server if that is the one and it is not running.
        """
        if self.external_url is None:
            self.server.start()
            return self.server.url(database or self.name)
        parts = urlsplit(self.external_url)
        return urlunsplit(parts._replace(path=f"/{database or self.name}"))

    def connect(self, database: str | None = None) -> psycopg.Connection:
        """Open a connection whose session runs in UTC and by our clock; the caller closes it.

        Raises:
            DatabaseError: The server cannot be reached or refuses us.
        """
        options = "-c timezone=UTC"
        if self.clock != SYSTEM:
            options += " -c minuteledger.clock=" + str(self.clock).replace(" ", r"\ ")
        try:
            return psycopg.connect(
                self.url(database), options=options, application_name="minuteledger"
            )
        except psycopg.OperationalError as error:
            raise DatabaseError(
                f"cannot connect to database {database or self.name!r}: {str(error).strip()}; "
                "check MINUTELEDGER_DATABASE_URL, or run `minuteledger doctor`"
            ) from error

    def create(self) -> None:
        """Create the two databases that are not there yet.

        Raises:
            DatabaseError: A database is missing and we may not create it.
        """
        for name in (self.name, self.dagster_name):
            if not self._exists(name):
                self._create(name)

    def _exists(self, name: str) -> bool:
        with self._maintenance() as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            return found.fetchone() is not None

    def _create(self, name: str) -> None:
        try:
            with self._maintenance() as connection:
                connection.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(
                        sql.Identifier(name)
                    )
                )
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return  # another process was faster
        except psycopg.errors.InsufficientPrivilege as error:
            raise DatabaseError(
                f"database {name!r} does not exist and this user may not create it; "
                f"ask the server's owner for: CREATE DATABASE {name}"
            ) from error

    def _maintenance(self) -> psycopg.Connection:
        # A server may lack `postgres`, but then it has our own database.
        try:
            connection = self.connect("postgres")
        except DatabaseError:
            connection = self.connect()
        connection.autocommit = True
        return connection
