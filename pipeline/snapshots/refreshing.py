"""Refreshing fundamentals: asking for the documents that are due, and keeping what comes.

What belongs here: what is due, and the order of the steps. What a document means is
`pipeline.fundamentals`', and what follows from it `history`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Final

import psycopg

from pipeline.asking import Patience
from pipeline.fundamentals.documents import documents_about, time_to_live
from pipeline.fundamentals.parsing import parse
from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.values import Parsed, UnusableDocument
from pipeline.providers.errors import (
    AuthenticationFailed,
    Paused,
    ProviderError,
    RateLimited,
    Unsupported,
)
from pipeline.providers.protocol import FundamentalsProvider
from pipeline.snapshots.history import follow
from pipeline.stopping import STOPPING, finishing
from pipeline.store.session import LedgerSession
from pipeline.store.snapshots import Fetched, Outcome, earnings_dates, keep, last_answers, note
from pipeline.store.subjects import Subject

NO_TEXT: Final = "it holds characters that are no text"
"""Why a document is unusable of which what is kept is not what came."""

_HEARD: Final = frozenset({"new", "same"})
_NOBODY_CAN_BE_ASKED = (AuthenticationFailed, Unsupported, RateLimited, Paused)
"""Errors after which asking the provider for anything else is of no use."""
NOT_ASKED = "not asked: "
"""How the detail of a document begins that was not asked for, because of an error about another."""


@dataclass(frozen=True, slots=True)
class Due:
    """A document that is to be asked for.

    Attributes:
        subject: About whom, and whom to ask.
        document: Which document.
        why: `never answered`, `expired`, `earnings` (a date of earnings has passed since) or
            `forced`.
    """

    subject: Subject
    document: str
    why: str


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What became of a document that was due.

    Attributes:
        subject: About whom, and who was asked.
        document: Which document.
        outcome: `new`, `same`, `none` (the provider has no such document), `unusable` or `failed`.
        detail: Why, where that is to be said.
    """

    subject: Subject
    document: str
    outcome: Outcome
    detail: str | None = None


def due(
    connection: psycopg.Connection,
    subjects: Sequence[Subject],
    now: datetime,
    *,
    force: bool = False,
) -> list[Due]:
    """Return which documents are due, by subject.

    A document is due when the provider has never answered for it, when its time to live is over,
    and when a date on which the company reports its earnings has passed since; or when it is
    forced. An answer that was unusable is none, nor is one of a time that is still to come.

    Args:
        connection: An open connection.
        subjects: Whom to look at.
        now: The present, UTC.
        force: Whether all is due.
    """
    answered = last_answers(connection, [subject.id for subject in subjects], now)
    earnings = earnings_dates(connection, [subject.instrument_id for subject in subjects])
    found = []
    for subject in subjects:
        passed = [day for day in earnings.get(subject.instrument_id, ()) if day < now.date()]
        for document in documents_about(subject.client, subject.symbol):
            last = answered.get((subject.id, document))
            if force:
                found.append(Due(subject, document, "forced"))
            elif last is None:
                found.append(Due(subject, document, "never answered"))
            elif now - last >= time_to_live(subject.client, document):
                found.append(Due(subject, document, "expired"))
            elif any(last.date() <= day for day in passed):
                found.append(Due(subject, document, "earnings"))
    return found


def refresh(
    session: LedgerSession,
    provider: FundamentalsProvider,
    subjects: Sequence[Subject],
    *,
    force: bool = False,
    patience: Patience | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Sequence[Refreshed]:
    """Ask a provider for the documents that are due, and keep what comes, subject by subject.

    Args:
        session: A session with the ledger.
        provider: The client to ask.
        subjects: Whom to ask it about; all of this provider.
        force: Whether to ask for all of their documents, due or not.
        patience: How often to ask.
        clock: The present, an aware UTC datetime.

    Returns:
        What became of each document that was due. A failure is told here and not raised; after one
        that will meet every other question too, the rest is not asked.

    Raises:
        psycopg.Error, DatabaseError: The ledger cannot be read or written.
    """
    wanted = session.run(lambda c: due(c, subjects, clock(), force=force))
    asking = _Asking(provider, patience or Patience(), clock)
    done: list[Refreshed] = []
    for subject, documents in groupby(wanted, key=lambda one: one.subject):
        with finishing():
            asked = (one.document for one in documents if not STOPPING.is_set())
            answers = [asking.ask(subject, document) for document in asked]
            done += session.run(partial(_keep, subject=subject, answers=answers))
    return done


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of one question: a document, that there is none (`payload` None), or an error."""

    document: str
    at: datetime
    payload: str | None = None
    error: str | None = None


class _Asking:
    """Asks a provider for one document after the other, for as long as that is of use."""

    def __init__(
        self, provider: FundamentalsProvider, patience: Patience, clock: Callable[[], datetime]
    ) -> None:
        self._provider = provider
        self._retrying = patience.retrying()
        self._clock = clock
        self._given_up: str | None = None

    def ask(self, subject: Subject, document: str) -> _Answer:
        if self._given_up is not None:
            return _Answer(document, self._clock(), error=f"{NOT_ASKED}{self._given_up}")
        try:
            payload = self._retrying(self._provider.fetch_document, subject.symbol, document)
        except ProviderError as error:
            if isinstance(error, _NOBODY_CAN_BE_ASKED):
                self._given_up = str(error)
            return _Answer(document, self._clock(), error=str(error))
        return _Answer(document, self._clock(), payload)


def _keep(
    connection: psycopg.Connection,
    subject: Subject,
    answers: Sequence[_Answer],
) -> list[Refreshed]:
    with connection.transaction():
        found = [_keep_one(connection, subject, answer) for answer in answers]
        heard = [a.at for a, one in zip(answers, found, strict=True) if one.outcome in _HEARD]
        if heard:
            follow(connection, registry(), subject.instrument_id, min(heard))
    return found


def _keep_one(connection: psycopg.Connection, subject: Subject, answer: _Answer) -> Refreshed:
    if answer.payload is None:
        outcome: Outcome = "none" if answer.error is None else "failed"
        note(connection, subject, answer.document, answer.at, outcome, detail=answer.error)
        return Refreshed(subject, answer.document, outcome, answer.error)
    fetched = read(subject, answer.document, answer.payload, answer.at)
    outcome, _ = keep(connection, subject, fetched, registry().version)
    return Refreshed(subject, answer.document, outcome, fetched.unusable)


def read(subject: Subject, document: str, payload: str, at: datetime) -> Fetched:
    """Return a document with what is read in it, and why nothing is if it is unusable.

    Args:
        subject: Whom it should be about.
        document: Which document it is.
        payload: The document.
        at: When it came, UTC.
    """
    storable = payload.replace("\0", "\ufffd").encode(errors="replace").decode()
    if storable != payload:
        return Fetched(document, storable, at, Parsed(), NO_TEXT)
    try:
        parsed = parse(registry(), subject.client, document, payload, subject.symbol, at)
    except UnusableDocument as error:
        return Fetched(document, payload, at, Parsed(), str(error))
    return Fetched(document, payload, at, parsed, parsed.why_useless)


def failures(refreshed: Sequence[Refreshed]) -> Iterator[str]:
    """Yield what went wrong, in words."""
    for one in refreshed:
        if one.outcome in {"failed", "unusable"}:
            yield f"{one.subject.instrument} {one.document}: {one.detail}"
