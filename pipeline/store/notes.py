"""Notes of what is to be worked out anew, left by whoever changes what it follows from.

What belongs here: taking them, month by month. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from pipeline.intervals import Interval
from pipeline.store.ranges import from_multirange

_OWNERS = sql.SQL("SELECT DISTINCT {owner} FROM {table} WHERE {owner} = ANY(%s) ORDER BY 1")

_TAKE = sql.SQL("""
WITH gone AS (
    DELETE FROM {table} WHERE {owner} = %(number)s RETURNING during
), whole AS (
    SELECT range_agg(during) AS during FROM gone
), part AS (
    SELECT during, during * tstzmultirange(tstzrange(month, month + interval '1 month')) AS now
    FROM whole, date_trunc('month', lower(during), 'UTC') AS month
    WHERE during IS NOT NULL
), later AS (
    INSERT INTO {table} ({owner}, during)
    SELECT %(number)s, during - now FROM part WHERE NOT isempty(during - now)
)
SELECT now FROM part
""")


@dataclass(frozen=True, slots=True)
class Notes:
    """One kind of notes.

    Attributes:
        table: Its table.
        owner: The column that says whose they are.
        lock: Tells its advisory locks from those of others on the server; any number will do.
    """

    table: sql.Identifier
    owner: sql.Identifier
    lock: int

    def owners(self, connection: psycopg.Connection, numbers: Collection[int]) -> list[int]:
        """Return those of some owners of which there are any, sorted."""
        query = _OWNERS.format(table=self.table, owner=self.owner)
        return [number for (number,) in connection.execute(query, [sorted(numbers)])]

    def take(self, connection: psycopg.Connection, number: int) -> list[Interval]:
        """Return what is noted of the first month that has any; it counts as done then.

        Nobody else works on the owner until the transaction ends. What changes from now on is for
        the next time.
        """
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", [self.lock, number])
        query = _TAKE.format(table=self.table, owner=self.owner)
        row = connection.execute(query, {"number": number}).fetchone()
        return [] if row is None else from_multirange(row[0])


STALE: Final = Notes(sql.Identifier("ledger", "stale"), sql.Identifier("listing_id"), 0x4D4C_5446)
"""Minutes of listings above which bars are to be built."""
UNCONSOLIDATED: Final = Notes(
    sql.Identifier("ledger", "unconsolidated"), sql.Identifier("instrument_id"), 0x4D4C_434F
)
"""Minutes of instruments whose series is to be worked out."""
