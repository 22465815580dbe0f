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


def test_symbols_that_were_asked_one_after_another_become_subjects_of_their_times(
    database: Database,
) -> None:
    with database.connect() as connection:
        connection.autocommit = True
        migrate(database, "0016")
        connection.execute(
            """
            INSERT INTO ledger.instrument (key, asset_class)
            VALUES ('A', 'equity'), ('B', 'equity');
            INSERT INTO ledger.subject
                (instrument_id, provider, client, symbol, symbol_since, in_universe, left_at)
            SELECT i.id, 'fmp', 'fmp', s.symbol, s.since, s.until IS NULL, s.until
            FROM ledger.instrument i JOIN
                (VALUES ('A', 'NEW', '2025-03-01Z'::timestamptz, NULL::timestamptz),
                        ('B', 'B', '-infinity', '2025-04-01Z'))
                AS s(key, symbol, since, until) USING (key);
            INSERT INTO ledger.snapshot
                (subject_id, symbol, document, fetched_at, last_seen_at, digest, registry)
            SELECT u.id, s.symbol, 'profile', s.at, s.at, '', '' FROM ledger.subject u,
                (VALUES ('OLD', '2025-01-05Z'::timestamptz), ('TYPO', '2025-02-01Z'),
                        ('NEW', '2025-03-02Z')) AS s(symbol, at) WHERE u.symbol = 'NEW';
            INSERT INTO ledger.snapshot_check (subject_id, symbol, document, checked_at, outcome)
            SELECT subject_id, symbol, document, fetched_at, 'new' FROM ledger.snapshot
            """
        )
        told = "SELECT symbol, document, fetched_at FROM ledger.snapshot ORDER BY 3"
        before = connection.execute(told).fetchall()
        migrate(database)
        found = connection.execute(
            """
            SELECT u.symbol, u.asked::text, u.in_universe, count(s), count(k)
            FROM ledger.subject u LEFT JOIN ledger.snapshot s ON s.subject_id = u.id
            LEFT JOIN ledger.snapshot_check k ON k.subject_id = u.id GROUP BY u.id ORDER BY asked, 1
            """
        ).fetchall()
        day = "{} 00:00:00+00".format
        assert {row[0]: row[1:] for row in found} == {
            "OLD": (f'{{(,"{day("2025-02-01")}")}}', False, 1, 1),
            "TYPO": (f'{{["{day("2025-02-01")}","{day("2025-03-01")}")}}', False, 1, 1),
            "NEW": (f'{{["{day("2025-03-01")}",)}}', True, 1, 1),
            "B": (f'{{(,"{day("2025-04-01")}")}}', False, 0, 0),
        }
        migrate(database, "0016")
        assert connection.execute(told).fetchall() == before
        kept = connection.execute("SELECT symbol, in_universe FROM ledger.subject ORDER BY 1")
        assert kept.fetchall() == [("B", False), ("NEW", True)]
