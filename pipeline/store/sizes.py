"""How much the ledger holds: bars, and what they take on disk."""

from __future__ import annotations

import psycopg

BYTES_PER_BAR = 118
"""A bar with its index, as measured; for ledgers that have too few to tell."""
_ENOUGH_BARS = 100_000


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
