"""A standby that steps in: two exchanges at the venue, of which the first fails for an hour."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from pipeline.download import Downloader
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.ccxt_client import CcxtProvider
from pipeline.providers.options import ProviderOptions
from pipeline.store.cells import Cell
from pipeline.store.coverage import CoverageRow, coverage
from pipeline.store.database import Database
from pipeline.store.limits import LedgerLimiter
from pipeline.store.listings import listings, save_first_trade, sync_universe
from pipeline.universe import Universe
from tests.faults.conftest import DAY, HASTE
from tests.making import at, span
from venue import VenueProcess

LOST = span("2024-03-10 05:00", "2024-03-10 06:00")
PRIMARY, STANDBY = "bitfinex", "coinbase"


@pytest.fixture
def ledger(database: Database) -> Database:
    listed = {name: {"symbol": "BTC/USD", "end": DAY.end} for name in (PRIMARY, STANDBY)}
    document = {
        "start": DAY.start,
        "providers": {name: {} for name in listed},
        "selection": [{"providers": [PRIMARY, STANDBY]}],
        "instruments": {"BTC-USD": {"class": "crypto_spot", "listings": listed}},
    }
    with database.connect() as connection:
        sync_universe(connection, Universe.model_validate(document))
        for name in listed:  # else all would fail together, for its first trade could not be found
            (listing,) = listings(connection, name)
            save_first_trade(connection, listing, DAY.start, "as the test has it", DAY.end)
    return database


@contextmanager
def downloader(ledger: Database, venue: VenueProcess, exchange: str) -> Iterator[Downloader]:
    options = ProviderOptions(
        source=exchange,
        base_url=f"{venue.url}/{exchange}",
        limit=RateLimit(1000, 1.0),
        # A page an hour, so that one of them fails.
        bars_per_request=60,
        timeout_seconds=1.5,
    )
    with (
        LedgerLimiter(ledger, exchange, options.account) as limiter,
        closing(CcxtProvider(exchange, options, limiter=limiter)) as provider,
        Downloader(ledger, provider, patience=HASTE, now=lambda: at("2024-05-01")) as opened,
    ):
        yield opened


def download(ledger: Database, venue: VenueProcess, exchange: str) -> set[Cell]:
    """Download the day and judge it, as a run does; return the judged months."""
    with ledger.connect() as connection:
        (listing,) = listings(connection, exchange)
    with downloader(ledger, venue, exchange) as opened:
        opened.download(listing, DAY.start.date())
        return opened.judge([listing])


def rows(ledger: Database) -> dict[str, CoverageRow]:
    with ledger.connect() as connection:
        found = {row.provider: row for row in coverage(connection)}
    assert all(row.adds_up for row in found.values())
    return found


def windows(venue: VenueProcess, exchange: str) -> int:
    return sum(
        1
        for request in venue.requests()["requests"]
        if request["symbol"] and request["exchange"] == exchange
    )


def test_a_standby_is_asked_for_the_hour_that_its_primary_could_not_give(
    ledger: Database, unlimited: VenueProcess
) -> None:
    download(ledger, unlimited, STANDBY)
    assert windows(unlimited, STANDBY) == 0

    milliseconds = [int(moment.timestamp()) * 1000 for moment in (LOST.start, LOST.end)]
    unlimited.post_fault(
        "server_error", exchange=PRIMARY, from_ms=milliseconds[0], to_ms=milliseconds[1]
    )
    download(ledger, unlimited, PRIMARY)
    failed = rows(ledger)[PRIMARY].failed
    assert failed >= LOST.minutes
    assert rows(ledger)[STANDBY].pending == failed

    download(ledger, unlimited, STANDBY)
    stepped_in = rows(ledger)[STANDBY]
    assert (stepped_in.expected, stepped_in.pending, stepped_in.failed) == (failed, 0, 0)
    assert stepped_in.bars > 0
    with ledger.connect() as connection:
        stamps = connection.execute(
            "SELECT min(ts), max(ts) FROM market.bars_1m WHERE provider = %s", [STANDBY]
        ).fetchone()
    assert stamps is not None
    assert LOST.start <= stamps[0] <= stamps[1] < LOST.end

    unlimited.clear_faults()
    download(ledger, unlimited, PRIMARY)
    assert rows(ledger)[PRIMARY].failed == 0
    asked = windows(unlimited, STANDBY)
    download(ledger, unlimited, STANDBY)
    assert windows(unlimited, STANDBY) == asked
    assert rows(ledger)[STANDBY] == stepped_in
