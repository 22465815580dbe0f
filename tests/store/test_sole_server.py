"""One process at most serves a database, and a server that restarts changes nothing of that."""

from collections.abc import Iterator

import psycopg
import pytest

from pipeline.orchestration.errors import OrchestrationError
from pipeline.orchestration.state import SoleServer
from pipeline.store.database import Database


@pytest.fixture
def sole(database: Database) -> Iterator[SoleServer]:
    database.create()
    first = SoleServer(database)
    yield first
    first.close()


def end_connections(database: Database) -> None:
    """As a server does that restarts: nobody holds anything afterwards."""
    with database.connect(database.dagster_name) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        ).fetchall()
    assert ended == [(True,)]


def test_a_second_one_is_refused_until_the_first_is_gone(
    database: Database, sole: SoleServer
) -> None:
    with pytest.raises(OrchestrationError, match=r"served already, from the same machine since 2"):
        SoleServer(database)
    sole.close()

    SoleServer(database).close()


def test_the_right_is_taken_again_after_a_restart(database: Database, sole: SoleServer) -> None:
    end_connections(database)

    sole.keep()

    with pytest.raises(OrchestrationError, match="served already"):
        SoleServer(database)


def test_who_was_slower_after_a_restart_ends(database: Database, sole: SoleServer) -> None:
    end_connections(database)
    other = SoleServer(database)

    with pytest.raises(OrchestrationError, match="served already"):
        sole.keep()
    other.close()


def test_as_long_as_nothing_is_lost_nothing_is_taken(
    database: Database, sole: SoleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> psycopg.Connection:
        raise AssertionError("no connection is needed")

    monkeypatch.setattr(Database, "connect", refuse)

    sole.keep()
