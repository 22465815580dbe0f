"""Snapshots in the ledger: what providers sent, and what is read in it.

What belongs here: the statements. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal, LiteralString

import psycopg

from pipeline.fundamentals.values import Parsed, Value
from pipeline.store.parting import part_what_is_around
from pipeline.store.subjects import Subject

Outcome = Literal["new", "same", "none", "unusable", "failed"]

NEWEST: Final[LiteralString] = """
SELECT DISTINCT ON (document) * FROM ledger.snapshot
WHERE subject_id = u.id AND unusable IS NULL
ORDER BY document, fetched_at DESC
"""
"""The newest usable snapshot of each document, laterally to subjects `u`."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One document as it came, and what was read in it.

    Attributes:
        document: Which document it is.
        payload: The document.
        fetched_at: When it came, UTC.
        parsed: What it says; no values if it is unusable.
        unusable: Why nothing in it is believed; None for a good one.
    """

    document: str
    payload: str
    fetched_at: datetime
    parsed: Parsed
    unusable: str | None = None


def keep(
    connection: psycopg.Connection, subject: Subject, fetched: Fetched, version: str
) -> tuple[Outcome, int]:
    """Store a document, or that the newest one was seen again.

    Args:
        connection: An open connection.
        subject: Whom it is about.
        fetched: The document.
        version: The registry's, by which it was read.

    Returns:
        What came of it, and the number of the snapshot.
    """
    digest = hashlib.sha256(fetched.payload.encode()).digest()
    newest = connection.execute(
        """
        SELECT id, digest, unusable IS NULL FROM ledger.snapshot
        WHERE (subject_id, document) = (%s, %s) AND fetched_at <= %s
        ORDER BY fetched_at DESC LIMIT 1
        """,
        [subject.id, fetched.document, fetched.fetched_at],
    ).fetchone()
    usable = fetched.unusable is None
    # A document that could not be read, and now can be, is news.
    if newest is not None and newest[1:] == (digest, usable):
        number = newest[0]
        connection.execute(
            "UPDATE ledger.snapshot SET last_seen_at = greatest(last_seen_at, %s) WHERE id = %s",
            [fetched.fetched_at, number],
        )
        outcome: Outcome = "same" if usable else "unusable"
    else:
        number = add(connection, subject, fetched, version)
        outcome = "new" if usable else "unusable"
    note(
        connection, subject, fetched.document, fetched.fetched_at, outcome, detail=fetched.unusable
    )
    return outcome, number


def note(
    connection: psycopg.Connection,
    subject: Subject,
    document: str,
    checked_at: datetime,
    outcome: Outcome,
    *,
    detail: str | None = None,
) -> bool:
    """Note that a provider was asked for a document, and what came of it.

    Returns:
        Whether nothing had been noted of that moment.
    """
    noted = connection.execute(
        """
        INSERT INTO ledger.snapshot_check
            (subject_id, document, checked_at, outcome, detail)
        VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
        """,
        [subject.id, document, checked_at, outcome, detail],
    )
    return noted.rowcount > 0


def add(connection: psycopg.Connection, subject: Subject, fetched: Fetched, version: str) -> int:
    """Store a document with what is read in it, and return its number."""
    found = connection.execute(
        """
        INSERT INTO ledger.snapshot
            (subject_id, document, fetched_at, last_seen_at, digest, payload, registry, unusable)
        VALUES (%(subject)s, %(document)s, %(at)s, %(at)s, %(digest)s, %(payload)s,
                %(version)s, %(unusable)s)
        RETURNING id
        """,
        {
            "subject": subject.id,
            "document": fetched.document,
            "at": fetched.fetched_at,
            "digest": hashlib.sha256(fetched.payload.encode()).digest(),
            "payload": fetched.payload,
            "version": version,
            "unusable": fetched.unusable,
        },
    )
    number: int
    ((number,),) = found
    write_parsed(connection, number, fetched.parsed)
    if fetched.unusable is None:
        part_what_is_around(connection, number)
    return number


def write_parsed(connection: psycopg.Connection, snapshot: int, parsed: Parsed) -> None:
    """Store what was read in a snapshot that has nothing stored yet."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO ledger.snapshot_value
                (snapshot_id, field, period, period_end, number, words, day, currency, filed_at,
                 found_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                (
                    snapshot,
                    one.field,
                    one.period,
                    one.period_end,
                    *columns(one.value),
                    one.currency,
                    one.filed_at,
                    one.found_at,
                )
                for one in parsed.values
            ],
        )
        cursor.executemany(
            """
            INSERT INTO ledger.snapshot_refusal (snapshot_id, field, found_at, raw, why)
            VALUES (%s, %s, %s, %s, %s)
            """,
            [(snapshot, one.field, one.found_at, one.raw, one.why) for one in parsed.refusals],
        )


def columns(value: float | str | date | None) -> tuple[float | None, str | None, date | None]:
    """Return a value as the three columns for numbers, words and days have it."""
    return (
        value if isinstance(value, float) else None,
        value if isinstance(value, str) else None,
        value if isinstance(value, date) else None,
    )


def value_of(row: Sequence[Any]) -> Value:
    """Return a value from field, number, words, day, currency, period, end, filed_at, found_at."""
    field, number, words, day, currency, period, period_end, filed_at, found_at = row
    value = number if number is not None else words if words is not None else day
    return Value(field, value, currency, period, period_end, filed_at, found_at)


def last_answers(
    connection: psycopg.Connection, subject_ids: Sequence[int], now: datetime
) -> Mapping[tuple[int, str], datetime]:
    """Return when subjects' documents were last answered, by number and document.

    What is later than the present was noted by a clock that was ahead, and nobody knows when.
    """
    rows = connection.execute(
        """
        SELECT k.subject_id, k.document, max(k.checked_at) FROM ledger.snapshot_check k
        WHERE k.subject_id = ANY(%s) AND k.checked_at <= %s AND k.outcome IN ('new', 'same', 'none')
        GROUP BY 1, 2
        """,
        [list(subject_ids), now],
    )
    return {(number, document): at for number, document, at in rows}


def earnings_dates(
    connection: psycopg.Connection, instrument_ids: Sequence[int]
) -> Mapping[int, Sequence[date]]:
    """Return the days on which anybody said that instruments report their earnings."""
    rows = connection.execute(
        """
        SELECT u.instrument_id, array_agg(DISTINCT v.day)
        FROM ledger.subject u JOIN ledger.snapshot s ON s.subject_id = u.id
        JOIN ledger.snapshot_value v ON v.snapshot_id = s.id
        WHERE u.instrument_id = ANY(%s) AND v.field = 'next_earnings_date' GROUP BY 1
        """,
        [list(instrument_ids)],
    )
    return dict(rows.fetchall())
