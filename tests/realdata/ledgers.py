"""Ledgers filled from recordings: real clients over HTTP, a real database, a clock that stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.asking import Patience
from pipeline.download import Downloader
from pipeline.following import follow
from pipeline.intervals import Interval
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.ccxt_client import CcxtProvider
from pipeline.providers.limiter import Unlimited
from pipeline.providers.options import ProviderOptions
from pipeline.reports import MonthReport
from pipeline.store.database import Database
from pipeline.store.listings import listings, sync_universe
from pipeline.store.session import LedgerSession
from pipeline.universe import Universe
from tests.realdata.published import Bars
from tests.realdata.reading import query
from venue import VenueProcess

PROVIDER = "bitfinex"
"""Whose wire format carries the recordings, wherever they are from."""


@dataclass(frozen=True)
class Recording:
    """A market as it was recorded.

    Attributes:
        key: Its name, `BTC-USD`, for the venue and for the ledger.
        files: What the venue serves; a later file replaces what earlier ones say of its span.
        life: For which time the ledger wants it.
    """

    key: str
    files: Sequence[Path]
    life: Interval


def as_file(path: Path, bars: Bars) -> Path:
    """Write bars as the plain CSV that the venue reads."""
    lines = (
        ",".join(map(repr, (int(ts.timestamp()) * 1000, *bar))) for ts, bar in sorted(bars.items())
    )
    path.write_text("\n".join(["ts,open,high,low,close,volume", *lines]))
    return path


@contextmanager
def venue_of(recordings: Iterable[Recording], now: datetime) -> Iterator[VenueProcess]:
    """A venue that serves recordings without a limit, and whose clock stands still."""
    markets = {one.key: {"files": list(map(str, one.files))} for one in recordings}
    exchange = {"requests_per_second": 0, "markets": markets}
    with VenueProcess({"now": now, "speed": 0, "exchanges": {PROVIDER: exchange}}) as venue:
        yield venue


def fill(
    database: Database,
    venue: VenueProcess,
    recordings: Sequence[Recording],
    now: datetime,
    *,
    again: bool = False,
    patience: Patience | None = None,
) -> list[MonthReport]:
    """Put recordings into the ledger, download all of their months, and judge their silences.

    Args:
        database: The ledger's database.
        venue: Where they are served.
        recordings: The listings that the universe has from now on.
        now: The time of the download, UTC.
        again: Ask also for what is settled.
        patience: When to try again; None for what users get.
    """
    with database.connect() as connection:
        sync_universe(connection, _universe(recordings))
        connection.commit()
        entered = listings(connection, PROVIDER, [one.key for one in recordings])
    options = ProviderOptions(
        source=PROVIDER,
        base_url=f"{venue.url}/{PROVIDER}",
        limit=RateLimit(1000, 1.0),
        now=lambda: now,
    )
    provider = CcxtProvider(PROVIDER, options, limiter=Unlimited())
    lives = {one.key: one.life for one in recordings}
    reports = []
    try:
        with Downloader(database, provider, patience=patience, now=lambda: now) as downloader:
            for listing in entered:
                for month in lives[listing.key].months():
                    report = downloader.download(listing, month.start.date(), again=again)
                    listing = report.listing  # noqa: PLW2901 - it knows its first trade now
                    reports.append(report)
            downloader.judge(entered)
    finally:
        provider.close()
    return reports


def build_bars(database: Database) -> None:
    """Build the bars above all minutes that have changed, and what follows from these."""
    numbers = [number for (number,) in query(database, "SELECT id FROM ledger.listing")]
    with LedgerSession(database) as session:
        follow(database, session, numbers)


def _universe(recordings: Iterable[Recording]) -> Universe:
    return Universe.model_validate(
        {
            "start": min(one.life.start for one in recordings),
            "providers": {PROVIDER: {}},
            "instruments": {
                one.key: {
                    "class": "crypto_spot",
                    "listings": {
                        PROVIDER: {
                            "symbol": one.key.replace("-", "/"),
                            "start": one.life.start,
                            "end": one.life.end,
                        }
                    },
                }
                for one in recordings
            },
        }
    )
