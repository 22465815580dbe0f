"""Fixtures that all tests share: one real PostgreSQL and one venue a test process."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from pipeline.orchestration.interruption import Interruption
from pipeline.stopping import SIGNALS
from pipeline.store.database import Database
from pipeline.store.migrate import migrate
from pipeline.store.server import EmbeddedServer
from tests.folders import new_folder
from venue import VenueProcess

MARKET_DATA = Path(__file__).resolve().parents[2] / "shared" / "market-data"

# The same examples at every run, and no example fails because the machine is busy.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

# The processes that tests start keep what they compile, as after `make test`.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


# Tests throw their data away, so nothing has to reach the disk.
_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "256MB",
}


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A PostgreSQL server for this test process."""
    folder = new_folder()
    # The server's account has to reach it when the tests run as root.
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "pg", settings=_FAST)
    try:
        server.start()
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_template(server: EmbeddedServer) -> str:
    """Name of a migrated database that others are copied from."""
    name = "migrated"
    migrate(Database(server, server.url(name)))
    return name


@contextmanager
def new_database(server: EmbeddedServer, migrated_template: str) -> Iterator[Database]:
    """A migrated market database, deleted in the end."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(migrated_template)
            )
        )
        yield Database(server, server.url(name))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database(server: EmbeddedServer, migrated_template: str) -> Iterator[Database]:
    """A migrated market database of the test's own."""
    with new_database(server, migrated_template) as database:
        yield database


@pytest.fixture(scope="module")
def shared_database(server: EmbeddedServer, migrated_template: str) -> Iterator[Database]:
    """A migrated market database that the tests of a module share."""
    with new_database(server, migrated_template) as database:
        yield database


@pytest.fixture(scope="module")
def stocked(shared_database: Database) -> Database:
    """A ledger with all that the docs ask for; the tests of a module share and only read it."""
    from tests.stocked import stock

    stock(shared_database)
    return shared_database


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedServer]:
    """A server that no other test uses, with a migrated ledger."""
    folder = new_folder()
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "pg", settings={"fsync": "off"})
    try:
        server.start()
        migrate(Database(server))
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def venue_process() -> Iterator[VenueProcess]:
    """The venue with its default markets, shared; use `venue`, which gives it clean."""
    with VenueProcess() as process:
        yield process


@pytest.fixture
def venue(venue_process: VenueProcess) -> VenueProcess:
    """The venue without faults and with no requests on record."""
    venue_process.clear_faults()
    venue_process.clear_requests()
    return venue_process


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The folder of recorded market data; skips where it is absent."""
    if not MARKET_DATA.is_dir():
        pytest.skip(f"recorded market data is not at {MARKET_DATA}")
    return MARKET_DATA


@pytest.fixture
def interruption() -> Iterator[Interruption]:
    """Have signals interrupt the test, whatever they would do outside of it."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield Interruption()
    for number, handler in before.items():
        signal.signal(number, handler)
