"""A download that is killed ten times leaves what an undisturbed one leaves, row for row.

And after each death the next process asks only for what had not been committed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.process import BaseProcess
from random import Random
from typing import Any

from pipeline.asking import BARS_AHEAD
from pipeline.intervals import Interval
from pipeline.store.database import Database
from tests.drills import evidence, moments
from tests.drills.moments import Moment
from tests.drills.processes import COMPLETE, INCOMPLETE, KILLED, Job, ended, run, started, until
from tests.drills.worlds import CONCURRENCY, LARGE, PAGE, PROVIDER
from tests.making import at, milliseconds, span
from venue import VenueProcess

SEED = 20_240_611
EARLY = at("2024-02-20T06:30")
# Minutes that are answered EARLY and restated afterwards; too few for a contradiction.
RESTATED = span("2024-02-19T10:00", "2024-02-19T10:09")
# The first page of litecoin's March, of which every fifth row is refused.
SPOILED = span("2024-03-01T00:00", "2024-03-01T05:00")
CHUNK_BARS = 4_000
IN_FLIGHT = CHUNK_BARS + BARS_AHEAD + (CONCURRENCY + 1) * PAGE


def deaths() -> list[Moment | int]:
    """Return ten moments to be killed at: inside transactions, or after so many requests."""
    random = Random(SEED)
    return [
        moments.MERGING,
        random.randint(10, 30),
        moments.COPYING,
        random.randint(10, 30),
        moments.MAKING_PARTITION,
        random.randint(30, 90),
        moments.COPIED,
        random.randint(30, 90),
        moments.COMMITTING,
        random.randint(30, 90),
    ]


@dataclass
class Life:
    """What one process did.

    Attributes:
        before: What needed no question when it began.
        after: What needed none when it was dead, and its transactions with it.
        questions: What it asked.
    """

    before: evidence.Ranges
    after: evidence.Ranges
    questions: list[evidence.Question]

    @property
    def in_vain(self) -> list[evidence.Question]:
        """Questions whose answers died with it."""
        kept = evidence.overlaps(self.questions, evidence.new(self.before, self.after))
        return [question for question in self.questions if question not in kept]


def bounds(interval: Interval) -> dict[str, Any]:
    return {"from": milliseconds(interval.start), "to": milliseconds(interval.end)}


def begin(job: Job, venue: VenueProcess) -> None:
    """Download the first days, and let the venue change its mind about some minutes of them."""
    venue.clear_faults()
    assert run(replace(job, now=EARLY)) == COMPLETE
    venue.post_fault("restate", exchange=PROVIDER, **bounds(RESTATED))
    first_minute = Interval(SPOILED.start, SPOILED.start + timedelta(minutes=1))
    venue.post_fault(
        "bad_values",
        exchange=PROVIDER,
        symbol="LTC-USD",
        variant="high_below_low",
        **bounds(first_minute),
    )
    venue.clear_requests()


def live(job: Job, venue: VenueProcess, death: Moment | int | None) -> Life:
    """Let a process live until its death, if it is to die, and see what it did."""
    database = job.database
    before = evidence.settled(database)
    venue.clear_requests()
    with started(job) as process:
        if isinstance(death, Moment):
            die_inside(database, death, process)
        elif death is not None:
            until(lambda: evidence.how_many(venue) >= death, process)
            process.kill()
        assert ended(process) == (KILLED if death else INCOMPLETE)  # of the spoiled page
    until(lambda: not moments.backends(database))
    return Life(before, evidence.settled(database), evidence.asked(venue, job.world))


def die_inside(database: Database, moment: Moment, process: BaseProcess) -> None:
    """Kill a process inside a transaction, which is committed only if that was under way."""
    with moments.held(database, moment) as holder:
        moments.kill_at(database, moment, process, holder)
        seen = evidence.settled(database)
    assert (evidence.settled(database) != seen) == moment.survives


def test_a_download_killed_ten_times_ends_as_an_undisturbed_one(
    database: Database, undisturbed: Database, drill_venue: VenueProcess
) -> None:
    for ledger in (undisturbed, database):
        LARGE.enter(ledger)
        job = Job.of(ledger, drill_venue.url, LARGE)
        begin(job, drill_venue)
        if ledger is undisturbed:
            assert run(job) == INCOMPLETE  # of the spoiled page
            asked = evidence.asked(drill_venue, LARGE)
    lives = []
    for death in [*deaths(), None]:
        life = live(job, drill_venue, death)
        evidence.check_sums(database)
        # Nothing that was committed is asked for again.
        assert evidence.overlaps(life.questions, life.before) == []
        # What died with it is what was in flight: a chunk, what was asked ahead, a page a thread.
        assert sum(question.rows for question in life.in_vain) <= IN_FLIGHT
        lives.append(life)
    found = evidence.tables(database)
    # Revisions, failures and quarantine are compared, too; all is settled, and nothing was judged.
    assert [table for table, rows in found.items() if not rows] == ["settling", "gap"]
    assert evidence.differences(found, evidence.tables(undisturbed)) == []
    evidence.check_truth(database, drill_venue, LARGE, spared=[RESTATED, SPOILED])
    # But for what died, no more was asked for than in one go.
    useful = [q for life in lives for q in life.questions if q not in life.in_vain]
    assert evidence.minutes(useful) <= 1.02 * evidence.minutes(asked)
