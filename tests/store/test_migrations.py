from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from pipeline.providers.capabilities import RateLimit
from pipeline.providers.limiter import Report
from pipeline.store.database import Database
from pipeline.store.limits import LedgerLimiter
from pipeline.store.migrate import migrate, revisions
from tests.making import add_listing


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


# A column that is gone leaves a mark in the catalog for ever, which nobody sees.
_SHAPE = (
    """
    SELECT c.oid::regclass::text, c.relkind, a.attnum, a.attname, a.atttypid::regtype::text,
           a.attnotnull, col_description(c.oid, a.attnum), obj_description(c.oid), c.relacl::text,
           CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END
    FROM pg_class c LEFT JOIN pg_attribute a
         ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace IN ('ledger'::regnamespace, 'market'::regnamespace)
      AND c.relkind IN ('r', 'p', 'v')
    """,
    """
    SELECT pg_get_functiondef(oid), obj_description(oid), proacl::text FROM pg_proc
    WHERE pronamespace IN ('ledger'::regnamespace, 'market'::regnamespace)
    """,
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'ledger'",
)


def shape(connection: psycopg.Connection) -> list[set[tuple[object, ...]]]:
    return [set(connection.execute(query).fetchall()) for query in _SHAPE]


@pytest.mark.parametrize("revision", ["0012"])
def test_what_comes_after_a_revision_is_undone_without_a_trace(
    database: Database, revision: str
) -> None:
    migrate(database, "base")
    migrate(database, revision)
    with database.connect() as connection:
        connection.autocommit = True
        before = shape(connection)
        migrate(database)
        assert shape(connection) != before
        migrate(database, revision)
        assert shape(connection) == before


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
            WHERE p.pronamespace IN ('ledger'::regnamespace, 'market'::regnamespace)
              AND obj_description(p.oid) IS NULL
            """
        ).fetchall()
    assert silent == []


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
