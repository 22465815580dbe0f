"""Ranges that were asked for and not properly answered.

Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg.types.multirange import Multirange

from pipeline.intervals import Interval
from pipeline.store.ranges import to_range

FIRST_RETRY = timedelta(minutes=1)
"""How long after its first failure a range is due again; the wait doubles with each further
failure."""
LONGEST_RETRY = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one range has no proper answer.

    Attributes:
        during: The minutes.
        error: Class of the error, for grouping.
        message: What was wrong and what to do; holds no secret.
        retryable: Whether asking again can help without anybody acting.
        not_before: The earliest next attempt that the provider allows; None when it does not say.
    """

    during: Interval
    error: str
    message: str
    retryable: bool
    not_before: datetime | None = None


_CLEAR = """
WITH gone AS (
    DELETE FROM ledger.fetch_failure
    WHERE listing_id = %(listing)s AND during && %(ranges)s::tstzmultirange RETURNING *
)
INSERT INTO ledger.fetch_failure
    (listing_id, during, error, message, attempts, first_failed_at, last_failed_at, next_attempt_at)
SELECT listing_id, rest, error, message, attempts, first_failed_at, last_failed_at, next_attempt_at
FROM gone, unnest(tstzmultirange(during) - %(ranges)s::tstzmultirange) AS rest
"""

_HISTORY = """
SELECT coalesce(max(attempts), 0), coalesce(min(first_failed_at), %(now)s)
FROM ledger.fetch_failure WHERE listing_id = %(listing)s AND during && %(during)s::tstzrange
"""

_INSERT = """
INSERT INTO ledger.fetch_failure
    (listing_id, during, error, message, attempts, first_failed_at, last_failed_at, next_attempt_at)
VALUES (%(listing)s, %(during)s, %(error)s, %(message)s, %(attempts)s, %(first)s, %(now)s, %(next)s)
"""


def clear(connection: psycopg.Connection, listing_id: int, ranges: Multirange[datetime]) -> None:
    """Take answered ranges out of a listing's failures; what is left keeps its history."""
    connection.execute(_CLEAR, {"listing": listing_id, "ranges": ranges})


def record(
    connection: psycopg.Connection, listing_id: int, failure: Failure, now: datetime
) -> None:
    """Note that a range failed (again), and when it is due next."""
    during = to_range(failure.during)
    key = {"listing": listing_id, "during": during, "now": now}
    row = connection.execute(_HISTORY, key).fetchone()
    attempts, first = row or (0, now)
    clear(connection, listing_id, Multirange([during]))
    connection.execute(
        _INSERT,
        key
        | {
            "error": failure.error,
            "message": failure.message,
            "attempts": attempts + 1,
            "first": first,
            "next": _next_attempt(failure, attempts, now),
        },
    )


def _next_attempt(failure: Failure, earlier_attempts: int, now: datetime) -> datetime | None:
    if not failure.retryable:
        return None
    # 2^10 minutes is past the longest wait already; the cap keeps the power small.
    due: datetime = now + min(FIRST_RETRY * 2 ** min(earlier_attempts, 10), LONGEST_RETRY)
    return max(due, failure.not_before) if failure.not_before else due
