"""The venue of the drills, and ledgers to compare."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from pipeline.store.database import Database
from pipeline.store.server import EmbeddedServer
from tests.drills.worlds import VENUE
from venue import VenueProcess


@pytest.fixture(scope="module")
def drill_venue() -> Iterator[VenueProcess]:
    """A venue without limits, of the module's own."""
    with VenueProcess(VENUE) as process:
        yield process


@pytest.fixture
def fresh(drill_venue: VenueProcess) -> VenueProcess:
    """The venue without faults and with no requests on record."""
    drill_venue.clear_faults()
    drill_venue.clear_requests()
    return drill_venue


@pytest.fixture(scope="module")
def undisturbed(server: EmbeddedServer, migrated_template: str) -> Iterator[Database]:
    """A ledger beside those of the tests, for what an undisturbed download leaves."""
    name = sql.Identifier("undisturbed")
    template = sql.Identifier(migrated_template)
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, template))
        yield Database(server, server.url("undisturbed"))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
