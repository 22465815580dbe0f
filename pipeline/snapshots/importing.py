"""Taking snapshots in from files.

What belongs here: what becomes of a file that is read. It is taken over whole or not at all, an
instrument's in one transaction with what follows from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Literal

import psycopg

from pipeline.folders import Folder
from pipeline.fundamentals.documents import DOCUMENTS
from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.values import Parsed
from pipeline.snapshots.files import BadFile, Show, SnapshotFile, read_file
from pipeline.snapshots.history import follow
from pipeline.snapshots.refreshing import NO_TEXT, read
from pipeline.store import archived, fundamentals
from pipeline.store.session import LedgerSession
from pipeline.store.snapshots import Fetched, add, note
from pipeline.store.subjects import Subject, every_subject

_Outcome = Literal["new", "same", "unusable"]
_Became = Literal["new", "same", "unusable", "restored", "there", "refused"]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file.

    Attributes:
        path: Its place below the folder.
        outcome: `new`; `unusable`: new, and nothing in it is believed; `same`: the ledger has it,
            but did not know when it was seen or what of it was accepted; `restored`: its payload
            had been pruned; `there`: the ledger has it; `refused`.
        detail: Why, where that is to be said.
    """

    path: str
    outcome: _Became
    detail: str | None = None


def import_snapshots(
    session: LedgerSession,
    folder: Folder,
    *,
    show: Show,
    dry_run: bool = False,
    now: datetime | None = None,
) -> list[Imported]:
    """Take over all files of a folder, and work out what follows from the earliest one on.

    Args:
        session: A session with the ledger.
        folder: Where from.
        show: Told how far it is.
        dry_run: Whether to tell only what would become of them.
        now: The present, an aware time; None: that of the clock.

    Returns:
        What became of each file; those that are refused first.

    Raises:
        DestinationError: A file cannot be read.
        psycopg.Error: The ledger cannot be read or written.
    """
    files = folder.paths(".json")
    known = {_about(one): one for one in session.run(every_subject)}
    now = now or datetime.now(UTC)
    found, refused = _looked_at(folder, files, known, now)
    done = list(refused)
    for instrument, group in groupby(found, key=lambda one: one.subject.instrument_id):
        work = partial(
            _Import(folder, now, dry_run=dry_run).take_over,
            instrument_id=instrument,
            files=list(group),
        )
        done += session.run(work)
        show(len(done), len(files))
    return done


@dataclass(frozen=True, slots=True)
class _File:
    """A file that may be taken over, and whom it is about."""

    path: str
    subject: Subject
    fetched_at: datetime


def _looked_at(
    folder: Folder,
    paths: Sequence[str],
    known: Mapping[_About, Subject],
    now: datetime,
) -> tuple[list[_File], list[Imported]]:
    """Read all files; return those that may be taken over, in order, and those that are refused."""
    found, refused = [], []
    for path in paths:
        try:
            file = read_file(folder, path)
            subject = _subject(path, file, known, now)
        except BadFile as error:
            refused.append(Imported(path, "refused", str(error)))
        else:
            found.append(_File(path, subject, file.fetched_at))
    found.sort(key=lambda one: (one.subject.instrument, one.fetched_at, one.path))
    return found, refused


_About = tuple[str, str, str, str]


def _about(one: Subject | SnapshotFile) -> _About:
    return one.instrument, one.provider, one.client, one.symbol


def _subject(
    path: str, file: SnapshotFile, known: Mapping[_About, Subject], now: datetime
) -> Subject:
    """Return whom a file is about.

    Raises:
        BadFile: Nobody is or was asked about that here, or by another symbol or client.
    """
    subject = known.get(_about(file))
    if subject is None:
        raise BadFile(f"{path}: {_why_unknown(file, known)}")
    if file.document not in DOCUMENTS[file.client]:
        raise BadFile(
            f"{path}: {file.document!r} is no document of {file.client}; use one of: "
            f"{', '.join(DOCUMENTS[file.client])}"
        )
    if file.last_seen_at > now:
        raise BadFile(
            f"{path}: it was seen at {file.last_seen_at.isoformat()}, in the future; look after "
            "this machine's clock, or take the file from another copy"
        )
    return subject


def _why_unknown(file: SnapshotFile, known: Iterable[_About]) -> str:
    others = [one for one in known if one[:2] == (file.instrument, file.provider)]
    if not others:
        return (
            f"{file.provider} is not asked about {file.instrument} here; add it to the universe "
            "(instruments, fundamentals) and run `minuteledger migrate`"
        )
    asked = " or ".join(f"{symbol!r} (client {client})" for *_, client, symbol in others)
    return (
        f"it is of the symbol {file.symbol!r} (client {file.client}), but {file.provider} is asked "
        f"about {file.instrument} by {asked}; move it out of the folder, or mend the universe"
    )


@dataclass(frozen=True, slots=True)
class _Import:
    """Takes files over, an instrument's in one transaction."""

    folder: Folder
    now: datetime
    dry_run: bool

    def take_over(
        self, connection: psycopg.Connection, *, instrument_id: int, files: Sequence[_File]
    ) -> list[Imported]:
        done: list[Imported] = []
        with connection.transaction() as transaction:
            fundamentals.lock(connection, instrument_id)
            done += (self._one(connection, one) for one in files)
            changed = [
                one.fetched_at
                for one, became in zip(files, done, strict=True)
                if became.outcome in {"new", "same", "restored"}
            ]
            if self.dry_run:
                raise psycopg.Rollback(transaction)
            if changed:
                follow(connection, registry(), instrument_id, min(changed))
        return done

    def _one(self, connection: psycopg.Connection, one: _File) -> Imported:
        try:
            with connection.transaction():
                file = read_file(self.folder, one.path)
                return Imported(one.path, *self._kept(connection, one, file))
        except BadFile as error:
            return Imported(one.path, "refused", str(error))

    def _kept(
        self, connection: psycopg.Connection, one: _File, file: SnapshotFile
    ) -> tuple[_Became, str | None]:
        there = archived.snapshot_of(connection, one.subject.id, file.document, file.fetched_at)
        if there is None:
            fetched = _read(one.subject, file)
            if fetched.unusable is None:
                self._only_one(connection, one, file)
            return _add(connection, one.subject, file, fetched)
        if there.digest != file.sha256:
            raise BadFile(
                f"{one.path}: the ledger has another document of that moment (snapshot "
                f"{there.snapshot}); one of the two is wrong: move the file out of the folder"
            )
        if file.last_seen_at > there.last_seen_at and there.unusable is None:
            self._only_one(connection, one, file)
        news = _became(connection, one.subject, file, there.snapshot, there.unusable)
        if not there.whole:
            archived.put_back_payload(connection, there.snapshot, file.payload, self.now)
            return "restored", None
        return ("same" if news else "there"), None

    def _only_one(self, connection: psycopg.Connection, one: _File, file: SnapshotFile) -> None:
        """Refuse a document of a time in which the ledger has another."""
        other = archived.another_meanwhile(
            connection,
            subject_id=one.subject.id,
            document=file.document,
            digest=file.sha256,
            since=file.fetched_at,
            until=file.last_seen_at,
        )
        if other is not None:
            raise BadFile(
                f"{one.path}: it was current from {file.fetched_at.isoformat()} to "
                f"{file.last_seen_at.isoformat()}, and so was another document that the ledger has "
                f"since {other.isoformat()}; move the file out of the folder"
            )


def _read(subject: Subject, file: SnapshotFile) -> Fetched:
    if file.unusable == NO_TEXT:
        return Fetched(file.document, file.payload, file.fetched_at, Parsed(), NO_TEXT)
    return read(subject, file.document, file.payload, file.fetched_at)


def _add(
    connection: psycopg.Connection, subject: Subject, file: SnapshotFile, fetched: Fetched
) -> tuple[_Became, str | None]:
    """Store a document as when it came, and what became of it.

    One that says the same as the one before it stays a document of its own: others, of the time
    between them, may still come.
    """
    number = add(connection, subject, fetched, registry().version)
    why = fetched.unusable
    outcome: _Outcome = "new" if why is None else "unusable"
    note(connection, subject, file.document, file.fetched_at, outcome, detail=why)
    _became(connection, subject, file, number, why)
    return outcome, why


def _became(
    connection: psycopg.Connection,
    subject: Subject,
    file: SnapshotFile,
    number: int,
    unusable: str | None,
) -> bool:
    """Note when a document was seen again, and what of it was accepted; say if any of it is new."""
    archived.seen_again(connection, number, file.last_seen_at)
    outcome: _Outcome = "same" if unusable is None else "unusable"
    moments = sorted({*file.seen_at, file.last_seen_at} - {file.fetched_at})
    noted = [
        note(connection, subject, file.document, moment, outcome, detail=unusable)
        for moment in moments
    ]
    accepted = [one.model_dump() for one in file.accepted]
    return archived.accept_again(connection, number, accepted) or any(noted)
