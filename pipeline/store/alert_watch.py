"""How looking for trouble, and telling of it, goes.

What belongs here: the one row of `ledger.alert_watch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg
from psycopg.rows import class_row

_WATCH: Final = """
SELECT looked_at, delivered_at, failing_since, attempts, next_attempt_at, error
FROM ledger.alert_watch
"""
_DELIVERED: Final = """
UPDATE ledger.alert_watch
SET delivered_at = %s, failing_since = NULL, attempts = 0, next_attempt_at = NULL, error = NULL
"""
_UNDELIVERED: Final = """
UPDATE ledger.alert_watch
SET failing_since = coalesce(failing_since, %(now)s), attempts = attempts + 1,
    next_attempt_at = %(next)s, error = %(error)s
"""


@dataclass(frozen=True, slots=True)
class Watch:
    """How looking for trouble, and telling of it, goes. Times are UTC.

    Attributes:
        looked_at: When somebody last looked; None if nobody ever did.
        delivered_at: When a message was last delivered.
        failing_since: Since when none could be; None while they can.
        attempts: How often delivering has failed in a row.
        next_attempt_at: When it is tried again; None while nothing has failed.
        error: What came back instead.
    """

    looked_at: datetime | None
    delivered_at: datetime | None
    failing_since: datetime | None
    attempts: int
    next_attempt_at: datetime | None
    error: str | None


def watch(connection: psycopg.Connection) -> Watch:
    """Return how looking and telling goes."""
    with connection.cursor(row_factory=class_row(Watch)) as cursor:
        row = cursor.execute(_WATCH).fetchone()
    return row or Watch(None, None, None, 0, None, None)


def note_delivered(connection: psycopg.Connection, now: datetime) -> None:
    """Note that a message was delivered."""
    connection.execute(_DELIVERED, [now])


def note_undelivered(
    connection: psycopg.Connection, error: str, now: datetime, next_attempt_at: datetime
) -> None:
    """Note that a message could not be delivered, why, and when that is tried again."""
    connection.execute(_UNDELIVERED, {"error": error, "now": now, "next": next_attempt_at})
