"""The role `analyst` reads `market` and nothing else, and writes nowhere."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import sql

from pipeline.store.database import Database
from pipeline.store.migrate import migrate
from pipeline.store.server import EmbeddedServer
from tests.making import add_listing
from tests.store.roles import as_analyst

REFUSED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)


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
        "fundamentals_asof": "fundamentals_asof(now())",
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
