"""When fundamentals are combined anew though no document has come, and by which strategy.

What belongs here: the statements. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg


@dataclass(frozen=True, slots=True)
class Strategies:
    """By which strategy fundamentals were combined, from when on.

    Attributes:
        since: When each began, in order of time, UTC; the first counts for all time before it, too.
        names: The name of each; None: the one that each field has in the registry.
    """

    since: Sequence[datetime]
    names: Sequence[str | None]

    def at(self, moment: datetime) -> str | None:
        """Return the name of the one at a moment; None: the one that each field has."""
        place = bisect_right(self.since, moment)
        return self.names[max(place - 1, 0)] if self.names else None


def strategies(connection: psycopg.Connection) -> Strategies:
    """Return the strategies of all times."""
    rows = connection.execute("SELECT since, name FROM ledger.strategy ORDER BY since").fetchall()
    return Strategies([since for since, _ in rows], [name for _, name in rows])


def sync_strategy(connection: psycopg.Connection, name: str | None) -> bool:
    """Note by which strategy is combined from now on; return whether it is another one."""
    found = connection.execute(
        """
        INSERT INTO ledger.strategy (since, name)
        SELECT now(), %(name)s WHERE NOT EXISTS (SELECT FROM ledger.strategy)
            OR %(name)s::text IS DISTINCT FROM (
                SELECT name FROM ledger.strategy ORDER BY since DESC LIMIT 1)
        ON CONFLICT (since) DO UPDATE SET name = excluded.name
        RETURNING EXISTS (SELECT FROM ledger.strategy)
        """,
        {"name": name},
    ).fetchone()
    return found is not None and bool(found[0])


def note(connection: psycopg.Connection, instrument_ids: Collection[int] | None) -> None:
    """Note that instruments (None: all of which anything is known) are to be combined anew now."""
    connection.execute(
        """
        INSERT INTO ledger.recombination (instrument_id, at, pending)
        SELECT DISTINCT u.instrument_id, now(), true FROM ledger.subject u
        WHERE u.instrument_id = ANY(coalesce(%s::integer[], ARRAY[u.instrument_id]))
          AND EXISTS (SELECT FROM ledger.snapshot s WHERE s.subject_id = u.id)
        ON CONFLICT (instrument_id, at) DO UPDATE SET pending = true
        """,
        [None if instrument_ids is None else list(instrument_ids)],
    )


def done(connection: psycopg.Connection, instrument_ids: Collection[int], at: datetime) -> None:
    """Note that instruments were combined anew as of a moment."""
    connection.execute(
        """
        INSERT INTO ledger.recombination (instrument_id, at, pending)
        SELECT unnest(%s::integer[]), %s, false
        ON CONFLICT (instrument_id, at) DO UPDATE SET pending = false
        """,
        [list(instrument_ids), at],
    )


def pending(connection: psycopg.Connection) -> Mapping[datetime, Collection[int]]:
    """Return which instruments are to be combined anew as of when, in order of time."""
    rows = connection.execute(
        """
        SELECT at, array_agg(instrument_id) FROM ledger.recombination WHERE pending
        GROUP BY at ORDER BY at
        """
    )
    return dict(rows.fetchall())


def moments(
    connection: psycopg.Connection, instrument_id: int, since: datetime
) -> tuple[datetime, Collection[datetime]]:
    """Return when an instrument was combined anew from a moment on, or earlier if it is pending.

    Args:
        connection: An open connection.
        instrument_id: The instrument.
        since: The moment, UTC.

    Returns:
        The moment, or that of the first pending one before it; and all of them from then on.
    """
    rows = connection.execute(
        """
        SELECT at, pending FROM ledger.recombination
        WHERE instrument_id = %s AND (pending OR at >= %s)
        """,
        [instrument_id, since],
    ).fetchall()
    first = min([since, *(at for at, is_pending in rows if is_pending)])
    if first < since:
        return moments(connection, instrument_id, first)
    return since, {at for at, _ in rows}


def all_done(connection: psycopg.Connection, instrument_ids: Collection[int]) -> None:
    """Note that nothing of instruments is pending."""
    connection.execute(
        "UPDATE ledger.recombination SET pending = false WHERE instrument_id = ANY(%s) AND pending",
        [list(instrument_ids)],
    )
