"""Bringing the market database to the form, and the fields, that this release wants."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.pool import NullPool

from pipeline.fundamentals.registry import registry
from pipeline.store.database import Database
from pipeline.store.fields import sync_fields

# Any number will do, as long as no other program on the server uses it for an advisory lock.
_MIGRATION_LOCK = 0x4D4C_4D49


def migrate(database: Database, revision: str = "head") -> str:
    """Create what is missing, migrate to `revision`, and return the revision reached.

    Safe to call from several processes at once. The databases themselves are created when they are
    missing.

    Raises:
        DatabaseError: The server cannot be reached, or refuses.
        alembic.util.CommandError: There is no such revision.
    """
    database.create()
    config = _config()
    engine = _engine(database)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({_MIGRATION_LOCK})")
        connection.commit()
        config.attributes["connection"] = connection
        reached = MigrationContext.configure(connection, opts={"version_table": "schema_version"})
        before = reached.get_current_revision()
        connection.commit()
        target = ScriptDirectory.from_config(config)
        if revision == "base" or _is_older(target, revision, before):
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)
        connection.commit()
        after = reached.get_current_revision()
        if after == target.get_current_head():
            with database.connect() as fields:
                sync_fields(fields, registry())
    return after or "base"


def revisions(database: Database) -> tuple[str | None, str]:
    """Return the market database's revision (None: not migrated) and the one this release wants."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    with _engine(database).connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "schema_version"})
        return context.get_current_revision(), head or "base"


def _is_older(scripts: ScriptDirectory, revision: str, current: str | None) -> bool:
    if current is None:
        return False
    older = {script.revision for script in scripts.iterate_revisions(current, "base")}
    return revision != current and revision in older


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _engine(database: Database) -> sqlalchemy.Engine:
    # The URL goes to the driver as it is: SQLAlchemy's own parser does not know every libpq form.
    return sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=database.connect, poolclass=NullPool
    )
