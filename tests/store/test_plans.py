"""What analysts ask most reads the rows that it returns, and no others.

Plans are examined, not times. Nothing is set that would favour one of them, and the partitions are
analyzed as autovacuum does it: each by itself, their parent never.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from pipeline.store.database import Database
from pipeline.store.listings import sync_universe
from pipeline.universe import Universe

LISTINGS = 620
"""With daily bars; every twentieth also has hours and minutes."""
DAILY = [f"N{number}" for number in range(1, LISTINGS + 1)]
MINUTELY = DAILY[::20]
DELISTED = MINUTELY[3]
"""Has no bars in 2023."""

_FILL = """
CREATE TEMP TABLE minutely AS
    SELECT l.id, CASE WHEN l.key = %(delisted)s THEN '2022-12-31Z'::timestamptz
                      ELSE '2023-12-31 23:00Z' END AS until
    FROM ledger.listing l JOIN unnest(%(minutely)s::text[]) AS key USING (key);
SELECT ledger.ensure_bars_month(month::date)
    FROM generate_series('2022-01-01'::timestamp, '2023-12-01', '1 month') AS month;
SELECT ledger.ensure_bars_year('1h', year) FROM generate_series(2019, 2023) AS year;
INSERT INTO ledger.bars_1m
    SELECT id, ts, 1, 2, 0.5, 1, 1, 1, 1
    FROM minutely, generate_series('2022-01-01Z'::timestamptz, until, '2 hours') AS ts;
INSERT INTO ledger.bars_1h
    SELECT id, ts, ts + '1 hour'::interval, ts::date, 1, 2, 0.5, 1, 1, 1, 1, 60, 1, true
    FROM minutely, generate_series('2019-01-01Z'::timestamptz, until, '6 hours') AS ts;
INSERT INTO ledger.bars_1d
    SELECT id, ts, ts + '1 day'::interval, ts::date, 1, 2, 0.5, 1, 1, 1, 1, 1440, 1, true
    FROM ledger.listing, generate_series('2014-01-01Z'::timestamptz, '2023-12-31Z', '10 days') AS ts
"""


@dataclass(frozen=True)
class Scan:
    """A node of a plan that reads a table of bars."""

    relation: str
    kind: str
    runs: int
    rows: int
    condition: str


class Desk:
    """An analyst, and the plans of what he asks."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.connection.execute("SET ROLE analyst")

    def ask(self, query: LiteralString, **values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, values).fetchall()

    def scans(self, query: LiteralString, **values: Any) -> list[Scan]:
        """Run a query, and return how it read bars; tables that it never came to are left out."""
        return [scan for scan in self.plan(query, **values) if scan.runs]

    def plan(self, query: LiteralString, **values: Any) -> list[Scan]:
        """Run a query, and return how it was going to read bars."""
        explain: LiteralString = "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) "
        ((found,),) = self.ask(explain + query, **values)
        return list(_scans(found[0]["Plan"]))


def _scans(node: dict[str, Any]) -> Iterator[Scan]:
    if node.get("Relation Name", "").startswith("bars_"):
        runs = int(node["Actual Loops"])
        removed = node.get("Rows Removed by Filter", 0) + node.get(
            "Rows Removed by Index Recheck", 0
        )
        yield Scan(
            node["Relation Name"],
            node["Node Type"],
            runs,
            round((node["Actual Rows"] + removed) * runs),
            node.get("Index Cond", node.get("Recheck Cond", "")),
        )
    for child in node.get("Plans", []):
        yield from _scans(child)


@pytest.fixture(scope="module")
def full(shared_database: Database) -> Database:
    """A ledger with two years of minutes, five of hours and ten of days."""
    universe = Universe.model_validate(
        {
            "start": "2014-01-01",
            "providers": {"bitfinex": {}},
            "instruments": {
                key: {"class": "crypto_spot", "listings": {"bitfinex": f"{key}/USD"}}
                for key in DAILY
            },
        }
    )
    with shared_database.connect() as connection:
        sync_universe(connection, universe)
        values = {"minutely": MINUTELY, "delisted": DELISTED}
        psycopg.ClientCursor(connection).execute(_FILL, values)
        connection.commit()
        connection.autocommit = True
        tables = connection.execute(
            "SELECT relname FROM pg_class"
            " WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'r'"
        ).fetchall()
        for (name,) in tables:
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier("ledger", name)))
    return shared_database


@pytest.fixture
def desk(full: Database) -> Iterator[Desk]:
    with full.connect() as connection:
        yield Desk(connection)


@pytest.mark.parametrize(("view", "newest"), [("1m", "bars_1m_2023_12"), ("1h", "bars_1h_2023")])
def test_the_latest_bars_of_a_listing_are_read_from_the_newest_partition(
    desk: Desk, view: str, newest: str
) -> None:
    (scan,) = desk.scans(_latest(view), listing=MINUTELY[7])
    assert (scan.relation, scan.rows) == (newest, 10)
    assert "listing_id = " in scan.condition


@pytest.mark.parametrize("view", ["1m", "1h"])
def test_the_latest_bars_of_a_listing_that_ended_long_ago_are_no_more_reading(
    desk: Desk, view: str
) -> None:
    scans = desk.scans(_latest(view), listing=DELISTED)
    assert sum(scan.rows for scan in scans) == 10
    assert scans[-1].relation < "bars_1m_2023"
    assert all("listing_id = " in scan.condition for scan in scans)


def _latest(view: str) -> LiteralString:
    queries: dict[str, LiteralString] = {
        "1m": """
            SELECT * FROM market.bars_1m
            WHERE listing_id = market.listing_id('bitfinex', %(listing)s) ORDER BY ts DESC LIMIT 10
            """,
        "1h": """
            SELECT * FROM market.bars_1h
            WHERE listing_id = market.listing_id('bitfinex', %(listing)s) ORDER BY ts DESC LIMIT 10
            """,
    }
    return queries[view]


def test_the_latest_bar_of_every_listing_is_one_row_each(desk: Desk) -> None:
    query: LiteralString = """
        SELECT l.listing, b.* FROM market.listings l CROSS JOIN LATERAL (
            SELECT ts, close FROM market.bars_1m b
            WHERE b.listing_id = l.listing_id ORDER BY ts DESC LIMIT 1
        ) AS b
        WHERE l.listing = ANY(%(listings)s)
        """
    asked = [listing for listing in MINUTELY if listing != DELISTED]
    (scan,) = desk.scans(query, listings=asked)
    assert (scan.relation, scan.rows) == ("bars_1m_2023_12", len(asked))


def test_latest_bars_by_name_are_cheap_when_the_query_says_since_when(desk: Desk) -> None:
    query: LiteralString = """
        SELECT * FROM market.bars_1m WHERE provider = 'bitfinex' AND listing = %(listing)s
        AND ts >= now() - (now() - '2023-12-30Z') ORDER BY ts DESC LIMIT 10
        """
    (scan,) = desk.scans(query, listing=MINUTELY[7])
    assert (scan.relation, scan.rows) == ("bars_1m_2023_12", 24)


@pytest.mark.parametrize(
    "named",
    [
        "provider = 'bitfinex' AND listing = %(listing)s",
        "provider = 'bitfinex' AND symbol = %(listing)s || '/USD'",
        "instrument = %(listing)s",
        "listing_id = market.listing_id('bitfinex', %(listing)s)",
    ],
)
def test_a_day_of_minutes_is_read_from_its_month_alone(desk: Desk, named: LiteralString) -> None:
    query = (
        "SELECT * FROM market.bars_1m WHERE "
        + named
        + " AND ts >= '2022-06-15Z' AND ts < '2022-06-16Z' ORDER BY ts"
    )
    (scan,) = desk.plan(query, listing=MINUTELY[7])
    assert (scan.relation, scan.rows) == ("bars_1m_2022_06", 12)
    assert "listing_id = " in scan.condition
    assert "ts >= " in scan.condition


def test_a_plan_made_before_the_day_is_known_reads_its_month_alone_too(desk: Desk) -> None:
    desk.connection.execute("SET plan_cache_mode = force_generic_plan")
    desk.connection.execute(
        "PREPARE day (text, timestamptz) AS SELECT * FROM market.bars_1m"
        " WHERE provider = 'bitfinex' AND listing = $1 AND ts >= $2 AND ts < $2 + interval '1 day'"
    )
    (scan,) = desk.plan("EXECUTE day('N21', '2022-06-15Z')")
    assert (scan.relation, scan.rows) == ("bars_1m_2022_06", 12)


def test_five_years_of_days_of_500_instruments_are_read_by_the_index(desk: Desk) -> None:
    query: LiteralString = """
        SELECT * FROM market.bars_1d
        WHERE provider = 'bitfinex' AND instrument = ANY(%(names)s)
          AND ts >= '2015-01-01Z' AND ts < '2020-01-01Z'
        """
    names = DAILY[:500]
    (scan,) = desk.scans(query, names=names)
    assert scan.rows == len(desk.ask(query, names=names)) > 500 * 180
    assert (scan.relation, scan.kind) == ("bars_1d", "Index Scan")
    assert "ts >= " in scan.condition


@pytest.mark.parametrize(
    ("query", "partition", "rows"),
    [
        (
            "SELECT * FROM market.bars_1m WHERE ts = '2022-06-15 10:00Z'",
            "bars_1m_2022_06",
            len(MINUTELY),
        ),
        (
            "SELECT * FROM market.bars_1h WHERE provider = 'bitfinex' AND ts = '2021-06-15 12:00Z'",
            "bars_1h_2021",
            len(MINUTELY),
        ),
        ("SELECT * FROM market.bars_1d WHERE session_date = '2014-01-11'", "bars_1d", LISTINGS),
    ],
)
def test_all_instruments_at_one_moment_are_one_row_each(
    desk: Desk, query: LiteralString, partition: str, rows: int
) -> None:
    (scan,) = desk.scans(query)
    assert (scan.relation, scan.rows) == (partition, rows)
    assert len(desk.ask(query)) == rows


def test_the_gaps_of_one_listing_are_looked_up_listing_by_listing(desk: Desk) -> None:
    query: LiteralString = (
        "EXPLAIN (FORMAT JSON) SELECT * FROM market.gaps"
        " WHERE provider = 'bitfinex' AND listing = 'N21'"
    )
    ((found,),) = desk.ask(query)
    read = list(_tables(found[0]["Plan"]))
    whole = {table for table, condition in read if not condition}
    assert {table for table, _ in read} >= {"listing", "coverage", "gap", "fetch_failure"}
    assert whole <= {"session_month"}


def _tables(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Which tables a plan reads, and by which condition."""
    if "Relation Name" in node:
        condition = " ".join(
            node.get(kind, "") for kind in ("Index Cond", "Recheck Cond", "Filter")
        ).strip()
        yield node["Relation Name"], condition
    for child in node.get("Plans", []):
        yield from _tables(child)
