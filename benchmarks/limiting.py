"""How much of a provider's rate limit downloads use, and whether they ever cause a refusal."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import product
from multiprocessing.synchronize import Event, Semaphore

from benchmarks.figures import Figure
from benchmarks.setting import (
    PROVIDER,
    binance_venue,
    first_days,
    fresh_database,
    months,
    open_client,
    put_in_ledger,
)
from pipeline.download import Downloader
from pipeline.providers.capabilities import RateLimit
from pipeline.store.database import Database
from pipeline.store.listings import listings
from venue import VenueProcess

ALLOWED = (10, 50)
PROCESSES = (1, 3)
_WANTED = months(datetime(2021, 1, 1, tzinfo=UTC), 4)
_BARS_A_SECOND = 4_000
"""Few, for it is the limit that shall hold the processes back, and not the machine."""
_TARGET = 0.95


@dataclass(frozen=True, slots=True)
class _Part:
    """What one process is to download."""

    database: Database
    venue_url: str
    allowed: int
    months: Sequence[date]


def run() -> Iterator[Figure]:
    """Measure against venues that refuse request N + 1 in any second, and yield the figures."""
    for allowed, processes in product(ALLOWED, PROCESSES):
        yield from _measure(allowed, processes)


def _measure(allowed: int, processes: int) -> Iterator[Figure]:
    with fresh_database() as database, binance_venue(allowed) as venue:
        put_in_ledger(database, _WANTED)
        first, *others = first_days(_WANTED)
        _download(_Part(database, venue.url, allowed, [first]))  # finds the first trade
        venue.clear_requests()
        _together(
            [
                _Part(database, venue.url, allowed, others[number::processes])
                for number in range(processes)
            ]
        )
        asked = venue.requests()["requests"]
    times = sorted(request["time"] for request in asked if request["symbol"])
    refused = sum(request["status"] != 200 for request in asked)
    # The first second may be spent at once, and towards the end not all have something to ask.
    middle = [time for time in times[: len(times) * 9 // 10] if time >= times[0] + 1000]
    used = (len(middle) - 1) / ((middle[-1] - middle[0]) / 1000) / allowed
    who = "1 process" if processes == 1 else f"{processes} processes"
    yield Figure(
        f"limit of {allowed}/s used by {who} ({len(times)} requests)",
        f"{used:.1%}",
        f">= {_TARGET:.0%}",
        used >= _TARGET,
    )
    yield Figure(f"refusals at {allowed}/s", str(refused), "0", refused == 0)


def _together(parts: Sequence[_Part]) -> None:
    """Download parts at the same time, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ready, go = context.Semaphore(0), context.Event()
    running = [context.Process(target=_download, args=(part, ready, go)) for part in parts]
    for process in running:
        process.start()
    for _ in running:
        ready.acquire()
    go.set()
    for process in running:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a process of the benchmark ended with {process.exitcode}")


def _download(part: _Part, ready: Semaphore | None = None, go: Event | None = None) -> None:
    venue = VenueProcess()
    venue.url = part.venue_url
    with part.database.connect() as connection:
        (listing,) = listings(connection, PROVIDER)
    # The venue counts requests and Binance's row weighs 2 each.
    limit, page = RateLimit(part.allowed * 2, 1.0), _BARS_A_SECOND // part.allowed
    with (
        closing(open_client(part.database, venue, limit, page)) as client,
        Downloader(part.database, client) as downloader,
    ):
        # What happens once in a process is left out: libraries that are imported when they are
        # first used, and the market list, which weighs as much as all that a second allows.
        import pandera.pandas  # noqa: F401

        client.markets()
        if ready and go:
            ready.release()
            go.wait()
        for month in part.months:
            report = downloader.download(listing, month)
            listing = report.listing
            if not report.complete:
                raise RuntimeError(report.explain())
