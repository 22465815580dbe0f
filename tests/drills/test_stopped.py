"""A download that is told to stop keeps all that its provider has answered, and ends soon."""

import os
import signal
import time
from dataclasses import replace

import pytest

from pipeline.store.database import Database
from tests.drills import evidence
from tests.drills.processes import COMPLETE, Job, ended, run, started, until
from tests.drills.worlds import SMALL
from venue import VenueProcess

ENDS = {signal.SIGINT: 1, signal.SIGTERM: -signal.SIGTERM}
"""By the signal, with which exit code Python ends."""


def stop(job: Job, venue: VenueProcess, number: signal.Signals, requests: int) -> float:
    """Tell a download to stop after so many requests for what is wanted; return how long it took.

    That is in seconds.
    """
    venue.clear_requests()
    with started(job) as process:
        until(lambda: len(evidence.asked(venue, job.world)) >= requests, process)
        began = time.monotonic()
        os.kill(process.pid or 0, number)
        assert ended(process) == ENDS[number]
        return time.monotonic() - began


@pytest.mark.parametrize("number", ENDS)
def test_nothing_that_was_answered_is_asked_again(
    database: Database, drill_venue: VenueProcess, number: signal.Signals
) -> None:
    SMALL.enter(database)
    job = replace(Job.of(database, drill_venue.url, SMALL), per_second=40)
    for requests in (3, 11, 24):
        before = evidence.settled(database)
        stop(job, drill_venue, number, requests)
        asked = evidence.asked(drill_venue, SMALL)
        assert evidence.overlaps(asked, before) == []
        kept = evidence.overlaps(asked, evidence.new(before, evidence.settled(database)))
        assert kept == asked

    assert run(job) == COMPLETE
    evidence.check_sums(database)
    evidence.check_truth(database, drill_venue, SMALL)


def test_nobody_waits_for_a_turn_any_more(database: Database, drill_venue: VenueProcess) -> None:
    SMALL.enter(database)
    slow = replace(Job.of(database, drill_venue.url, SMALL), per_second=1)

    assert stop(slow, drill_venue, signal.SIGTERM, 2) < 30
