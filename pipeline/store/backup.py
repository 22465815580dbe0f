"""Copies of both databases, and databases made of them, by PostgreSQL's own programs.

What belongs here: what a copy consists of, and what has to be true before one is taken or put back.
The programs are those of the installed wheel: newer than any server that we support.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict

from pipeline.store.database import Database, DatabaseError
from pipeline.store.migrate import revisions
from pipeline.store.server_account import programs

_FORMAT: Final = 1
_MANIFEST: Final = "backup.json"
_MARKET, _DAGSTER = "market", "dagster"
_JOBS: Final = min(4, os.cpu_count() or 1)
# An unlogged table is empty after a crash, too; what it holds is of this minute only.
_DUMP: Final = ("--format=directory", "--no-unlogged-table-data")
_RESTORE: Final = ("--exit-on-error", "--no-owner")

# A role belongs to the server, and rights to the database itself: no copy of a database has them.
_ROLE = """
DO $$ BEGIN
    CREATE ROLE analyst NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END $$
"""
_RIGHTS = """
DO $$ BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
EXCEPTION WHEN insufficient_privilege THEN
    NULL;
END $$
"""
_TABLES = """
SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a copy says of itself.

    Attributes:
        made_at: When it was begun, UTC.
        revision: The market database's revision.
        server: Version of the server that it was taken from.
    """

    made_at: datetime
    revision: str
    server: str


def back_up(database: Database, folder: Path) -> Backup:
    """Copy both databases into a new folder, while everything goes on.

    Dagster's is copied first: it then knows of nothing that the ledger has not.

    Args:
        database: The databases.
        folder: The folder, which must not exist; it appears when the copy is whole.

    Raises:
        DatabaseError: It exists, a database cannot be read, or the disk is full.
    """
    if folder.exists():
        raise DatabaseError(f"{folder} exists; name a folder that does not: a copy is never mixed")
    revision, _ = revisions(database)
    if revision is None:
        raise DatabaseError("there is nothing to copy yet; run `minuteledger migrate`")
    with database.connect() as connection:
        server = str(connection.info.parameter_status("server_version"))
    made = Backup(datetime.now(UTC), revision, server)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, url in _urls(database):
            _run("pg_dump", url, [*_DUMP, f"--jobs={_JOBS}", f"--file={unfinished / name}"])
        document = asdict(made) | {"made_at": made.made_at.isoformat(), "format": _FORMAT}
        (unfinished / _MANIFEST).write_text(json.dumps(document, indent=2) + "\n")
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return made


def restore(database: Database, folder: Path) -> Backup:
    """Make both databases of a copy. What is there already is never touched.

    Args:
        database: Where to: databases that do not exist, or have no tables.
        folder: The copy.

    Raises:
        DatabaseError: The folder is no copy, a database has tables, or the server refuses.
    """
    found = read(folder)
    database.create()
    for name in (database.name, database.dagster_name):
        with database.connect(name) as connection:
            row = connection.execute(_TABLES).fetchone()
        if row and row[0]:
            raise DatabaseError(
                f"database {name!r} has tables, and is left as it is; set MINUTELEDGER_HOME or "
                "MINUTELEDGER_DATABASE_URL to where there is nothing yet"
            )
    with database.connect() as connection:
        connection.execute(_ROLE)
    for name, url in _urls(database):
        _run("pg_restore", url, [*_RESTORE, f"--jobs={_JOBS}", str(folder / name)])
    with database.connect() as connection:
        connection.execute(_RIGHTS)
    return found


def read(folder: Path) -> Backup:
    """Return what a copy says of itself.

    Raises:
        DatabaseError: The folder is no copy, or one of a newer release.
    """
    try:
        document = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if document["format"] != _FORMAT:
            raise DatabaseError(
                f"{folder} was written by a newer release (format {document['format']}); use that"
            )
        made_at = datetime.fromisoformat(document["made_at"])
        return Backup(made_at, document["revision"], document["server"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatabaseError(
            f"{folder} is no copy that `minuteledger db backup` has finished: {error}"
        ) from error


def _urls(database: Database) -> list[tuple[str, str]]:
    return [(_DAGSTER, database.url(database.dagster_name)), (_MARKET, database.url())]


def _run(program: str, url: str, arguments: Sequence[str]) -> None:
    with _service(url) as environment:
        command = [str(programs() / program), "--no-password", "--dbname=service=ledger"]
        done = subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise DatabaseError(f"{program} failed: {done.stderr.strip()[-2000:]}")


@contextmanager
def _service(url: str) -> Iterator[dict[str, str]]:
    """Give the address in a file: whoever lists processes would read a password among arguments."""
    known = {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
    lines = ["[ledger]", *(f"{name}={value}" for name, value in known.items())]
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        yield {**os.environ, "PGSERVICEFILE": file.name}
