"""Nobody waits for the long query of an analyst."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from pipeline.building import build
from pipeline.intervals import Interval
from pipeline.settling import Settling
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.listings import listings, sync_universe
from pipeline.store.session import LedgerSession
from pipeline.store.timeframes import TimeframeInUse
from pipeline.universe import Universe
from tests.making import bars, span
from tests.store.roles import as_analyst


class Desk:
    """A ledger with bars, of which no statement waits longer than a second for a lock."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.connect() as connection:
            connection.autocommit = True
            connection.execute(
                sql.SQL("ALTER DATABASE {} SET lock_timeout = '1s'").format(
                    sql.Identifier(database.name)
                )
            )
        self.session = LedgerSession(database)
        self.sync("1h", "90m", "1d")
        self.listing = self.session.run(lambda c: listings(c, "bitfinex"))[0]
        self.download(span("2023-12-30", "2023-12-31"))

    def sync(self, *timeframes: str) -> None:
        universe = Universe.model_validate(
            {
                "start": "2023-12-01",
                "timeframes": list(timeframes),
                "providers": {"bitfinex": {}},
                "instruments": {"IT": {"class": "crypto_spot", "listings": {"bitfinex": "IT/USD"}}},
            }
        )
        self.session.run(lambda c: sync_universe(c, universe))

    def download(self, interval: Interval, price: float = 100.0) -> None:
        delivery = Delivery(
            listing_id=self.listing.id,
            month=interval.start.date().replace(day=1),
            answered=(interval,),
            bars=bars(interval, price),
            refused=(),
            failed=(),
            received_at=datetime.now(UTC),
            settling=Settling((timedelta(hours=1),)),
        )
        self.session.run(lambda c: commit(c, delivery))
        build(self.database, self.session, [self.listing.id])

    def count(self, name: str) -> int:
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("market", name))
        rows = self.session.run(lambda c: c.execute(query).fetchall())
        return int(rows[0][0])


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    made = Desk(database)
    yield made
    made.session.close()


@contextmanager
def reading(database: Database, view: str) -> Iterator[psycopg.Cursor]:
    """A query of an analyst that has begun and is not at its end."""
    with as_analyst(database) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        query = sql.SQL("DECLARE long CURSOR FOR SELECT * FROM {} ORDER BY ts")
        connection.execute(query.format(sql.Identifier("market", view)))
        cursor = connection.cursor()
        cursor.execute("FETCH 10 FROM long")
        assert cursor.rowcount == 10
        yield cursor
        cursor.execute("FETCH ALL FROM long")


def test_a_download_does_not_wait_for_the_long_query_of_an_analyst(desk: Desk) -> None:
    with reading(desk.database, "bars_1m") as minutes, reading(desk.database, "bars_1h") as hours:
        desk.download(span("2023-12-31", "2024-01-01"))
        desk.download(span("2024-01-01", "2024-01-02"))  # makes a month's partition and a year's
        desk.download(span("2023-12-30 10:00", "2023-12-30 10:05"), price=101)  # revises bars
        assert (desk.count("bars_1m"), desk.count("bars_1h")) == (3 * 1440, 3 * 24)
    assert (minutes.rowcount, hours.rowcount) == (1440 - 10, 24 - 10), "he reads what was there"


def test_a_timeframe_is_added_while_an_analyst_reads(desk: Desk) -> None:
    with reading(desk.database, "bars_1m"), reading(desk.database, "bars_1h"):
        desk.sync("5m", "1h", "90m", "1d")
        build(desk.database, desk.session, [desk.listing.id])
    assert desk.count("bars_5m") == 288


def test_a_timeframe_that_is_being_read_is_not_dropped_and_others_go_on_reading(
    desk: Desk,
) -> None:
    with reading(desk.database, "bars_90m"):
        with pytest.raises(TimeframeInUse, match="no longer has 90m, but a query is reading"):
            desk.sync("1h", "1d")
        assert desk.count("bars_90m") == 16, "nobody waits behind it"
        desk.download(span("2023-12-31", "2024-01-01"))
    assert desk.count("bars_90m") == 32
    desk.sync("1h", "1d")
    with pytest.raises(psycopg.errors.UndefinedTable):
        desk.count("bars_90m")


def test_who_drops_a_timeframe_gives_up_within_seconds_whatever_the_server_says(
    desk: Desk,
) -> None:
    with desk.database.connect() as connection:
        connection.execute("SET lock_timeout = 0")
        refused: list[BaseException] = []

        def drop() -> None:
            try:
                connection.execute("SELECT ledger.drop_timeframe('90m')")
            except psycopg.errors.LockNotAvailable as error:
                refused.append(error)

        with reading(desk.database, "bars_90m"):
            thread = threading.Thread(target=drop)
            thread.start()
            thread.join(timeout=30)
            assert not thread.is_alive()
    assert len(refused) == 1
