"""The database goes away in the middle of a download: the download goes on, or ends cleanly."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from multiprocessing.process import BaseProcess
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pipeline.store.database import Database
from pipeline.store.migrate import migrate
from pipeline.store.server import EmbeddedServer
from tests.drills import evidence, moments
from tests.drills.processes import (
    COMPLETE,
    WITHOUT_DATABASE,
    Job,
    ended,
    run,
    started,
    until,
)
from tests.drills.worlds import SMALL
from tests.folders import new_folder
from venue import VenueProcess

Tables = dict[str, list[tuple[Any, ...]]]

_numbers = count(1)


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedServer]:
    """A server that no other test uses. No power fails here, so nothing has to reach the disk."""
    folder = new_folder()
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "pg", settings={"fsync": "off"})
    try:
        server.start()
        migrate(Database(server, server.url("template")))
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


def copied(server: EmbeddedServer) -> Database:
    """Return a new ledger with the listings, and nothing downloaded."""
    server.start()
    name = f"drill_{next(_numbers)}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template").format(sql.Identifier(name))
        )
    database = Database(server, server.url(name))
    SMALL.enter(database)
    return database


@pytest.fixture(scope="module")
def expected(own_server: EmbeddedServer, drill_venue: VenueProcess) -> Tables:
    """What an undisturbed download leaves."""
    database = copied(own_server)
    assert run(Job.of(database, drill_venue.url, SMALL)) == COMPLETE
    evidence.check_truth(database, drill_venue, SMALL)
    return evidence.tables(database)


@pytest.fixture
def job(own_server: EmbeddedServer, fresh: VenueProcess) -> Job:
    """A download that takes some seconds and many transactions."""
    slow = Job.of(copied(own_server), fresh.url, SMALL)
    return replace(slow, per_second=40, chunk_bars=1_000)


def wait_until_in_the_middle(job: Job, venue: VenueProcess, process: BaseProcess) -> None:
    """Wait until something is committed and something more has been asked for."""
    until(lambda: any(evidence.settled(job.database).values()), process)
    seen = evidence.how_many(venue)
    until(lambda: evidence.how_many(venue) >= seen + 6, process)


def crash(server: EmbeddedServer) -> None:
    server.stop("immediate")


def kill(server: EmbeddedServer) -> None:
    pid = server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: server.status().pid != pid)  # the system takes a moment


@pytest.mark.parametrize("end", [crash, kill])
def test_a_download_outlives_a_restart_of_the_database(
    own_server: EmbeddedServer,
    expected: Tables,
    job: Job,
    fresh: VenueProcess,
    end: Callable[[EmbeddedServer], None],
) -> None:
    with started(job) as process:
        wait_until_in_the_middle(job, fresh, process)
        end(own_server)
        own_server.start()
        assert process.is_alive()
        assert ended(process) == COMPLETE
    assert evidence.differences(evidence.tables(job.database), expected) == []


def test_a_download_starts_its_own_database_again_when_that_is_killed(
    own_server: EmbeddedServer, expected: Tables, job: Job, fresh: VenueProcess
) -> None:
    own = replace(job, url=None)
    migrate(own.database)
    SMALL.enter(own.database)
    with started(own) as process:
        wait_until_in_the_middle(own, fresh, process)
        kill(own_server)
        assert ended(process) == COMPLETE  # and nobody else has started it
    assert evidence.differences(evidence.tables(own.database), expected) == []


def test_a_commit_that_was_never_acknowledged_is_not_done_twice(
    own_server: EmbeddedServer, expected: Tables, job: Job, fresh: VenueProcess
) -> None:
    with started(job) as process:
        wait_until_in_the_middle(job, fresh, process)
        # Transactions are committed now, but nobody is told before a second server has them.
        with psycopg.connect(own_server.url("postgres"), autocommit=True) as connection:
            moments.demand_standby(connection, demanded=True)
            until(lambda: moments.delivery_waits_for_standby(job.database), process)
            before = evidence.settled(job.database)
            connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        crash(own_server)
        own_server.start()
        assert any(evidence.new(before, evidence.settled(job.database)).values())
        os.kill(process.pid, signal.SIGCONT)
        assert ended(process) == COMPLETE
    assert evidence.differences(evidence.tables(job.database), expected) == []


def test_a_download_without_database_for_too_long_ends_and_the_next_one_completes_it(
    own_server: EmbeddedServer, expected: Tables, job: Job, fresh: VenueProcess
) -> None:
    with started(replace(job, restart_seconds=0.5)) as process:
        wait_until_in_the_middle(job, fresh, process)
        kill(own_server)
        assert ended(process) == WITHOUT_DATABASE
    own_server.start()
    evidence.check_sums(job.database)
    before = evidence.settled(job.database)
    assert any(before.values())
    fresh.clear_requests()
    assert run(job) == COMPLETE
    assert evidence.overlaps(evidence.asked(fresh, SMALL), before) == []
    assert evidence.differences(evidence.tables(job.database), expected) == []
