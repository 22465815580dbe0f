"""Everything at once: three processes, a strict venue and a database that fail and restart, kills.

`python -m tests.drills.storm 20` weathers twenty storms, each with a seed of its own.
"""

from __future__ import annotations

import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from typing import Self
from urllib.parse import urlsplit

from pipeline.store.database import Database
from pipeline.store.migrate import migrate
from pipeline.store.server import EmbeddedServer
from tests.drills import evidence
from tests.drills.processes import (
    COMPLETE,
    INCOMPLETE,
    KILLED,
    WITHOUT_DATABASE,
    Job,
    download_and_judge,
    started,
)
from tests.drills.worlds import PROVIDER, STORM, STORMY
from tests.folders import new_folder
from venue import VenueProcess

PROCESSES = 3
KILLS = 3
VENUE_RESTARTS = 2
LIMIT = 10
TOO_MANY = 429
_SECONDS = (1.0, 6.0)
"""Time between two blows."""
_PATIENCE = 240.0


@dataclass
class Storm:
    """One storm over one ledger.

    Attributes:
        seed: Decides what happens when.
        server: The ledger's server, to be restarted.
        database: The ledger, with the listings in it.
        venue: The venue, to be restarted.
        refusals: Requests that the venue refused because they were too many.
        requests: Requests that it was sent.
        blows: What happened, in order.
    """

    seed: int
    server: EmbeddedServer
    database: Database
    venue: VenueProcess
    refusals: int = 0
    requests: int = 0
    blows: list[str] = field(default_factory=list)

    def weather(self) -> None:
        """Let three processes download until all is there, whatever happens to them."""
        chance = random.Random(self.seed)
        self._spoil()
        job = Job.of(self.database, self.venue.url, STORM)
        jobs = [
            replace(job, per_second=LIMIT, chunk_bars=1_000, only_due=False, seed=chance.random())
            for _ in range(PROCESSES)
        ]
        blows = [
            *[lambda: self._kill(running, chance)] * KILLS,
            *[self._restart_venue] * VENUE_RESTARTS,
            self._restart_database,
        ]
        chance.shuffle(blows)
        running: list[_Worker] = []
        with ExitStack() as stack:
            running += [stack.enter_context(_Worker(job)) for job in jobs]
            for blow in blows:
                until = time.monotonic() + chance.uniform(*_SECONDS)
                while time.monotonic() < until:
                    self._look_after(running)
                blow()
            until = time.monotonic() + _PATIENCE
            while not self._look_after(running):
                if time.monotonic() > until:
                    raise AssertionError(f"not complete {_PATIENCE:.0f} s after the storm")
        self._remember()

    @staticmethod
    def _look_after(running: Sequence[_Worker]) -> bool:
        time.sleep(0.1)
        return sum(worker.complete() for worker in running) == len(running)

    def _spoil(self) -> None:
        self.venue.post_fault("server_error", exchange=PROVIDER, every=20)
        self.venue.post_fault("truncated", exchange=PROVIDER, every=50)

    def _kill(self, running: list[_Worker], chance: random.Random) -> None:
        chance.choice(running).kill()
        self.blows.append("process killed")

    def _restart_venue(self) -> None:
        self._remember()
        self.venue.stop()
        time.sleep(1)
        self.venue = VenueProcess(STORMY, port=urlsplit(self.venue.url).port or 0)
        self.venue.start()
        self._spoil()
        self.blows.append("venue restarted")

    def _restart_database(self) -> None:
        self.server.stop("immediate")
        self.server.start()
        self.blows.append("database restarted")

    def _remember(self) -> None:
        report = self.venue.requests()
        self.requests += report["total"]
        self.refusals += sum(one["status"] == TOO_MANY for one in report["requests"])


class _Worker:
    """A job that is begun again when its process dies or could not complete it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._held = ExitStack()
        self._process = self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def kill(self) -> None:
        """Kill the process, wherever it is."""
        self._process.kill()

    def complete(self) -> bool:
        """Look whether the job is complete; begin it again when its process ended before that."""
        code = self._process.exitcode
        if code in {KILLED, INCOMPLETE, WITHOUT_DATABASE}:
            self._held.close()
            self._process = self._begin()
        elif code not in {None, COMPLETE}:
            raise AssertionError(f"a download ended with exit code {code}")
        return code == COMPLETE

    def _begin(self) -> BaseProcess:
        return self._held.enter_context(started(self._job, download_and_judge))


@contextmanager
def stormy_server() -> Iterator[EmbeddedServer]:
    """A server that no other test uses. No power fails here, so nothing has to reach the disk."""
    folder = new_folder()
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "pg", settings={"fsync": "off"})
    try:
        server.start()
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


def ledger(server: EmbeddedServer, name: str) -> Database:
    """Return a new ledger with the listings of the storm in it."""
    database = Database(server, server.url(name))
    migrate(database)
    STORM.enter(database)
    return database


def undisturbed(server: EmbeddedServer, venue: VenueProcess) -> dict[str, list[tuple[object, ...]]]:
    """Return the tables that one process leaves to which nothing happens."""
    database = ledger(server, "undisturbed")
    with started(Job.of(database, venue.url, STORM), download_and_judge) as process:
        process.join(_PATIENCE)
    if process.exitcode != COMPLETE:
        raise AssertionError(f"the undisturbed download ended with exit code {process.exitcode}")
    evidence.check_truth(database, venue, STORM)
    return evidence.tables(database)


def calm(config: dict[str, object]) -> dict[str, object]:
    """Return the configuration of a venue with the same bars, and without a limit."""
    exchange = {**config["exchanges"][PROVIDER], "requests_per_second": 0}  # type: ignore[index]
    return {"exchanges": {PROVIDER: exchange}}


def weathered(
    server: EmbeddedServer, expected: dict[str, list[tuple[object, ...]]], seed: int
) -> Storm:
    """Weather a storm, and check that it left nothing behind.

    Raises:
        AssertionError: The ledger is not what an undisturbed download leaves, a minute is not
            explained, or the venue had to refuse a request.
    """
    database = ledger(server, f"storm_{seed}")
    venue = VenueProcess(STORMY)
    venue.start()
    storm = Storm(seed, server, database, venue)
    try:
        storm.weather()
        evidence.check_truth(database, storm.venue, STORM)
    finally:
        storm.venue.stop()
    assert evidence.differences(evidence.tables(database), expected) == []
    assert unexplained(database) == 0
    assert storm.refusals == 0, f"{storm.refusals} of {storm.requests} requests were too many"
    return storm


def unexplained(database: Database) -> int:
    """Return how many expected minutes have neither a bar nor a reason why they have none."""
    with database.connect() as connection:
        row = connection.execute(
            """
            SELECT sum(c.failed + c.pending + c.unavailable
                       + c.empty - coalesce(s.quiet_minutes + s.outage_minutes + s.halt_minutes, 0)
                       + CASE WHEN s.judged THEN 0 ELSE 1 END)
            FROM market.coverage c LEFT JOIN market.silences s USING (provider, listing, month)
            """
        ).fetchone()
    return int(row[0]) if row else -1


def main(seeds: int, say: Callable[[str], object]) -> None:
    """Weather so many storms and tell of each."""
    with stormy_server() as server, VenueProcess(calm(dict(STORMY))) as venue:
        expected = undisturbed(server, venue)
        for seed in range(1, seeds + 1):
            started_at = time.monotonic()
            storm = weathered(server, expected, seed)
            say(
                f"seed {seed}: {storm.requests} requests, {storm.refusals} refused, "
                f"{time.monotonic() - started_at:.0f} s; {', '.join(storm.blows)}\n"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.stdout.write)
