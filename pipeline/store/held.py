"""Values that are held back, and those of which a person has said that they are right.

What belongs here: the statements. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, LiteralString

import psycopg
from psycopg.rows import class_row

from pipeline.fundamentals.values import Period
from pipeline.store.snapshots import NEWEST

VALUE: Final[LiteralString] = (
    "coalesce(to_jsonb({0}.number), to_jsonb({0}.words), to_jsonb({0}.day))"
)
"""A stated value of whatever kind as JSON, of a row of `ledger.snapshot_value`."""

# All that is held after the same value has that to stand in for it.
_HELD: Final = f"""
SELECT i.key AS instrument, u.provider, n.document, v.field, v.period, v.period_end,
       (SELECT min(s.fetched_at) FROM ledger.snapshot s
        JOIN ledger.snapshot_value w ON w.snapshot_id = s.id
        WHERE (s.subject_id, s.document) = (n.subject_id, n.document)
          AND (w.field, w.period, w.instead) = (v.field, v.period, v.instead)
          AND w.instead_end IS NOT DISTINCT FROM v.instead_end) AS since,
       v.held AS why,
       (SELECT {VALUE.format("w")} FROM ledger.snapshot_value w
        WHERE (w.snapshot_id, w.field, w.period) = (v.instead, v.field, v.period)
          AND w.period_end IS NOT DISTINCT FROM v.instead_end) AS old,
       {VALUE.format("v")} AS new, v.currency
FROM ledger.subject u JOIN ledger.instrument i ON i.id = u.instrument_id
CROSS JOIN LATERAL ({NEWEST}) AS n
JOIN ledger.snapshot_value v ON v.snapshot_id = n.id AND v.held IS NOT NULL
WHERE u.in_universe AND u.provider = coalesce(%(provider)s, u.provider)
  AND i.key = coalesce(%(instrument)s, i.key)
ORDER BY i.key, u.provider, n.document, v.field, v.period_end
"""  # noqa: S608  nothing of a user's is in it

_SAID: Final = f"""
SELECT s.id AS snapshot, s.document, s.fetched_at, v.field, v.period, v.period_end,
       {VALUE.format("v")} AS value,
       v.held IS NOT NULL AS held, v.accepted,
       s.fetched_at = max(s.fetched_at) OVER (PARTITION BY s.document) AS newest
FROM ledger.subject u JOIN ledger.snapshot s ON s.subject_id = u.id
LEFT JOIN ledger.snapshot_value v
  ON v.snapshot_id = s.id AND v.field = %(field)s
WHERE u.id = %(subject)s AND s.unusable IS NULL
ORDER BY s.document, v.period, v.period_end, s.fetched_at DESC
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Held:
    """A value that is held back now.

    Attributes:
        instrument: The key of the instrument.
        provider: Who says so.
        document: In which document.
        field: The field.
        period: What time it is about.
        period_end: Last day of that; None where the document does not say.
        since: Since when values of this field are held there, UTC.
        why: What is odd about it.
        old: What counts in its place.
        new: What is held; a date as `2024-09-28`.
        currency: What they are in; None where the field has none.
    """

    instrument: str
    provider: str
    document: str
    field: str
    period: Period
    period_end: date | None
    since: datetime
    why: str
    old: float | str | None
    new: float | str
    currency: str | None


@dataclass(frozen=True, slots=True)
class Said:
    """A value that a provider stated of a field.

    Attributes:
        snapshot: The number of the document's snapshot.
        document: Which document it is.
        fetched_at: When it first came, UTC.
        field: The field.
        period: What time it is about.
        period_end: Last day of that; None where the document does not say.
        value: The value; a date as `2024-09-28`.
        held: Whether it is held back.
        accepted: Whether a person has said that it is right.
        newest: Whether the document is the newest of its kind.
    """

    snapshot: int
    document: str
    fetched_at: datetime
    field: str
    period: Period
    period_end: date | None
    value: float | str
    held: bool
    accepted: bool
    newest: bool


def held_values(
    connection: psycopg.Connection, provider: str | None = None, instrument: str | None = None
) -> Sequence[Held]:
    """Return what is held back now, by instrument, provider and field.

    Args:
        connection: An open connection.
        provider: Only what this provider says; None for all.
        instrument: Only what is about this instrument, by key; None for all.
    """
    with connection.cursor(row_factory=class_row(Held)) as cursor:
        row = {"provider": provider, "instrument": instrument}
        return cursor.execute(_HELD.encode(), row).fetchall()


def said_of(connection: psycopg.Connection, subject_id: int, field: str) -> Sequence[Said]:
    """Return the values that a subject's documents state of a field.

    Returns:
        Those about the same time in the same kind of document one after another, the newest first.
    """
    with connection.cursor(row_factory=class_row(Said)) as cursor:
        found = cursor.execute(_SAID.encode(), {"subject": subject_id, "field": field}).fetchall()
    return [one for one in found if one.field is not None]


def mark_accepted(
    connection: psycopg.Connection,
    values: Iterable[tuple[int, str, Period, date | None]],
    *,
    accepted: bool,
) -> None:
    """Note of values that a person says that they are right, or no longer does.

    Args:
        connection: An open connection.
        values: Snapshot, field, period and its end of each.
        accepted: Whether they are.
    """
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            UPDATE ledger.snapshot_value SET accepted = %s
            WHERE (snapshot_id, field, period) = (%s, %s, %s)
              AND period_end IS NOT DISTINCT FROM %s
            """,
            [(accepted, *one) for one in values],
        )
