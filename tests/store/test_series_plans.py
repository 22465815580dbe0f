"""Series are read by the index, and only in the partitions of their time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import psycopg
import pytest

from pipeline.store.database import Database
from pipeline.store.listings import sync_universe
from pipeline.universe import Universe


@pytest.fixture
def ten_years(database: Database) -> Iterator[psycopg.Connection]:
    """Twenty instruments with two listings each, and their bars of three months of ten years."""
    keys = [f"I{number:02}" for number in range(20)]
    document = {
        "start": "2014-01-01",
        "providers": {"kraken": {}, "binance": {}},
        "instruments": {
            key: {"class": "crypto_spot", "listings": dict.fromkeys(("kraken", "binance"), key)}
            for key in keys
        },
    }
    with database.connect() as connection:
        connection.autocommit = True
        sync_universe(connection, Universe.model_validate(document))
        connection.execute("SET timezone = 'UTC'")
        for month in (date(2014, 1, 1), date(2020, 3, 1), date(2024, 1, 1)):
            connection.execute("SELECT ledger.ensure_bars_month(%s)", [month])
            connection.execute(
                """
                INSERT INTO ledger.bars_1m
                SELECT l.id, ts, 1, 1, 1, 1 FROM ledger.listing l CROSS JOIN generate_series(
                    %(month)s::date, %(month)s::date + interval '3 days', interval '1 minute') AS ts
                """,
                {"month": month},
            )
        connection.execute(
            """
            INSERT INTO ledger.segment
            SELECT l.instrument_id, m.month, l.id, m.open, m.open, 'comes first'
            FROM ledger.listing l JOIN ledger.session_month m ON m.session = l.session
            WHERE l.provider = 'kraken' AND m.month >= '2014-01-01'
            """
        )
        connection.execute("ANALYZE")
        yield connection


def _plan(connection: psycopg.Connection, query: str) -> str:
    lines = connection.execute(f"EXPLAIN {query}".encode()).fetchall()
    return "\n".join(line for (line,) in lines)


@pytest.mark.parametrize(
    "query",
    [
        "instrument = 'I07' AND ts >= '2024-01-02' AND ts < '2024-01-03'",
        "ts = '2024-01-02 12:00'",
    ],
)
def test_a_day_or_a_minute_is_read_by_the_index_of_its_partition(
    ten_years: psycopg.Connection, query: str
) -> None:
    plan = _plan(ten_years, f"SELECT * FROM market.consolidated_1m WHERE {query}")
    assert "bars_1m_2024_01" in plan
    assert "bars_1m_2014_01" not in plan
    assert "bars_1m_2020_03" not in plan
    assert "Index Scan using bars_1m_2024_01_pkey" in plan or "Bitmap Heap Scan" in plan, plan
    assert "Seq Scan on bars_1m" not in plan
