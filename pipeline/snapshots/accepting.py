"""Accepting a value that is held back: a person knows that the scale has changed indeed.

What belongs here: which of the stored values are meant, and that what follows from them is worked
out. A later value of the same scale is not held, as any other that is like the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import dropwhile, groupby, takewhile

import psycopg

from pipeline.fundamentals.canaries import of_one_scale
from pipeline.fundamentals.registry import registry
from pipeline.snapshots.history import follow
from pipeline.store import fundamentals
from pipeline.store.held import Said, mark_accepted, said_of
from pipeline.store.session import LedgerSession
from pipeline.store.subjects import Subject


class NothingToAccept(Exception):
    """No value of the field is held there, or none was accepted; the message says what to do."""


def accept(
    session: LedgerSession,
    subject: Subject,
    field: str,
    *,
    undo: bool = False,
    strategy: str | None = None,
) -> Sequence[Said]:
    """Let a field's held values count from their own time on, or take that back.

    Args:
        session: A session with the ledger.
        subject: Who says so, about what.
        field: The name of the field.
        undo: Whether to take back what was accepted last.
        strategy: The name of a strategy instead of each field's own; None for these.

    Returns:
        The values that count now, or do not any more.

    Raises:
        UnknownField: There is no such field.
        NothingToAccept: No value is held there, or none was accepted.
    """
    registry().field(field)
    work = partial(_accept, subject=subject, field=field, undo=undo, strategy=strategy)
    return session.run(work)


def _accept(
    connection: psycopg.Connection,
    subject: Subject,
    field: str,
    *,
    undo: bool,
    strategy: str | None,
) -> list[Said]:
    with connection.transaction():
        fundamentals.lock(connection, subject.instrument_id)
        said = said_of(connection, subject.id, field)
        meant = [*(_accepted(field, said) if undo else _held(field, said))]
        if not meant:
            what = "was accepted" if undo else "is held"
            raise NothingToAccept(
                f"no {field} of {subject.instrument} {what} at {subject.provider}; "
                "`minuteledger snapshots held` lists what is held"
            )
        places = [(one.snapshot, one.field, one.period, one.period_end) for one in meant]
        mark_accepted(connection, places, accepted=not undo)
        since = min(one.fetched_at for one in meant)
        follow(connection, registry(), subject.instrument_id, since, strategy)
    return meant


def _held(field: str, said: Sequence[Said]) -> Iterator[Said]:
    """Yield what is held now, and what was before it and of the same scale."""
    for values in _by_time(said):
        if values[0].newest:
            yield from _alike(field, list(takewhile(lambda one: one.held, values)))


def _accepted(field: str, said: Sequence[Said]) -> Iterator[Said]:
    """Yield what was accepted last, and together with it."""
    for values in _by_time(said):
        rest = dropwhile(lambda one: not one.accepted, values)
        yield from _alike(field, list(takewhile(lambda one: one.accepted, rest)))


def _by_time(said: Sequence[Said]) -> Iterator[list[Said]]:
    for _, values in groupby(said, key=lambda one: (one.document, one.period, one.period_end)):
        yield list(values)


def _alike(field: str, values: Sequence[Said]) -> Iterator[Said]:
    scale = registry().fields[field]
    yield from takewhile(lambda one: of_one_scale(scale, one.number, values[0].number), values)
