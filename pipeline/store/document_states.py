"""What is stored of providers' documents, and what came of the last question for each.

What belongs here: the statement that reads it for people. It runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg
from psycopg.rows import class_row

from pipeline.store.snapshots import NEWEST

_DOCUMENTS: Final = f"""
SELECT i.key AS instrument, u.in_universe, k.document, k.outcome, k.checked_at, k.detail,
       s.fetched_at, s.last_seen_at, n.values, n.refusals, n.held
FROM ledger.subject u
JOIN ledger.instrument i ON i.id = u.instrument_id
LEFT JOIN LATERAL (
    SELECT DISTINCT ON (document) * FROM ledger.snapshot_check
    WHERE subject_id = u.id ORDER BY document, checked_at DESC) AS k ON true
LEFT JOIN LATERAL ({NEWEST}) AS s ON s.document = k.document
LEFT JOIN LATERAL (
    SELECT (SELECT count(*) FROM ledger.snapshot_value WHERE snapshot_id = s.id) AS values,
           (SELECT count(*) FROM ledger.snapshot_refusal WHERE snapshot_id = s.id) AS refusals,
           (SELECT count(*) FROM ledger.snapshot_value
            WHERE snapshot_id = s.id AND held IS NOT NULL) AS held) AS n ON s.id IS NOT NULL
WHERE u.provider = %s AND i.key = ANY(%s) AND u.id = (
    SELECT one.id FROM ledger.subject one
    WHERE (one.instrument_id, one.provider) = (u.instrument_id, u.provider)
    ORDER BY one.in_universe DESC, upper(one.asked) DESC NULLS LAST, one.id DESC LIMIT 1)
ORDER BY i.key, k.document
"""  # noqa: S608  nothing of a user's is in it


@dataclass(frozen=True, slots=True)
class DocumentState:
    """What became of a document the last time that it was asked for, and what is stored of it.

    Attributes:
        instrument: The instrument's key.
        in_universe: Whether the provider is still asked about it.
        document: Which document; None if none was ever asked for.
        outcome: What came of the last question.
        checked_at: When that was, UTC.
        detail: Why, where that is to be said.
        fetched_at: When the newest usable snapshot first came, UTC; None if there is none.
        last_seen_at: When it last came, UTC.
        values: How many values are read in it.
        refusals: How many could not be.
        held: How many of the values do not count.
    """

    instrument: str
    in_universe: bool
    document: str | None
    outcome: str | None
    checked_at: datetime | None
    detail: str | None
    fetched_at: datetime | None
    last_seen_at: datetime | None
    values: int | None
    refusals: int | None
    held: int | None


def document_states(
    connection: psycopg.Connection, provider: str, instruments: Collection[str]
) -> Mapping[str, Sequence[DocumentState]]:
    """Return what is known of a provider's documents about instruments, by key.

    One that the provider was never asked about has one entry without a document; one that is no
    subject of it has none.
    """
    with connection.cursor(row_factory=class_row(DocumentState)) as cursor:
        rows = cursor.execute(_DOCUMENTS.encode(), [provider, list(instruments)]).fetchall()
    found: dict[str, list[DocumentState]] = {name: [] for name in instruments}
    for row in rows:
        found[row.instrument].append(row)
    return found
