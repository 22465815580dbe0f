"""A small ledger to read from: bars of two years, hours outside of the session, gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from pipeline.following import follow
from pipeline.intervals import MINUTE, Interval
from pipeline.listing import Listing
from pipeline.settling import Settling
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.listings import listings, sync_universe
from pipeline.store.server import EmbeddedServer
from pipeline.store.session import LedgerSession
from pipeline.universe import Universe
from tests.conftest import new_database
from tests.making import at, bar, executed, span, table

RECEIVED = at("2025-06-01")
SETTLING = Settling((timedelta(days=1),))
YEAR_END = span("2023-12-30", "2024-01-03")
"""Of BTC-USD at bitfinex: every minute but the sevenths, over the end of a year and a week."""
DAY = span("2024-03-04T13:00", "2024-03-04T22:00")
"""Of SPY: 90 minutes before the session, the session, an hour after it."""


class World:
    """A ledger, and what was put into it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.session = LedgerSession(database)
        self.session.run(lambda c: sync_universe(c, Universe.model_validate(_universe())))

    def listing(self, provider: str, key: str) -> Listing:
        return self.session.run(lambda c: listings(c, provider, [key]))[0]

    def put(
        self, provider: str, key: str, during: Interval, rows: Sequence[dict[str, Any]]
    ) -> None:
        """Answer a time with these bars."""
        listing = self.listing(provider, key)
        for month in during.months():
            delivery = Delivery(
                listing_id=listing.id,
                month=month.start.date().replace(day=1),
                answered=(month,),
                bars=table(row for row in rows if row["ts"] in month),
                refused=(),
                failed=(),
                received_at=RECEIVED,
                settling=SETTLING,
            )
            self.session.run(lambda c, one=delivery: commit(c, one))  # type: ignore[misc]

    def build(self) -> None:
        every = self.execute("SELECT id FROM ledger.listing")
        follow(self.database, self.session, [number for (number,) in every])

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return executed(self.session, statement)


def minutes(during: Interval, *, but_every: int = 7, price: float = 100) -> list[dict[str, Any]]:
    """Bars of all minutes but every so manieth, without vwap; each third lacks its trades."""
    moments = [during.start + n * MINUTE for n in range(during.minutes)]
    return [
        bar(ts, price + n % 97 / 8, trades=None if n % 3 else n, volume=n % 5 / 4)
        for n, ts in enumerate(moments)
        if n % but_every
    ]


def moments(rows: Sequence[dict[str, Any]]) -> list[datetime]:
    return [row["ts"] for row in rows]


def _universe() -> dict[str, Any]:
    crypto = {"symbol": "BTC/USD", "end": "2024-02-01"}
    return {
        "start": "2023-12-01",
        "providers": {"bitfinex": {}, "kraken": {}},
        "instruments": {
            "BTC-USD": {
                "class": "crypto_spot",
                "listings": {"bitfinex": crypto, "kraken": crypto},
            },
            "ES=F": {
                "class": "crypto_spot",
                "listings": {"kraken": {"symbol": "ES/USD", "end": "2024-02-01"}},
            },
            "SPY": {
                "class": "etf",
                "session": "XNYS",
                "listings": {"bitfinex": {"symbol": "SPY", "end": "2024-04-01"}},
            },
        },
    }


def fill(world: World) -> None:
    world.put("bitfinex", "BTC-USD", YEAR_END, minutes(YEAR_END))
    world.put("bitfinex", "SPY", DAY, minutes(DAY))
    world.put("kraken", "ES=F", span("2024-01-05", "2024-01-06"), [])
    world.build()


@pytest.fixture(scope="module")
def world(shared_database: Database) -> World:
    """A filled ledger that the tests of a module share and only read."""
    made = World(shared_database)
    fill(made)
    return made


@pytest.fixture
def changing(server: EmbeddedServer, migrated_template: str) -> Iterator[World]:
    """A filled ledger of the test's own."""
    with new_database(server, migrated_template) as database:
        made = World(database)
        fill(made)
        yield made
        made.session.close()


@pytest.fixture
def analyst(world: World) -> Iterator[str]:
    """The URL of a login that has the role `analyst` and nothing else."""
    with psycopg.connect(world.database.url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE ann LOGIN IN ROLE analyst")
        yield world.database.url().replace("//postgres@", "//ann@")
        connection.execute("DROP ROLE ann")
