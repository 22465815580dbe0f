"""What was read in stored documents, and replacing it by what is read in them now.

What belongs here: the statements. What differs is for `pipeline.snapshots.rereading` to
tell. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, LiteralString

import psycopg

from pipeline.fundamentals.values import Parsed, Period, Refusal, Value
from pipeline.store.held import mark_accepted
from pipeline.store.snapshots import Fetched, value_of, write_parsed
from pipeline.store.subjects import Subject, every_subject

ValueKey = tuple[str, Period, date | None]
"""Field, period and its end."""

# A version of None is no version, so that all of them differ from it.
_READ: Final[LiteralString] = """
FROM ledger.snapshot s JOIN ledger.subject u ON u.id = s.subject_id
JOIN ledger.instrument i ON i.id = u.instrument_id
LEFT JOIN ledger.pruned_payload p ON p.snapshot_id = s.id
WHERE u.provider = coalesce(%(provider)s, u.provider)
  AND i.key = coalesce(%(instrument)s, i.key) AND s.registry IS DISTINCT FROM %(version)s
"""
_KEPT: Final = f"{_READ} AND coalesce(s.payload, p.payload) IS NOT NULL"
_GONE: Final = f"{_READ} AND s.payload IS NULL AND p.payload IS NULL"


@dataclass(frozen=True, slots=True)
class Kept:
    """A document with its payload, also one that was pruned and can be restored.

    Attributes:
        snapshot: The number of its snapshot.
        subject: Whom it is about.
        document: Which document it is.
        fetched_at: When it first came, UTC.
        unusable: Why nothing in it was believed; None for a good one.
    """

    snapshot: int
    subject: Subject
    document: str
    fetched_at: datetime
    unusable: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read in a document.

    Attributes:
        values: The values.
        accepted: Those of which a person has said that they are right.
        refusals: What could not be used.
    """

    values: Mapping[ValueKey, Value]
    accepted: frozenset[ValueKey]
    refusals: Sequence[Refusal]


def value_key(value: Value) -> ValueKey:
    """Return what tells a value of a document from its others."""
    return value.field, value.period, value.period_end


def instruments_read(
    connection: psycopg.Connection,
    provider: str | None,
    instrument: str | None,
    version: str | None,
) -> Sequence[str]:
    """Return the keys of instruments with kept documents that another version has read.

    Args:
        connection: An open connection.
        provider: Only one provider's; None for all.
        instrument: Only this one; None for all.
        version: The version of the registry that does not count; None: all do.
    """
    row = {"provider": provider, "instrument": instrument, "version": version}
    found = connection.execute("SELECT DISTINCT i.key " + _KEPT + " ORDER BY 1", row)
    return [key for (key,) in found]


def unreadable(
    connection: psycopg.Connection,
    provider: str | None,
    instrument: str | None,
    version: str | None,
) -> int:
    """Return how many documents that another version has read were pruned for good.

    Args:
        connection: An open connection.
        provider: Only one provider's; None for all.
        instrument: Only those about this one; None for all.
        version: The version of the registry that does not count; None: all do.
    """
    row = {"provider": provider, "instrument": instrument, "version": version}
    ((found,),) = connection.execute("SELECT count(*) " + _GONE, row)
    return int(found)


def kept(
    connection: psycopg.Connection, provider: str | None, instrument: str, version: str | None
) -> Sequence[Kept]:
    """Return the kept documents about an instrument that another version of the registry has read.

    Args:
        connection: An open connection.
        provider: Only one provider's; None for all.
        instrument: The instrument's key.
        version: The version of the registry that does not count; None: all do.
    """
    about = {one.id: one for one in every_subject(connection, [instrument])}
    row = {"provider": provider, "instrument": instrument, "version": version}
    found = connection.execute(
        "SELECT s.id, u.id, s.document, s.fetched_at, s.unusable "
        + _KEPT
        + " ORDER BY u.provider, s.document, s.fetched_at",
        row,
    )
    return [
        Kept(number, about[subject], document, at, unusable)
        for number, subject, document, at, unusable in found
    ]


def payload(connection: psycopg.Connection, snapshot: int) -> str:
    """Return a kept document as it came."""
    ((found,),) = connection.execute(
        """
        SELECT coalesce(s.payload, p.payload)
        FROM ledger.snapshot s LEFT JOIN ledger.pruned_payload p ON p.snapshot_id = s.id
        WHERE s.id = %s
        """,
        [snapshot],
    )
    return str(found)


def reading(connection: psycopg.Connection, snapshot: int) -> Reading:
    """Return what was read in a document."""
    rows = connection.execute(
        """
        SELECT field, number, words, day, currency, period, period_end, filed_at, found_at, accepted
        FROM ledger.snapshot_value WHERE snapshot_id = %s
        """,
        [snapshot],
    ).fetchall()
    values = [(value_of(row[:-1]), row[-1]) for row in rows]
    refusals = connection.execute(
        "SELECT field, found_at, raw, why FROM ledger.snapshot_refusal WHERE snapshot_id = %s",
        [snapshot],
    )
    return Reading(
        {value_key(value): value for value, _ in values},
        frozenset(value_key(value) for value, accepted in values if accepted),
        [Refusal(*row) for row in refusals],
    )


def replace_reading(
    connection: psycopg.Connection, snapshot: int, old: Reading, new: Fetched, version: str
) -> None:
    """Put what is read in a document now in the place of what was.

    What is the same is left alone. A value that a person has accepted stays so if it is the same,
    wherever in the document it is now found.

    Args:
        connection: An open connection.
        snapshot: The document's number.
        old: What was read in it.
        new: What is read in it.
        version: The registry's, by which it was read.
    """
    values = {value_key(one): one for one in new.parsed.values}
    over = [key for key, one in old.values.items() if values.get(key) != one]
    fresh = [one for key, one in values.items() if old.values.get(key) != one]
    refusals = new.parsed.refusals
    with connection.cursor() as cursor:
        cursor.executemany(_FORGET, [(snapshot, *key) for key in over])
        if set(refusals) == set(old.refusals):
            refusals = ()
        else:
            cursor.execute("DELETE FROM ledger.snapshot_refusal WHERE snapshot_id = %s", [snapshot])
        write_parsed(connection, snapshot, Parsed(fresh, refusals))
    still = [
        (snapshot, *key)
        for key in over
        if key in old.accepted and _alike(old.values[key], values.get(key))
    ]
    mark_accepted(connection, still, accepted=True)
    connection.execute(
        "UPDATE ledger.snapshot SET registry = %s, unusable = %s WHERE id = %s",
        [version, new.unusable, snapshot],
    )
    connection.execute(_CHECKS, {"snapshot": snapshot, "unusable": new.unusable})


_FORGET: Final = """
DELETE FROM ledger.snapshot_value
WHERE (snapshot_id, field, period) = (%s, %s, %s) AND period_end IS NOT DISTINCT FROM %s
"""

# What confirmed a document that is unusable confirmed nothing, and the other way round.
_CHECKS: Final = """
UPDATE ledger.snapshot_check k
SET detail = %(unusable)s,
    outcome = CASE WHEN %(unusable)s::text IS NOT NULL THEN 'unusable'
                   WHEN k.checked_at = s.fetched_at THEN 'new' ELSE 'same' END
FROM ledger.snapshot s
WHERE s.id = %(snapshot)s AND (k.subject_id, k.document) = (s.subject_id, s.document)
  AND k.checked_at BETWEEN s.fetched_at AND s.last_seen_at
  AND (k.outcome = 'unusable' AND %(unusable)s::text IS NULL
       OR k.outcome IN ('new', 'same', 'unusable') AND %(unusable)s::text IS NOT NULL)
"""


def _alike(old: Value, new: Value | None) -> bool:
    return new is not None and (old.value, old.currency) == (new.value, new.currency)
