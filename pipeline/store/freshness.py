"""How far behind listings are, as `market.freshness` has it.

What belongs here: reading it, at any moment. Every function runs on the caller's connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg.rows import class_row

from pipeline.clock import Clock

_FRESHNESS = """
SELECT provider, listing, instrument, listing_id, refresh, answered_until, newest_bar, stale_since,
       stale_minutes, unasked_since, failing_since, last_error, fresh
FROM market.freshness WHERE provider = coalesce(%(provider)s, provider)
  AND listing = coalesce(%(listing)s, listing) ORDER BY stale_since, provider, listing
"""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far behind one listing is; see `market.freshness`. Moments are UTC."""

    provider: str
    listing: str
    instrument: str
    listing_id: int
    refresh: timedelta
    answered_until: datetime | None
    newest_bar: datetime | None
    stale_since: datetime | None
    stale_minutes: int
    unasked_since: datetime | None
    failing_since: datetime | None
    last_error: str | None
    fresh: bool


def freshness(
    connection: psycopg.Connection,
    provider: str | None = None,
    listing: str | None = None,
    *,
    now: datetime | None = None,
) -> list[Freshness]:
    """Return the listings of the universe, those that are furthest behind first.

    Args:
        connection: An open connection.
        provider: Only this one; None for all.
        listing: Only listings of this key; None for all.
        now: The present, UTC; None for that of the connection.
    """
    with connection.transaction(), connection.cursor(row_factory=class_row(Freshness)) as cursor:
        set_now(connection, now)
        row = {"provider": provider, "listing": listing}
        return cursor.execute(_FRESHNESS, row).fetchall()


def set_now(connection: psycopg.Connection, now: datetime | None) -> None:
    """Let `ledger.now()` give a moment until the transaction ends; None: that of the connection."""
    if now is not None:
        clock = str(Clock.standing(now))
        connection.execute("SELECT set_config('minuteledger.clock', %s, true)", [clock])
