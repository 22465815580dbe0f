"""The limits of accounts, kept by everybody together in the ledger.

What belongs here: when the next request may be sent, whichever process or provider asks with the
account. The rules themselves are functions of the database (migrations 0002 and 0007), one call a
step, with its clock as the only one.

Why no library: pyrate-limiter's PostgreSQL bucket records the moment for which a send was planned
and not the one at which it was answered, deletes by a clock of the client's, and cannot make
everybody wait.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Self

import psycopg

from pipeline.providers.capabilities import RateLimit
from pipeline.providers.limiter import PATIENCE, PausedError, Report, Send
from pipeline.stopping import STOPPING
from pipeline.store.database import Database
from pipeline.store.session import LedgerSession

HEALTH_KEPT: Final = timedelta(days=90)
"""How long it is remembered how requests went, and when a provider wanted peace. Each request sees
to that for its own provider, `forget_health` for those that nobody asks any more."""

_LONGEST_SLEEP: Final = 5.0
"""Somebody may end a pause by hand."""

_BEGIN = """
SELECT wait, pause, coalesce(reason, '') FROM ledger.begin_request(%s, %s, %s, %s, %s, %s, %s, %s)
"""
_END = "SELECT ledger.end_request(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
_PAUSE = "SELECT ledger.pause_account(%s, %s, %s, %s, %s, %s)"
_FORGET = """
WITH requests AS (
    DELETE FROM ledger.fetch_log WHERE hour < %(before)s RETURNING 1
), pauses AS (
    DELETE FROM ledger.pause WHERE upper(during) < %(before)s RETURNING 1
)
SELECT (SELECT count(*) FROM requests) + (SELECT count(*) FROM pauses)
"""
_LEFT = """
SELECT ledger.budget_left(account, %s, %s, clock_timestamp()) FROM ledger.provider WHERE name = %s
"""


class LedgerLimiter:
    """A `Limiter` that all processes share which use one ledger.

    It outlives a restart of the database. What a process that was killed has under way counts as
    answered as soon as somebody has to wait for it.

    Args:
        database: The ledger's database; must have been migrated.
        provider: The provider's name in the universe: how it answers is counted by that.
        account: Whose limits it shares with others; None for its own.

    Raises:
        DatabaseError: The database cannot be reached at the start. Every method raises it, or
            psycopg.Error, when the database stays away too long.
    """

    def __init__(self, database: Database, provider: str, account: str | None = None) -> None:
        self._who = (account or provider, provider)
        self._session = LedgerSession(database)
        self._turn = threading.Lock()
        self._speaking = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        with self._speaking:
            self._session.close()

    def acquire(self, limit: RateLimit, weight: int = 1, budget: RateLimit | None = None) -> Send:
        """Wait until a request of `weight` may be sent, and count it; see `Limiter.acquire`."""
        for one in filter(None, (limit, budget)):
            if weight > one.requests:
                raise ValueError(f"weight {weight} is more than the limit of {one.requests}")
        send = Send(weight)
        longer = (budget.requests, budget.seconds) if budget else (None, None)
        question = (*self._who, send.id, weight, limit.requests, limit.seconds, *longer)
        with self._turn:  # only the first in line asks: light requests cannot overtake heavy ones
            while True:
                wait, pause, reason = self._call(_BEGIN, question)
                if wait == 0:
                    return send
                if pause > PATIENCE.total_seconds():
                    raise PausedError(timedelta(seconds=pause), reason)
                if STOPPING.wait(min(wait, _LONGEST_SLEEP)):
                    raise PausedError(timedelta(seconds=wait), "this process is told to stop")

    def answered(self, send: Send, report: Report) -> None:
        """Note how a request ended; see `Limiter.answered`."""
        skew, usage = report.clock_skew, report.usage
        told = (
            (usage.used, usage.spare, usage.counted_for.total_seconds()) if usage else (None,) * 3
        )
        times = (report.latency.total_seconds(), report.ago.total_seconds())
        ahead = None if skew is None else skew.total_seconds()
        who = (*self._who, send.id, send.weight, report.outcome)
        self._call(_END, (*who, *times, ahead, *told, HEALTH_KEPT))

    def pause(self, duration: timedelta, reason: str, *, ban: bool = False) -> None:
        """Let nobody through for `duration` from now; see `Limiter.pause`."""
        self._call(_PAUSE, (*self._who, duration.total_seconds(), ban, reason, HEALTH_KEPT))

    def _call(self, statement: str, values: Sequence[object]) -> tuple[Any, ...]:
        def ask(connection: psycopg.Connection) -> tuple[Any, ...]:
            return connection.execute(statement.encode(), values).fetchone() or ()

        with self._speaking:
            return self._session.run(ask)


def budget_left(
    connection: psycopg.Connection, provider: str, budget: RateLimit | None
) -> int | None:
    """Return what may still be sent now of a provider's budget, by all who share its account.

    Args:
        connection: An open connection.
        provider: The provider's name in the universe.
        budget: Its longer limit; None if it has none.

    Returns:
        The weight; None where there is no budget.
    """
    if budget is None:
        return None
    values = (budget.requests, budget.seconds, provider)
    row = connection.execute(_LEFT, values).fetchone()
    return max(0, row[0]) if row else budget.requests


def forget_health(connection: psycopg.Connection, now: datetime) -> int:
    """Forget how requests went, and when providers wanted peace, longer ago than `HEALTH_KEPT`.

    Args:
        connection: An open connection.
        now: The present, UTC.

    Returns:
        How many rows are gone.
    """
    row = connection.execute(_FORGET, {"before": now - HEALTH_KEPT}).fetchone()
    return int(row[0]) if row else 0
