"""The limits of providers, kept by everybody together in the ledger.

What belongs here: when the next request may be sent, whichever process asks. The rules themselves
are functions of the database (migration 0002), one call a step, with its clock as the only one.

Why no library: pyrate-limiter's PostgreSQL bucket records the moment for which a send was planned
and not the one at which it was answered, deletes by a clock of the client's, and cannot make
everybody wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Self

import psycopg

from pipeline.providers.capabilities import RateLimit
from pipeline.providers.limiter import PATIENCE, PausedError, Report, Send
from pipeline.store.database import Database
from pipeline.store.session import LedgerSession

HEALTH_KEPT: Final = timedelta(days=90)
"""How long it is remembered how requests went, and when a provider wanted peace."""

_LONGEST_SLEEP: Final = 5.0
"""Somebody may end a pause by hand."""

_BEGIN = "SELECT wait, pause FROM ledger.begin_request(%s, %s, %s, %s, %s)"
_END = "SELECT ledger.end_request(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
_PAUSE = "SELECT ledger.pause_provider(%s, %s, %s, %s, %s)"


class LedgerLimiter:
    """A `Limiter` that all processes share which use one ledger.

    It outlives a restart of the database. What a process that was killed has under way counts as
    answered as soon as somebody has to wait for it.

    Args:
        database: The ledger's database; must have been migrated.
        provider: The provider's name in the universe.

    Raises:
        DatabaseError: The database cannot be reached at the start. Every method raises it, or
            psycopg.Error, when the database stays away too long.
    """

    def __init__(self, database: Database, provider: str) -> None:
        self._provider = provider
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

    def acquire(self, limit: RateLimit, weight: int = 1) -> Send:
        """Wait until a request of `weight` may be sent, and count it; see `Limiter.acquire`."""
        if weight > limit.requests:
            raise ValueError(f"weight {weight} is more than the limit of {limit.requests}")
        send = Send(weight)
        question = (self._provider, send.id, weight, limit.requests, limit.seconds)
        with self._turn:  # only the first in line asks: light requests cannot overtake heavy ones
            while True:
                wait, pause = self._call(_BEGIN, question)
                if wait == 0:
                    return send
                if pause > PATIENCE.total_seconds():
                    raise PausedError(timedelta(seconds=pause))
                time.sleep(min(wait, _LONGEST_SLEEP))

    def answered(self, send: Send, report: Report) -> None:
        """Note how a request ended; see `Limiter.answered`."""
        skew, usage = report.clock_skew, report.usage
        told = (
            (usage.used, usage.spare, usage.counted_for.total_seconds()) if usage else (None,) * 3
        )
        times = (report.latency.total_seconds(), report.ago.total_seconds())
        ahead = None if skew is None else skew.total_seconds()
        who = (self._provider, send.id, send.weight, report.outcome)
        self._call(_END, (*who, *times, ahead, *told, HEALTH_KEPT))

    def pause(self, duration: timedelta, reason: str, *, ban: bool = False) -> None:
        """Let nobody through for `duration` from now; see `Limiter.pause`."""
        self._call(_PAUSE, (self._provider, duration.total_seconds(), ban, reason, HEALTH_KEPT))

    def _call(self, statement: str, values: Sequence[object]) -> tuple[float, ...]:
        def ask(connection: psycopg.Connection) -> tuple[float, ...]:
            return connection.execute(statement.encode(), values).fetchone() or ()

        with self._speaking:
            return self._session.run(ask)
