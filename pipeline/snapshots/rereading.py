"""Reading stored documents again, by the registry and the parser of today.

What belongs here: what differs from what was read before, and putting it in its place. One
instrument is one transaction: whatever interrupts the work, what was done stays and the rest is
found again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Final

import psycopg

from pipeline.fundamentals.documents import DOCUMENTS
from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.values import Period, Refusal
from pipeline.snapshots.history import follow
from pipeline.snapshots.refreshing import NO_TEXT, read
from pipeline.store import fundamentals, readings
from pipeline.store.parting import part_what_is_around
from pipeline.store.readings import Kept, Reading, value_key
from pipeline.store.session import LedgerSession
from pipeline.store.snapshots import Fetched

_COMPARED: Final = ("value", "currency", "filed_at", "found_at")
"""What of two values of the same field and period is compared."""

Content = float | str | date | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is read otherwise than before.

    Attributes:
        field: The field; None where it is the document as a whole.
        period: What time a value is about; None where it is no value.
        period_end: Last day of that; None where the document does not say.
        what: `value`, `currency`, `filed_at` or `found_at` of a value, `refusal`, or `unusable`.
        old: What it was; None: there was none.
        new: What it is now; None: there is none any more.
    """

    field: str | None
    period: Period | None
    period_end: date | None
    what: str
    old: Content
    new: Content


@dataclass(frozen=True, slots=True)
class Reread:
    """A document in which something else is read than before.

    Attributes:
        instrument: The key of the instrument.
        provider: Who sent it.
        document: Which document it is.
        fetched_at: When it first came, UTC.
        differences: What differs, by field.
    """

    instrument: str
    provider: str
    document: str
    fetched_at: datetime
    differences: Sequence[Difference]


def instruments_to_reread(
    connection: psycopg.Connection,
    provider: str | None = None,
    instrument: str | None = None,
    *,
    everything: bool = False,
) -> Sequence[str]:
    """Return the keys of instruments with documents that another version of the registry has read.

    Args:
        connection: An open connection.
        provider: Only documents of this provider; None for all.
        instrument: Only this instrument, by key; None for all.
        everything: Whether those that this version has read count, too.
    """
    return readings.instruments_read(connection, provider, instrument, _version(everything))


def unreadable(
    connection: psycopg.Connection,
    provider: str | None = None,
    instrument: str | None = None,
    *,
    everything: bool = False,
) -> int:
    """Return how many documents cannot be read again, because their payloads are gone for good.

    Arguments as of `instruments_to_reread`.
    """
    return readings.unreadable(connection, provider, instrument, _version(everything))


def reread(
    session: LedgerSession,
    instrument: str,
    provider: str | None = None,
    *,
    everything: bool = False,
) -> Sequence[Reread]:
    """Read an instrument's kept documents again, and work out its history from the first change on.

    Args:
        session: A session with the ledger.
        instrument: The instrument's key.
        provider: Only documents of this provider; None for all.
        everything: Whether to read those again that this version of the registry has read.

    Returns:
        In which documents something changed, and what, by provider, document and time.
    """
    work = partial(
        _reread,
        instrument=instrument,
        provider=provider,
        version=_version(everything),
    )
    return session.run(work)


def _version(everything: bool) -> str | None:  # noqa: FBT001
    return None if everything else registry().version


def _reread(
    connection: psycopg.Connection,
    instrument: str,
    provider: str | None,
    version: str | None,
) -> list[Reread]:
    changed: list[Reread] = []
    with connection.transaction():
        number = fundamentals.lock_named(connection, instrument)
        documents = readings.kept(connection, provider, instrument, version)
        for one in documents:
            differences = _reread_one(connection, one)
            about = (instrument, one.subject.provider, one.document, one.fetched_at)
            changed += [Reread(*about, differences)] if differences else []
        if documents:  # What is judged of values, as by bounds, may be otherwise where none is.
            since = min(one.fetched_at for one in documents)
            follow(connection, registry(), number, since)
    return changed


def _reread_one(connection: psycopg.Connection, one: Kept) -> Sequence[Difference]:
    if one.document not in DOCUMENTS.get(one.subject.client, ()) or one.unusable == NO_TEXT:
        return ()  # What was read in it stays: what came is not what is kept, or not known now.
    payload = readings.payload(connection, one.snapshot)
    new = read(one.subject, one.document, payload, one.fetched_at)
    old = readings.reading(connection, one.snapshot)
    readings.replace_reading(connection, one.snapshot, old, new, registry().version)
    if one.unusable is not None and new.unusable is None:
        part_what_is_around(connection, one.snapshot)
    return [*_differences(one, old, new)]


def _differences(one: Kept, old: Reading, new: Fetched) -> Iterator[Difference]:
    if one.unusable != new.unusable:
        yield Difference(None, None, None, "unusable", one.unusable, new.unusable)
    values = {value_key(value): value for value in new.parsed.values}
    for key in sorted(old.values.keys() | values.keys(), key=str):
        before, after = old.values.get(key), values.get(key)
        for what in _COMPARED:
            was, is_ = getattr(before, what, None), getattr(after, what, None)
            if was != is_:
                yield Difference(*key, what, was, is_)
    was_refused, is_refused = _by_place(old.refusals), _by_place(new.parsed.refusals)
    for place in sorted(was_refused.keys() | is_refused.keys()):
        pair = was_refused.get(place), is_refused.get(place)
        if pair[0] != pair[1]:
            yield Difference(place[0], None, None, "refusal", *pair)


def _by_place(refusals: Sequence[Refusal]) -> dict[tuple[str, str, str], str]:
    return {(one.field, one.found_at, one.raw): f"{one.raw}: {one.why}" for one in refusals}
