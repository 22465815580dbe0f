"""From HTTP response to commit: our download against a bare COPY and against ccxt's paging loop.

The answers are recorded from the venue once and then handed to ccxt's HTTP session from memory, so
that neither the wire nor the venue is measured.
"""

from __future__ import annotations

import io
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import ccxt
import psycopg
import requests
from psycopg import sql
from requests.adapters import HTTPAdapter

from benchmarks.figures import Figure
from benchmarks.setting import (
    Streams,
    binance_venue,
    copy_in,
    copy_out,
    first_days,
    fresh_database,
    months,
    open_client,
    put_in_ledger,
    timed,
)
from pipeline.download import Downloader
from pipeline.listing import Listing
from pipeline.providers.ccxt_client import CcxtProvider
from pipeline.store.database import Database

MONTHS = 23
ROUNDS = 5
_WANTED = months(datetime(2021, 1, 1, tzinfo=UTC), MONTHS)


class Recorder(HTTPAdapter):
    """Passes requests on and keeps the answers; once `replaying`, answers from what it kept."""

    def __init__(self) -> None:
        super().__init__()
        self.replaying = False
        self._kept: dict[str, bytes] = {}

    def send(
        self, request: requests.PreparedRequest, *args: object, **kwargs: object
    ) -> requests.Response:
        """Answer a request from what was kept, or pass it on and keep the answer."""
        key = _question(str(request.url))
        if not self.replaying:
            response = super().send(request, *args, **kwargs)  # type: ignore[arg-type]
            self._kept[key] = response.content
            return response
        response = requests.Response()
        response.status_code = 200
        response.url = str(request.url)
        response.request = request
        response.headers["Content-Type"] = "application/json"
        response.raw = io.BytesIO(self._kept[key])
        return response


def _question(url: str) -> str:
    """What the answer depends on: the endpoint and the window."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    return f"{parts.path} {query.get('startTime')} {query.get('endTime')}"


def run() -> Iterator[Figure]:
    """Measure, and yield the figures."""
    recorder = Recorder()
    with fresh_database() as database, binance_venue() as venue:
        listing = put_in_ledger(database, _WANTED)
        client = open_client(database, venue)
        client._exchange.session.mount("http://", recorder)  # noqa: SLF001 - to take the wire out
        rows = _download(database, client, listing)
        listing = put_in_ledger(database, _WANTED)  # which knows its first trade now
        bare = ccxt.binance({"enableRateLimit": False})
        bare.set_markets_from_exchange(client._exchange)  # noqa: SLF001 - the same market list
        bare.urls["api"] = client._exchange.urls["api"]  # noqa: SLF001
        bare.session.mount("http://", recorder)
        _ccxt_loop(bare)  # records what its pages need
        recorder.replaying = True
        copies = _copy_out(database)
        ours, floor, loop = [], [], []
        for _ in range(ROUNDS):
            _empty(database)
            floor.append(timed(lambda: _copy_in(database, copies)))
            _empty(database)
            ours.append(timed(lambda: _download(database, client, listing)))
            loop.append(timed(lambda: _ccxt_loop(bare)))
    yield from _figures(rows, ours, floor, loop)


def _figures(
    rows: int, ours: list[float], floor: list[float], loop: list[float]
) -> Iterator[Figure]:
    for name, times in (("bare COPY", floor), ("ours", ours), ("ccxt's own paging loop", loop)):
        yield Figure(f"{name}, {rows:,} rows", f"{rows / statistics.median(times):,.0f} rows/s")
    to_floor = statistics.median(f / o for f, o in zip(floor, ours, strict=True))
    to_loop = statistics.median(c / o for c, o in zip(loop, ours, strict=True))
    yield Figure(
        "response to commit / bare COPY", f"{to_floor:.0%}", ">= 15 % (aim 30 %)", to_floor >= 0.15
    )
    yield Figure("response to commit / ccxt's loop", f"{to_loop:.2f}x", "> 1 (aim)", None)


def _download(database: Database, client: CcxtProvider, listing: Listing) -> int:
    rows = 0
    with Downloader(database, client) as downloader:
        for month in first_days(_WANTED):
            report = downloader.download(listing, month)
            listing = report.listing
            rows += report.inserted
            if not report.complete:
                raise RuntimeError(report.explain())
    return rows


def _ccxt_loop(exchange: ccxt.Exchange) -> int:
    """The loop of ccxt's manual: ask from the last bar on, keep nothing."""
    since, end = (int(bound.timestamp()) * 1000 for bound in (_WANTED.start, _WANTED.end))
    rows = 0
    while since < end:
        page = exchange.fetch_ohlcv("BTC/USDT", "1m", since, 1000)
        rows += len(page)
        since = page[-1][0] + 60_000
    return rows


def _copy_out(database: Database) -> Streams:
    with database.connect() as connection:
        return copy_out(connection, _tables(connection))


def _copy_in(database: Database, streams: Streams) -> None:
    with database.connect() as connection:
        copy_in(connection, streams)


def _empty(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("TRUNCATE ledger.bars_1m, ledger.coverage CASCADE")
        connection.commit()
        connection.autocommit = True
        connection.execute("CHECKPOINT")


def _tables(connection: psycopg.Connection) -> list[sql.Identifier]:
    rows = connection.execute(
        r"SELECT relname FROM pg_class WHERE relname ~ '^bars_1m_\d{4}_\d\d$' ORDER BY 1"
    )
    return [sql.Identifier("ledger", name) for (name,) in rows]
