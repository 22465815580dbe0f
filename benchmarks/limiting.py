"""How much of a provider's rate limit a download uses, and whether it ever causes a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from benchmarks.figures import Figure
from benchmarks.setting import (
    binance_venue,
    first_days,
    fresh_database,
    months,
    open_client,
    put_in_ledger,
)
from pipeline.download import Downloader
from pipeline.providers.capabilities import RateLimit

ALLOWED = (10, 50)
_WANTED = months(datetime(2021, 1, 1, tzinfo=UTC), 8)
_TARGET = 0.95


def run() -> Iterator[Figure]:
    """Measure against venues that refuse request N + 1 in any second, and yield the figures."""
    for allowed in ALLOWED:
        yield from _measure(allowed)


def _measure(allowed: int) -> Iterator[Figure]:
    with fresh_database() as database, binance_venue(allowed) as venue:
        listing = put_in_ledger(database, _WANTED)
        # The venue counts requests and Binance's row weighs 2 each.
        client = open_client(database, venue, RateLimit(allowed * 2, 1.0))
        with Downloader(database, client) as downloader:
            for month in first_days(_WANTED):
                listing = downloader.download(listing, month).listing
        asked = [request for request in venue.requests()["requests"] if request["symbol"]]
    times = sorted(request["time"] for request in asked)
    refused = sum(request["status"] != 200 for request in asked)
    # The first second may be spent at once, so it is left out of the rate.
    late = [time for time in times if time >= times[0] + 1000]
    used = (len(late) - 1) / ((late[-1] - late[0]) / 1000) / allowed
    yield Figure(
        f"limit of {allowed}/s used ({len(times)} requests)",
        f"{used:.1%}",
        f">= {_TARGET:.0%}",
        used >= _TARGET,
    )
    yield Figure(f"refusals at {allowed}/s", str(refused), "0", refused == 0)
