"""Accepting a value that is held back: a person knows that the scale has changed indeed.

What belongs here: which of the stored values are meant, and that what follows from them is worked
out. A later value of the same scale is not held, as any other that is like the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import dropwhile, groupby, takewhile

import psycopg

from pipeline.fundamentals.canaries import of_one_scale
from pipeline.fundamentals.documents import data_types
from pipeline.fundamentals.registry import registry
from pipeline.snapshots.history import follow
from pipeline.store import fundamentals
from pipeline.store.held import Said, mark_accepted, said_of
from pipeline.store.session import LedgerSession
from pipeline.store.subjects import Subject


class NothingToAccept(Exception):
    """No such value is held, or none was accepted, or several; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Meant:
    """Which values are meant.

    Attributes:
        subject: Who says so, about what.
        field: The name of the field.
        document: Only in this document; None for all.
        period_end: Only about the time whose last day this is; None for all.
    """

    subject: Subject
    field: str
    document: str | None = None
    period_end: date | None = None

    def among(self, said: Sequence[Said]) -> Sequence[Said]:
        """Return those that are meant."""
        return [
            one
            for one in said
            if self.document in {None, one.document} and self.period_end in {None, one.period_end}
        ]

    def __str__(self) -> str:
        """Return what is meant in words, for a message that goes on with where."""
        words = f"{self.field} of {self.subject.instrument}"
        words += f" in {self.document}" if self.document else ""
        return f"{words} about {self.period_end}" if self.period_end else words


def accept(session: LedgerSession, meant: Meant, *, undo: bool = False) -> Sequence[Said]:
    """Let held values count from their own time on, or take that back.

    Args:
        session: A session with the ledger.
        meant: Which values.
        undo: Whether to take back what was accepted last, in one document.

    Returns:
        The values that count now, or do not any more, by document and period.

    Raises:
        UnknownDocument: There is no such document.
        UnknownField: There is no such field.
        NothingToAccept: No value is held there, none was accepted, or several documents have some.
    """
    registry().field(meant.field)
    if meant.document is not None:
        data_types(meant.subject.client, meant.document)
    return session.run(partial(_accept, meant=meant, undo=undo))


def _accept(connection: psycopg.Connection, meant: Meant, *, undo: bool) -> list[Said]:
    subject, field = meant.subject, meant.field
    with connection.transaction():
        fundamentals.lock(connection, subject.instrument_id)
        said = meant.among(said_of(connection, subject.id, field))
        found = [*(_accepted(field, said) if undo else _held(field, said))]
        if not found:
            what = "was accepted" if undo else "is held"
            raise NothingToAccept(
                f"no {meant} {what} at {subject.provider}; `minuteledger snapshots held` lists "
                "what is held"
            )
        documents = sorted({one.document for one in found})
        if undo and len(documents) > 1:
            raise NothingToAccept(
                f"{meant} was accepted in several documents of {subject.provider}, "
                f"{' and '.join(documents)}; say which with --document"
            )
        places = [(one.snapshot, one.field, one.period, one.period_end) for one in found]
        mark_accepted(connection, places, accepted=not undo)
        since = min(one.fetched_at for one in found)
        follow(connection, registry(), subject.instrument_id, since)
    return found


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
    """Yield values as long as they are of the first one's scale; what is no number is the same."""
    scale = registry().fields[field]
    for one in values:
        pair = one.value, values[0].value
        if isinstance(pair[0], str) or isinstance(pair[1], str):
            if pair[0] != pair[1]:
                return
        elif not of_one_scale(scale, float(pair[0]), float(pair[1])):
            return
        yield one
