"""A minute is final when both clocks say so: ours, and the provider's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.download import Downloader
from pipeline.intervals import MINUTE, floor_minute
from pipeline.listing import Listing
from pipeline.providers.ccxt_client import CcxtProvider
from pipeline.providers.options import ProviderOptions
from pipeline.reports import MonthReport
from pipeline.store.database import Database
from pipeline.store.limits import LedgerLimiter
from pipeline.store.listings import listings, sync_universe
from pipeline.universe import Universe
from venue import VenueProcess

LISTED = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
AHEAD = timedelta(minutes=10)


@pytest.fixture
def young() -> Iterator[VenueProcess]:
    """A venue with the system's clock, whose market is a day old and trades in every minute."""
    market = {"listed_at": LISTED.isoformat(), "price": 100, "quiet": 0.0}
    exchange = {"requests_per_second": 0, "markets": {"BTC-USD": market}}
    with VenueProcess({"exchanges": {"coinbase": exchange}}) as process:
        yield process


@pytest.fixture
def listing(database: Database) -> Listing:
    document = {
        "start": LISTED.isoformat(),
        "providers": {"coinbase": {}},
        "instruments": {
            "BTC-USD": {"class": "crypto_spot", "listings": {"coinbase": {"symbol": "BTC/USD"}}}
        },
    }
    with database.connect() as connection:
        sync_universe(connection, Universe.model_validate(document))
        connection.commit()
        return listings(connection, "coinbase")[0]


def download(
    database: Database, venue: VenueProcess, listing: Listing, ahead: timedelta
) -> list[MonthReport]:
    """Download up to the present, by a clock of ours that is so much ahead."""

    def now() -> datetime:
        return datetime.now(UTC) + ahead

    options = ProviderOptions(source="coinbase", base_url=f"{venue.url}/coinbase", now=now)
    reports = []
    with (
        LedgerLimiter(database, "coinbase") as limiter,
        closing(CcxtProvider("coinbase", options, limiter=limiter)) as provider,
        Downloader(database, provider, now=now) as downloader,
    ):
        for month in sorted({LISTED.date().replace(day=1), now().date().replace(day=1)}):
            reports.append(downloader.download(listing, month))
            listing = reports[-1].listing
    return reports


def empty_minutes(database: Database) -> list[datetime]:
    """Return the minutes that the ledger believes to be answered without a bar."""
    with database.connect() as connection:
        rows = connection.execute(
            """
            SELECT minute FROM ledger.coverage c, unnest(c.answered) AS piece,
                   generate_series(lower(piece), upper(piece) - interval '1 minute', '1 minute')
                       AS minute
            WHERE NOT EXISTS (SELECT FROM ledger.bars_1m b
                              WHERE b.listing_id = c.listing_id AND b.ts = minute)
            """
        ).fetchall()
    return [minute for (minute,) in rows]


def last_answered(database: Database) -> datetime:
    with database.connect() as connection:
        row = connection.execute("SELECT max(upper(answered)) FROM ledger.coverage").fetchone()
    assert row is not None
    found: datetime = row[0]
    return found


def test_a_clock_of_ours_that_is_ahead_makes_no_minute_empty(
    database: Database, young: VenueProcess, listing: Listing
) -> None:
    before = floor_minute(datetime.now(UTC) - timedelta(seconds=10))
    reports = download(database, young, listing, AHEAD)
    assert all(report.complete for report in reports), [report.explain() for report in reports]
    assert empty_minutes(database) == []
    # And nothing that was final is left for later.
    assert last_answered(database) >= before - MINUTE


def test_a_provider_whose_clock_is_behind_is_asked_up_to_its_own_present(
    database: Database, young: VenueProcess, listing: Listing
) -> None:
    young.set_clock(offset_seconds=-3600)
    reports = download(database, young, listing, timedelta(0))
    assert all(report.complete for report in reports), [report.explain() for report in reports]
    assert empty_minutes(database) == []
    late = datetime.now(UTC) - last_answered(database)
    assert timedelta(minutes=59) < late < timedelta(minutes=63)


def test_a_provider_whose_clock_is_ahead_is_not_asked_about_our_future(
    database: Database, young: VenueProcess, listing: Listing
) -> None:
    young.set_clock(offset_seconds=3600)
    reports = download(database, young, listing, timedelta(0))
    assert all(report.complete for report in reports), [report.explain() for report in reports]
    assert last_answered(database) <= datetime.now(UTC)
    assert empty_minutes(database) == []
