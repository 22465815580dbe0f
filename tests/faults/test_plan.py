"""A plan against the download that it foretells: requests to the one, bars to the share."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
import pytest

from pipeline.download import Downloader
from pipeline.intervals import Interval
from pipeline.plan import TRADED, Plan, _runs, plan
from pipeline.providers.capabilities import Capabilities, RateLimit
from pipeline.providers.ccxt_client import CcxtProvider
from pipeline.providers.limiter import Unlimited
from pipeline.providers.options import ProviderOptions
from pipeline.providers.table import capabilities_for
from pipeline.store.cells import Cell, open_cells
from pipeline.store.database import Database
from pipeline.store.listings import listings, sync_universe
from pipeline.store.ranges import to_multirange
from pipeline.store.sizes import BYTES_PER_BAR
from pipeline.universe import Universe
from tests.making import at
from venue import VenueProcess

NOW = at("2020-02-05T13:37:21")
LIMIT = RateLimit(2000, 1.0)
MARKETS = {"BTC-USD": "BTC/USD", "LTC-USD": "LTC/USD"}
JANUARY, FEBRUARY = date(2020, 1, 1), date(2020, 2, 1)


@dataclass
class World:
    """Two markets of an exchange, wanted since 2020 began; the venue has them since the 6th."""

    venue: VenueProcess
    database: Database
    exchange: str

    @property
    def capabilities(self) -> Capabilities:
        return capabilities_for(self.exchange, LIMIT)

    def plan(self, cells: Collection[Cell] | None = None, now: datetime = NOW) -> Plan:
        with self.database.connect() as connection:
            if cells is None:
                cells = open_cells(connection)[self.exchange]
            return plan(connection, self.exchange, self.capabilities, cells, now)

    def download(self, cells: Collection[Cell], now: datetime = NOW) -> tuple[int, int]:
        """Download some cells as one run does; return the requests sent and the bars stored."""
        client = CcxtProvider(
            self.exchange,
            ProviderOptions(
                source=self.exchange,
                base_url=f"{self.venue.url}/{self.exchange}",
                limit=LIMIT,
                now=lambda: now,
            ),
            limiter=Unlimited(),
        )
        bars = 0
        with Downloader(self.database, client, now=lambda: now) as downloader:
            for cell in sorted(cells):
                with self.database.connect() as connection:
                    (listing,) = listings(connection, self.exchange, [cell.listing])
                bars += downloader.download(listing, cell.month).inserted
        client.close()
        return client.requests_sent, bars

    def forget(self, hole: Interval) -> None:
        """Take a range of January out of the ledger, bars and all."""
        self.execute("DELETE FROM ledger.bars_1m WHERE ts >= %s AND ts < %s", hole.start, hole.end)
        self.execute(
            """
            UPDATE ledger.coverage SET answered = answered - hole, settled = settled - hole,
                   bars = (SELECT count(*) FROM ledger.bars_1m WHERE ts < '2020-02-01Z')
            FROM CAST(%s AS tstzmultirange) AS hole WHERE month = '2020-01-01'
            """,
            to_multirange([hole]),
        )

    def execute(self, statement: str, *values: Any) -> None:
        with self.database.connect() as connection:
            connection.execute(statement.encode(), values)


@pytest.fixture
def world(request: pytest.FixtureRequest, unlimited: VenueProcess, database: Database) -> World:
    exchange = request.param
    dollar = "USDT" if exchange == "binance" else "USD"
    document: dict[str, Any] = {
        "start": "2020-01-01",
        "providers": {exchange: {}},
        "instruments": {
            key: {
                "class": "crypto_spot",
                "listings": {
                    exchange: {"symbol": symbol.replace("USD", dollar), "end": "2020-02-05T13:00Z"}
                },
            }
            for key, symbol in MARKETS.items()
        },
    }
    with database.connect() as connection:
        sync_universe(connection, Universe.model_validate(document))
    return World(unlimited, database, exchange)


everywhere = pytest.mark.parametrize("world", ["binance", "bitfinex", "coinbase"], indirect=True)
on_binance = pytest.mark.parametrize("world", ["binance"], indirect=True)
on_kraken = pytest.mark.parametrize("world", ["kraken"], indirect=True)
BTC = [Cell("BTC-USD", JANUARY), Cell("BTC-USD", FEBRUARY)]
FIRST_DAYS = Interval(at("2020-01-06T08:00"), at("2020-02-05T13:00"))


@everywhere
def test_a_listing_whose_first_trade_is_known_takes_just_as_many_requests(world: World) -> None:
    world.execute("UPDATE ledger.listing SET first_trade = %s", FIRST_DAYS.start)
    foretold = world.plan(BTC)
    sent, _ = world.download(BTC)
    assert foretold.minutes == FIRST_DAYS.minutes
    assert foretold.unknown == 0
    assert (foretold.cells, foretold.requests) == (2, sent)


@everywhere
def test_nothing_is_planned_where_everything_is_there(world: World) -> None:
    world.download(BTC)
    after = world.plan(BTC)
    assert (after.cells, after.minutes, after.requests, after.bars, after.seconds) == (
        2,
        0,
        0,
        0,
        0,
    )


@everywhere
def test_only_holes_are_planned_and_bars_are_expected_by_the_habit(world: World) -> None:
    _, bars = world.download(BTC)
    hole = Interval(at("2020-01-10"), at("2020-01-12T12:00"))
    world.forget(hole)
    foretold = world.plan(BTC)
    sent, _ = world.download(BTC)
    assert foretold.minutes == hole.minutes
    assert foretold.requests == sent
    assert foretold.bars == pytest.approx(bars * hole.minutes / FIRST_DAYS.minutes, rel=0.1)
    assert foretold.disk_bytes == foretold.bars * BYTES_PER_BAR


@everywhere
def test_first_trades_and_market_lists_are_counted(world: World) -> None:
    foretold = world.plan(BTC)
    sent, _ = world.download(BTC)
    assert foretold.unknown == 1
    # The venue's first trade is later than the universe's start: there is a little less to ask.
    spared = (FIRST_DAYS.start - at("2020-01-01")).total_seconds() / 60
    pages = spared / world.capabilities.bars_per_request + 1
    assert sent <= foretold.requests <= sent + pages + 4


@on_binance
def test_a_provider_without_history_expects_what_its_kind_has(world: World) -> None:
    foretold = world.plan()
    assert foretold.bars == foretold.minutes * TRADED["flat"]
    assert foretold.cells == 4


@on_binance
def test_the_time_is_that_of_the_weights_at_the_limit(world: World) -> None:
    world.execute("UPDATE ledger.listing SET first_trade = starts_at")
    for_bars = world.plan(BTC).requests - 1
    assert world.plan(BTC).seconds == pytest.approx((for_bars * 2 + 20) / 2000)


@on_kraken
def test_history_that_cannot_be_reached_is_not_planned(world: World) -> None:
    world.execute("UPDATE ledger.listing SET ends_at = NULL")
    foretold = world.plan()
    assert foretold.minutes == 2 * (715 - 2)
    assert foretold.requests == 2 + 2  # neighbouring months of two listings, a list for each


@pytest.mark.parametrize(
    ("listings_", "months", "runs"),
    [
        (1, 1, 1),
        (1, 60, 1),
        (1, 61, 2),
        (3, 61, 6),  # the listing stays the same, for there are fewer of them
        (61, 2, 4),  # the month does
        (2, 2, 2),
    ],
)
def test_a_run_takes_neighbours_of_the_larger_dimension(
    listings_: int, months: int, runs: int
) -> None:
    cells = [
        Cell(f"L{number:02}", date(2015 + month // 12, month % 12 + 1, 1))
        for number in range(listings_)
        for month in range(months)
    ]
    assert _runs(cells) == runs


def test_open_cells_are_those_of_the_months_that_are_named(database: Database) -> None:
    document = {
        "start": "2020-01-01",
        "providers": {"binance": {}},
        "instruments": {
            "BTC-USD": {
                "class": "crypto_spot",
                "listings": {"binance": {"symbol": "BTC/USDT", "end": "2020-06-01"}},
            }
        },
    }

    def found(connection: psycopg.Connection, **bounds: Any) -> list[date]:
        return [cell.month for cell in open_cells(connection, **bounds).get("binance", [])]

    with database.connect() as connection:
        sync_universe(connection, Universe.model_validate(document))
        assert len(found(connection)) == 5
        assert found(connection, first=date(2020, 4, 1)) == [date(2020, 4, 1), date(2020, 5, 1)]
        assert found(connection, last=JANUARY) == [JANUARY]
        assert found(connection, provider="kraken") == found(connection, listing="ETH-USD") == []
