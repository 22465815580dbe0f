"""What PostgreSQL knows about tables when it plans a query.

What belongs here: what it does not see to by itself. It counts a table of its own accord after many
changes, but never one that is made of partitions.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

_PARTITIONED = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'p' AND NOT c.relispartition AND n.nspname = 'ledger' ORDER BY c.relname
"""
_WITHOUT_PARTITIONS = 180_000
"""Since PostgreSQL 18 the table can be counted alone; before, its partitions are counted anew."""


def count_partitioned(connection: psycopg.Connection) -> int:
    """Have PostgreSQL estimate what tables hold that are made of partitions.

    Without it a join of two listings was expected to have a hundred times its rows.

    Args:
        connection: To the ledger, without a transaction around statements.

    Returns:
        How many tables.
    """
    alone = connection.info.server_version >= _WITHOUT_PARTITIONS
    counting = sql.SQL("ANALYZE ONLY {}" if alone else "ANALYZE {}")
    tables = connection.execute(_PARTITIONED).fetchall()
    for name in tables:
        connection.execute(counting.format(sql.Identifier(*name)))
    return len(tables)
