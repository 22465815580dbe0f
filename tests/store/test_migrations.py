from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest

from pipeline.providers.capabilities import RateLimit
from pipeline.providers.limiter import Report
from pipeline.store.database import Database
from pipeline.store.limits import LedgerLimiter
from pipeline.store.migrate import migrate, revisions
from tests.making import add_listing


@contextmanager
def as_analyst(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect() as connection:
        connection.autocommit = True
        connection.execute("SET ROLE analyst")
        yield connection


def relations(connection: psycopg.Connection) -> set[str]:
    rows = connection.execute(
        """
        SELECT format('%s.%s', n.nspname, c.relname) FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('ledger', 'market')
        """
    )
    return {name for (name,) in rows}


def test_migrating_down_and_up_again_works_with_rows_in_place(database: Database) -> None:
    with database.connect() as connection:
        connection.autocommit = True
        add_listing(connection)
        before = relations(connection)
        connection.execute("SELECT ledger.ensure_bars_month('2024-01-01')")
        with LedgerLimiter(database, "bitfinex") as limiter:
            limiter.answered(limiter.acquire(RateLimit(1, 1.0)), Report())
            limiter.pause(timedelta(seconds=1), "enough")
        assert migrate(database, "base") == "base"
        assert relations(connection) == set()
        assert migrate(database) == revisions(database)[1]
        assert relations(connection) == before


def test_migrating_twice_changes_nothing(database: Database) -> None:
    assert migrate(database) == migrate(database)


def test_every_table_view_and_column_says_what_it_is(database: Database) -> None:
    with database.connect() as connection:
        silent = connection.execute(
            """
            SELECT format('%s.%s.%s', n.nspname, c.relname, a.attname)
            FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE n.nspname IN ('ledger', 'market') AND c.relkind IN ('r', 'p', 'v')
              AND (obj_description(c.oid) IS NULL OR col_description(c.oid, a.attnum) IS NULL)
            """
        ).fetchall()
    assert silent == []


def test_every_function_says_what_it_is(database: Database) -> None:
    with database.connect() as connection:
        silent = connection.execute(
            """
            SELECT p.oid::regprocedure::text FROM pg_proc p
            WHERE p.pronamespace = 'ledger'::regnamespace AND obj_description(p.oid) IS NULL
            """
        ).fetchall()
    assert silent == []


def test_an_analyst_reads_the_market_schema(database: Database) -> None:
    with database.connect() as connection:
        add_listing(connection)
        connection.commit()
    with as_analyst(database) as connection:
        names = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'market'"
        ).fetchall()
        assert {"bars_1m", "coverage", "listings", "instruments"} <= {name for (name,) in names}
        for (name,) in names:
            connection.execute(f"SELECT * FROM market.{name}")
        rows = connection.execute("SELECT sum(pending) FROM market.coverage").fetchone()
    assert rows
    assert rows[0] > 0


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM ledger.bars_1m",
        "SELECT * FROM ledger.listing",
        "DELETE FROM market.bars_1m",
        "UPDATE market.instruments SET name = 'mine'",
        "CREATE TABLE market.mine (n int)",
        "CREATE TABLE public.mine (n int)",
        "SELECT ledger.ensure_bars_month('2024-01-01')",
    ],
)
def test_an_analyst_can_do_nothing_else(database: Database, statement: str) -> None:
    with (
        as_analyst(database) as connection,
        pytest.raises(
            (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)
        ),
    ):
        connection.execute(statement)


def test_the_month_partition_is_made_once_and_holds_its_month(database: Database) -> None:
    with database.connect() as connection:
        names = {
            connection.execute("SELECT ledger.ensure_bars_month('2016-02-01')").fetchone()
            for _ in range(2)
        }
        assert names == {("bars_1m_2016_02",)}
        bounds = connection.execute(
            """
            SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'bars_1m_2016_02'
            """
        ).fetchone()
    assert bounds == ("FOR VALUES FROM ('2016-02-01 00:00:00+00') TO ('2016-03-01 00:00:00+00')",)
