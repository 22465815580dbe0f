"""Two processes download the same; and a provider dies in the middle and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeline.store.coverage import coverage
from pipeline.store.database import Database
from tests.drills import evidence, moments
from tests.drills.processes import COMPLETE, INCOMPLETE, Job, ended, run, started, until
from tests.drills.worlds import SMALL, VENUE
from venue import VenueProcess

Tables = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def expected(undisturbed: Database, drill_venue: VenueProcess) -> Tables:
    """What an undisturbed download leaves."""
    SMALL.enter(undisturbed)
    assert run(Job.of(undisturbed, drill_venue.url, SMALL)) == COMPLETE
    evidence.check_truth(undisturbed, drill_venue, SMALL)
    return evidence.tables(undisturbed)


def test_two_processes_that_download_the_same_do_it_once(
    database: Database, expected: Tables, fresh: VenueProcess
) -> None:
    SMALL.enter(database)
    job = replace(Job.of(database, fresh.url, SMALL), chunk_bars=1_000, per_second=30)
    with started(job) as one, started(job) as other:
        assert (ended(one), ended(other)) == (COMPLETE, COMPLETE)
    # They did ask for the same, and so wrote the same minutes at the same time.
    wanted = len(SMALL.keys) * SMALL.wanted.minutes
    assert evidence.minutes(evidence.asked(fresh, SMALL)) > 1.5 * wanted
    assert evidence.differences(evidence.tables(database), expected) == []
    evidence.check_sums(database)


def test_two_processes_that_need_a_months_table_at_once_make_one(database: Database) -> None:
    make = "SELECT ledger.ensure_bars_month('2031-05-01')"
    with database.connect() as one, database.connect() as other, ThreadPoolExecutor(1) as pool:
        one.execute(make)
        waiting = pool.submit(lambda: other.execute(make).fetchone())
        until(lambda: moments.blocked_by(database, one.info.backend_pid))
        one.commit()
        assert waiting.result() == ("bars_1m_2031_05",)


@pytest.fixture
def mortal() -> Iterator[VenueProcess]:
    """A venue to kill."""
    with VenueProcess(VENUE) as process:
        yield process


def test_a_provider_that_dies_leaves_open_minutes_that_come_when_it_is_back(
    database: Database, expected: Tables, mortal: VenueProcess
) -> None:
    SMALL.enter(database)
    job = replace(Job.of(database, mortal.url, SMALL), chunk_bars=1_000, per_second=20)
    with started(job) as process:
        until(lambda: evidence.how_many(mortal) >= 30, process)
        assert mortal._process is not None
        mortal._process.kill()
        assert ended(process) == INCOMPLETE
    evidence.check_sums(database)
    with database.connect() as connection:
        rows = coverage(connection)
    assert any(row.bars for row in rows)
    assert sum(row.failed for row in rows) > 0
    assert sum(row.pending for row in rows) > 0
    assert sum(row.expected for row in rows) == len(SMALL.keys) * SMALL.wanted.minutes
    before = evidence.settled(database)
    mortal.stop()
    with VenueProcess(VENUE, port=urlsplit(mortal.url).port or 0) as back:
        assert run(replace(job, only_due=False)) == COMPLETE
        answered = {key: ranges for key, ranges in before.items() if ranges}
        assert answered
        evidence.check_truth(database, back, SMALL)
    assert evidence.differences(evidence.tables(database), expected) == []
