"""The role `analyst` reads `market` and nothing else, writes nowhere, and holds nobody up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pipeline.building import build
from pipeline.intervals import Interval
from pipeline.settling import Settling
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.listings import listings, sync_universe
from pipeline.store.migrate import migrate
from pipeline.store.server import EmbeddedServer
from pipeline.store.session import LedgerSession
from pipeline.store.timeframes import TimeframeInUse
from pipeline.universe import Universe
from tests.making import add_listing, bars, span

REFUSED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)


@contextmanager
def as_analyst(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect() as connection:
        connection.autocommit = True
        connection.execute("SET ROLE analyst")
        yield connection


@pytest.fixture(scope="module")
def stocked(shared_database: Database) -> Database:
    """A ledger with partitions of both kinds, so that the catalog names all there can be."""
    with shared_database.connect() as connection:
        add_listing(connection)
        connection.execute("SELECT ledger.ensure_bars_month('2024-01-01')")
        connection.execute("SELECT ledger.ensure_bars_year('1h', 2024)")
    return shared_database


def catalog(database: Database, query: str, *values: object) -> list[Any]:
    with database.connect() as connection:
        return [row[0] for row in connection.execute(query.encode(), values)]


_RELATIONS = """
SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE nspname = %s AND relkind = ANY(%s) ORDER BY 1
"""
_FUNCTIONS = """
SELECT format('%%I.%%I(%%s)', n.nspname, p.proname, (
           SELECT string_agg('NULL::' || format_type(kind, NULL), ', ' ORDER BY place)
           FROM unnest(p.proargtypes) WITH ORDINALITY AS given(kind, place)))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = %s ORDER BY 1
"""


def test_an_analyst_reads_every_view_of_the_market_schema(stocked: Database) -> None:
    views = catalog(stocked, _RELATIONS, "market", ["v", "m", "r", "p", "f"])
    assert {"bars_1m", "bars_5m", "bars_1mo", "coverage", "gaps", "listings"} <= set(views)
    with as_analyst(stocked) as connection:
        for view in views:
            connection.execute(sql.SQL("TABLE {}").format(sql.Identifier("market", view)))
        pending = connection.execute("SELECT sum(pending) FROM market.coverage").fetchone()
    assert pending
    assert pending[0] > 0


def test_an_analyst_may_call_every_function_of_the_market_schema(stocked: Database) -> None:
    named = "'bitfinex', 'BTC-USD', '2024-01-01', '2024-02-01'"
    calls = {
        "bars_1m_filled": f"bars_1m_filled({named})",
        "listing_id": "listing_id('bitfinex', 'BTC-USD')",
        "quiet_gaps": f"quiet_gaps({named})",
    }
    names = catalog(
        stocked, "SELECT proname FROM pg_proc WHERE pronamespace = 'market'::regnamespace"
    )
    assert sorted(names) == sorted(calls)
    with as_analyst(stocked) as connection:
        for call in calls.values():
            connection.execute(f"SELECT * FROM market.{call}".encode())


def test_functions_for_analysts_change_nothing_and_are_not_led_astray(stocked: Database) -> None:
    careless = catalog(
        stocked,
        """
        SELECT oid::regprocedure::text FROM pg_proc
        WHERE pronamespace = 'market'::regnamespace
          AND (provolatile = 'v' OR prosecdef AND NOT coalesce(proconfig::text, '') ~ 'search_path')
        """,
    )
    assert careless == []


def test_an_analyst_reads_no_table_of_the_ledger(stocked: Database) -> None:
    names = catalog(stocked, _RELATIONS, "ledger", ["r", "p", "v", "m", "S", "f"])
    assert {"bars_1m", "bars_1m_2024_01", "bars_1h_2024", "listing", "stale"} <= set(names)
    with as_analyst(stocked) as connection:
        for name in names:
            with pytest.raises(REFUSED):
                connection.execute(
                    sql.SQL("SELECT * FROM {}").format(sql.Identifier("ledger", name))
                )


def test_an_analyst_calls_no_function_of_the_ledger(stocked: Database) -> None:
    calls = catalog(stocked, _FUNCTIONS, "ledger")
    assert len(calls) > 10
    with as_analyst(stocked) as connection:
        for call in calls:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT {call}".encode())


def test_an_analyst_changes_nothing(stocked: Database) -> None:
    with as_analyst(stocked) as connection:
        for schema in ("ledger", "market"):
            for name in catalog(stocked, _RELATIONS, schema, ["r", "p", "v", "m", "f"]):
                table = sql.Identifier(schema, name)
                for statement in (
                    "INSERT INTO {} DEFAULT VALUES",
                    "DELETE FROM {}",
                    "TRUNCATE {}",
                    "LOCK TABLE {} IN SHARE MODE",
                    "COMMENT ON TABLE {} IS 'mine'",
                    "ALTER TABLE {} RENAME TO mine",
                    "DROP TABLE {}",
                ):
                    refused = pytest.raises((*REFUSED, psycopg.errors.WrongObjectType))
                    with refused, connection.transaction():
                        connection.execute(sql.SQL(statement).format(table))


def test_no_privilege_beyond_reading_is_granted_to_analysts(stocked: Database) -> None:
    granted = catalog(
        stocked,
        """
        SELECT format('%%s on %%s.%%s', privilege, n.nspname, c.relname)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES',
                                'TRIGGER']) AS privilege
        WHERE n.nspname IN ('ledger', 'market', 'public') AND relkind IN ('r', 'p', 'v', 'm', 'f')
          AND has_table_privilege('analyst', c.oid, privilege)
          AND NOT (privilege = 'SELECT' AND n.nspname = 'market')
        """,
    )
    assert granted == []


@pytest.fixture(scope="module")
def migrated(server: EmbeddedServer) -> Database:
    """A database that was migrated itself: rights on a database are not copied with it."""
    database = Database(server, server.url("for_analysts"))
    migrate(database)
    return database


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE market.mine (n int)",
        "CREATE TABLE public.mine (n int)",
        "CREATE TEMP TABLE mine (n int)",
        "CREATE SCHEMA mine",
        "CREATE VIEW market.mine AS SELECT 1",
        "CREATE FUNCTION market.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'mine')",
        "COPY (SELECT 1) TO '/tmp/mine'",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
def test_an_analyst_makes_nothing_of_his_own(migrated: Database, statement: str) -> None:
    with as_analyst(migrated) as connection, pytest.raises(REFUSED):
        connection.execute(statement.encode())


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
