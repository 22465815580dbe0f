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
GIVE_UP_AFTER = 17
"""A range that has failed so often in a row is given up; by the waits above, after two days."""


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
    (listing_id, during, error, message, attempts, first_failed_at, last_failed_at,
     next_attempt_at, given_up)
SELECT listing_id, rest, error, message, attempts, first_failed_at, last_failed_at,
       next_attempt_at, given_up
FROM gone, unnest(tstzmultirange(during) - %(ranges)s::tstzmultirange) AS rest
"""

_HISTORY = """
SELECT coalesce(max(attempts), 0), coalesce(min(first_failed_at), %(now)s)
FROM ledger.fetch_failure WHERE listing_id = %(listing)s AND during && %(during)s::tstzrange
"""

_INSERT = """
INSERT INTO ledger.fetch_failure
    (listing_id, during, error, message, attempts, first_failed_at, last_failed_at,
     next_attempt_at, given_up)
VALUES (%(listing)s, %(during)s, %(error)s, %(message)s, %(attempts)s, %(first)s, %(now)s,
        %(next)s, %(given_up)s)
"""

_RETRY_GIVEN_UP = """
UPDATE ledger.fetch_failure
SET attempts = 0, given_up = NULL, next_attempt_at = %(now)s
FROM ledger.listing l
WHERE l.id = listing_id AND given_up IS NOT NULL
  AND l.provider = coalesce(%(provider)s, l.provider) AND l.key = coalesce(%(listing)s, l.key)
"""


def clear(connection: psycopg.Connection, listing_id: int, ranges: Multirange[datetime]) -> None:
    """Take answered ranges out of a listing's failures; what is left keeps its history."""
    connection.execute(_CLEAR, {"listing": listing_id, "ranges": ranges})


def record(
    connection: psycopg.Connection, listing_id: int, failure: Failure, now: datetime
) -> None:
    """Note that a range failed (again), and when it is due next or why it is given up."""
    during = to_range(failure.during)
    key = {"listing": listing_id, "during": during, "now": now}
    row = connection.execute(_HISTORY, key).fetchone()
    attempts, first = (row[0] + 1, row[1]) if row else (1, now)
    given_up = _given_up(failure, attempts)
    clear(connection, listing_id, Multirange([during]))
    connection.execute(
        _INSERT,
        key
        | {
            "error": failure.error,
            "message": failure.message,
            "attempts": attempts,
            "first": first,
            "next": None if given_up else _next_attempt(failure, attempts, now),
            "given_up": given_up,
        },
    )


def retry_given_up(
    connection: psycopg.Connection,
    now: datetime,
    provider: str | None = None,
    listing: str | None = None,
) -> int:
    """Make ranges that were given up due now, their attempts forgotten; return how many."""
    parameters = {"now": now, "provider": provider, "listing": listing}
    return connection.execute(_RETRY_GIVEN_UP, parameters).rowcount


def _given_up(failure: Failure, attempts: int) -> str | None:
    """Return why nobody asks for the range again of itself; None while that goes on."""
    if not failure.retryable:
        return f"{failure.error} does not pass by itself: somebody has to act"
    if attempts >= GIVE_UP_AFTER:
        return f"{attempts} attempts in a row failed"
    return None


def _next_attempt(failure: Failure, attempts: int, now: datetime) -> datetime:
    # 2^10 minutes is past the longest wait already; the cap keeps the power small.
    due: datetime = now + min(FIRST_RETRY * 2 ** min(attempts - 1, 10), LONGEST_RETRY)
    return max(due, failure.not_before) if failure.not_before else due
