"""How much the databases hold: bars, and what the tables take on disk, day by day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Literal

import psycopg
from psycopg.rows import class_row

BYTES_PER_BAR = 118
"""A bar with its index, as measured; for ledgers that have too few to tell."""
_ENOUGH_BARS = 100_000

_MEASURE = """
SELECT CASE n.nspname WHEN 'public' THEN t.relname ELSE n.nspname || '.' || t.relname END
           AS relation,
       sum(pg_total_relation_size(c.oid))::bigint AS bytes,
       sum(greatest(c.reltuples, 0))::bigint AS rows
FROM pg_class c
CROSS JOIN LATERAL (SELECT coalesce(pg_partition_root(c.oid), c.oid) AS root) AS whole
JOIN pg_class t ON t.oid = root JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND c.relpersistence <> 't'
GROUP BY n.nspname, t.relname
"""

_KEEP = """
INSERT INTO ledger.size (day, database, relation, bytes, rows)
VALUES (%(day)s, %(database)s, %(relation)s, %(bytes)s, %(rows)s)
ON CONFLICT (database, relation, day) DO UPDATE SET bytes = excluded.bytes, rows = excluded.rows
"""

# From the first measurement of the last days to the newest one.
_GROWTH = """
SELECT database, relation, newest.bytes, newest.rows,
       (newest.bytes - first.bytes)::double precision / nullif(newest.day - first.day, 0)
           AS bytes_a_day, newest.day
FROM (SELECT DISTINCT ON (database, relation) * FROM ledger.size
      ORDER BY database, relation, day DESC) AS newest
JOIN (SELECT DISTINCT ON (database, relation) database, relation, day, bytes FROM ledger.size
      WHERE day >= (SELECT max(day) FROM ledger.size) - %(days)s::integer
      ORDER BY database, relation, day) AS first USING (database, relation)
WHERE newest.day = (SELECT max(day) FROM ledger.size)
ORDER BY newest.bytes DESC, database, relation
"""

_DAYS = """
SELECT day, sum(bytes) FILTER (WHERE database = 'market')::bigint AS market,
       sum(bytes) FILTER (WHERE database = 'dagster')::bigint AS dagster
FROM ledger.size WHERE day > (SELECT max(day) FROM ledger.size) - %s::integer
GROUP BY day ORDER BY day
"""

Which = Literal["market", "dagster"]


@dataclass(frozen=True, slots=True)
class RelationSize:
    """What a table takes.

    Attributes:
        database: Ours, or Dagster's.
        relation: The table, with its partitions.
        bytes: What it takes on disk, with indexes.
        rows: How many rows it has, as PostgreSQL estimates.
    """

    database: Which
    relation: str
    bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class Growth:
    """What a table took when it was last measured, and how it has grown.

    Attributes:
        database: Ours, or Dagster's.
        relation: The table, with its partitions.
        bytes: What it took on disk, with indexes.
        rows: How many rows it had, as PostgreSQL estimates.
        bytes_a_day: By how much it grew a day; None if it was measured but once.
        day: When it was last measured, a day of UTC.
    """

    database: Which
    relation: str
    bytes: int
    rows: int
    bytes_a_day: float | None
    day: date


@dataclass(frozen=True, slots=True)
class DaySize:
    """What both databases took on a day of UTC, in bytes; None where it was not measured."""

    day: date
    market: int | None
    dagster: int | None

    @property
    def bytes(self) -> int:
        """What both took."""
        return (self.market or 0) + (self.dagster or 0)


def measure(connection: psycopg.Connection, database: Which) -> list[RelationSize]:
    """Return what the tables take now in the database that the connection is to."""
    rows = connection.execute(_MEASURE).fetchall()
    return [RelationSize(database, *row) for row in rows]


def keep_sizes(connection: psycopg.Connection, day: date, sizes: Iterable[RelationSize]) -> None:
    """Keep what was measured on a day, in one transaction; the last measurement of it counts.

    Args:
        connection: To the ledger.
        day: The day of UTC.
        sizes: What was measured.
    """
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_KEEP, [asdict(size) | {"day": day} for size in sizes])


def growth(connection: psycopg.Connection, days: int) -> Sequence[Growth]:
    """Return what was measured last of each table, and its growth in so many days until then."""
    with connection.cursor(row_factory=class_row(Growth)) as cursor:
        return cursor.execute(_GROWTH, {"days": days}).fetchall()


def size_by_day(connection: psycopg.Connection, days: int) -> Sequence[DaySize]:
    """Return what both databases took in the last days that were measured, in order of time."""
    with connection.cursor(row_factory=class_row(DaySize)) as cursor:
        return cursor.execute(_DAYS, [days]).fetchall()


def bars_by_provider(connection: psycopg.Connection) -> dict[str, int]:
    """Return the number of stored bars of each provider that has any listing."""
    rows = connection.execute(
        """
        SELECT provider, coalesce(sum(bars), 0) FROM ledger.listing
        LEFT JOIN ledger.coverage ON listing_id = id GROUP BY provider
        """
    )
    return {str(name): int(bars) for name, bars in rows}


def bars_bytes(connection: psycopg.Connection) -> int:
    """Return what all bars take, with their indexes."""
    row = connection.execute(
        """
        SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint
        FROM pg_partition_tree('ledger.bars_1m') WHERE isleaf
        """
    ).fetchone()
    return int(row[0]) if row else 0


def bytes_per_bar(connection: psycopg.Connection) -> float:
    """Return what a bar takes, with its index: measured where there are enough of them."""
    bars = sum(bars_by_provider(connection).values())
    return bars_bytes(connection) / bars if bars >= _ENOUGH_BARS else BYTES_PER_BAR
