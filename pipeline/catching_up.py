"""Catching up with what is noted: working it out anew, one month of one owner in a transaction.

What belongs here: the loop. A process that is killed leaves what it has not done noted as such, and
doing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import psycopg

from pipeline.intervals import Interval
from pipeline.store.arrow import ArrowReader
from pipeline.store.database import Database
from pipeline.store.notes import Notes
from pipeline.store.rewriting import Written
from pipeline.store.session import LedgerSession
from pipeline.store.timeframes import timeframes
from pipeline.timeframes import Timeframe


@dataclass(slots=True)
class CaughtUp:
    """What was worked out anew of one owner.

    Attributes:
        rows: Rows written and removed, by timeframe.
        months: The months that were looked at, first days.
    """

    rows: dict[str, Written] = field(default_factory=dict)
    months: set[date] = field(default_factory=set)


Worked = Iterable[tuple[str, Written]]
"""What was written, by timeframe; none twice in a month."""
Month = Callable[
    [psycopg.Connection, ArrowReader, int, Sequence[Interval], Sequence[Timeframe]], Worked
]
"""Works out what follows from minutes of one month, of the owner with that number, in the caller's
transaction."""


def catch_up(
    database: Database, session: LedgerSession, notes: Notes, numbers: Collection[int], work: Month
) -> Mapping[int, CaughtUp]:
    """Work out what is noted of some owners.

    Args:
        database: The ledger's database.
        session: A session with it.
        notes: Which notes.
        numbers: The owners.
        work: What to do about them.

    Returns:
        What was done for those that had something to do.

    Raises:
        psycopg.Error, DatabaseError: The ledger cannot be read or written.
    """
    owners = session.run(lambda c: notes.owners(c, numbers))
    if not owners:
        return {}
    done = {number: CaughtUp() for number in owners}

    def month(connection: psycopg.Connection, number: int) -> bool:
        with connection.transaction():
            noted = notes.take(connection, number)
            if not noted:
                return False
            # Not before: who adds a timeframe notes all that it is to be built above.
            found = dict(work(connection, reader, number, noted, timeframes(connection)))
        caught_up = done[number]
        caught_up.months.add(noted[0].start.date().replace(day=1))
        for name, written in found.items():
            caught_up.rows[name] = caught_up.rows.get(name, Written()) + written
        return True

    with ArrowReader(database) as reader:
        for number in owners:
            while session.run(partial(month, number=number)):
                pass
    return done
