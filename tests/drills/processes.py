"""Downloads in processes of their own, which can be killed.

They are forked from a server that has imported everything (ccxt alone costs seconds), so that a
process lives a tenth of a second after it was asked for. For the system it is one like any other.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

import psycopg

from pipeline import chunks
from pipeline.asking import Patience
from pipeline.download import Downloader
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.ccxt_client import CcxtProvider
from pipeline.providers.options import ProviderOptions
from pipeline.store import session
from pipeline.store.database import Database, DatabaseError
from pipeline.store.limits import LedgerLimiter
from pipeline.store.server import EmbeddedServer
from tests.drills.worlds import PAGE, PROVIDER, World, listing
from tests.making import at

COMPLETE, INCOMPLETE, WITHOUT_DATABASE = 0, 3, 4
KILLED = -9
LATER = at("2024-05-01")
PATIENCE = 300.0

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["ccxt", "pandera.pandas", "pipeline.definitions", "pipeline.providers.ccxt_client"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A download to do.

    Attributes:
        data_dir: Folder of the embedded server.
        url: The market database, as somebody's server; None for the embedded one's own.
        venue: Address of the venue.
        world: What to download.
        now: What the clock says, all the time.
        chunk_bars: Bars a transaction.
        per_second: Requests a second.
        only_due: Leave failures alone.
        seed: In which order the cells come; None for listing by listing.
        restart_seconds: How long the database may be away.
    """

    data_dir: Path
    url: str | None
    venue: str
    world: World
    now: datetime = LATER
    chunk_bars: int = 4_000
    per_second: int = 200
    only_due: bool = True
    seed: float | None = None
    restart_seconds: float = 60.0
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, database: Database, venue: str, world: World) -> Self:
        """Return the job of downloading a world into a database; `replace` changes the rest."""
        where = {"data_dir": database.server.data_dir, "url": database.external_url}
        return cls(**where, venue=venue, world=world)  # type: ignore[arg-type]

    @property
    def database(self) -> Database:
        """The ledger."""
        return Database(EmbeddedServer(self.data_dir), self.url)


def download(job: Job, *, judge: bool = False) -> None:
    """Download everything and end with an exit code; what a process does."""
    chunks.CHUNK_BARS = job.chunk_bars
    session.RESTART_SECONDS = job.restart_seconds
    try:
        complete = _download(job, judge=judge)
    except (psycopg.OperationalError, DatabaseError):
        sys.exit(WITHOUT_DATABASE)
    sys.exit(COMPLETE if complete else INCOMPLETE)


def download_and_judge(job: Job) -> None:
    """Download everything, say why some minutes have no bar, and end with an exit code."""
    download(job, judge=True)


def _download(job: Job, *, judge: bool) -> bool:
    options = ProviderOptions(
        source=PROVIDER,
        base_url=f"{job.venue}/{PROVIDER}",
        limit=RateLimit(job.per_second, 1.0),
        bars_per_request=PAGE,
        timeout_seconds=5.0,
    )
    patience = Patience(attempts=2, first_wait=timedelta(milliseconds=1))
    with (
        LedgerLimiter(job.database, PROVIDER) as limiter,
        Downloader(
            job.database,
            CcxtProvider(PROVIDER, options, limiter=limiter),
            patience=patience,
            now=lambda: job.now,
        ) as downloader,
    ):
        reports = []
        known = {key: listing(job.database, key) for key in job.world.keys}
        cells = job.world.cells()
        if job.seed is not None:
            random.Random(job.seed).shuffle(cells)
        for cell in cells:
            report = downloader.download(known[cell.listing], cell.month, only_due=job.only_due)
            known[cell.listing] = report.listing
            reports.append(report)
        if judge:
            downloader.judge(known.values())
    return all(report.complete for report in reports)


@contextmanager
def started(job: Job, work: Callable[[Job], None] = download) -> Iterator[BaseProcess]:
    """Start a process for a job; it does not outlive the block."""
    process = context.Process(target=_in_environment, args=(work, job), daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _in_environment(work: Callable[[Job], None], job: Job) -> None:
    os.environ.update(job.environment)
    # Whoever runs the tests may ignore them, as nohup does, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    work(job)


def ended(process: BaseProcess, seconds: float = PATIENCE) -> int | None:
    """Wait for the end of a process and return its exit code."""
    process.join(seconds)
    return process.exitcode


def run(job: Job, work: Callable[[Job], None] = download) -> int | None:
    """Do a job in a process of its own; return the exit code."""
    with started(job, work) as process:
        return ended(process)


def until(true: Callable[[], object], process: BaseProcess | None = None) -> None:
    """Wait for something to become true; no longer than a process lives, if one is given."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        assert process is None or process.is_alive(), f"it ended with {process.exitcode} before"
        time.sleep(0.005)
