"""What there is to be said of fundamentals now: what is missing, in dispute or in doubt.

What belongs here: the statements, each about many instruments. Every function runs inside the
caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from pipeline.store.snapshots import NEWEST

_KNOWN: Final = """
SELECT i.key, i.asset_class,
       coalesce(array_agg(f.field) FILTER (WHERE f.state <> 'none'), '{}')
FROM ledger.instrument i
LEFT JOIN ledger.fundamental f ON f.instrument_id = i.id AND f.before IS NULL
WHERE EXISTS (SELECT FROM ledger.subject u WHERE u.instrument_id = i.id AND u.in_universe)
  AND i.key = ANY(coalesce(%s::text[], ARRAY[i.key]))
GROUP BY i.id ORDER BY i.key
"""

_DISAGREEMENTS: Final = """
SELECT i.key AS instrument, f.field, d.kind, f.provider, f.spread, f.candidates
FROM ledger.fundamental f
JOIN ledger.instrument i ON i.id = f.instrument_id
JOIN ledger.field d ON d.name = f.field
WHERE f.before IS NULL AND f.state = 'disagree'
  AND EXISTS (SELECT FROM ledger.subject u WHERE u.instrument_id = i.id AND u.in_universe)
ORDER BY (d.kind = 'date'), f.spread DESC NULLS LAST, i.key, d.place
"""

_VERDICTS: Final = """
SELECT i.key AS instrument, f.field, c.value::text AS said, c.found_at, c.snapshot, c.why
FROM ledger.subject u
JOIN ledger.instrument i ON i.id = u.instrument_id
JOIN ledger.fundamental f ON f.instrument_id = i.id AND f.before IS NULL
CROSS JOIN LATERAL jsonb_to_recordset(f.candidates)
    AS c(provider text, value jsonb, verdict text, why text, snapshot bigint, found_at text)
WHERE u.in_universe AND u.provider = %s AND c.provider = u.provider AND c.verdict = %s
ORDER BY i.key, f.field
"""

_REFUSALS: Final = f"""
SELECT i.key AS instrument, r.field, r.raw AS said, r.found_at, s.id AS snapshot, r.why
FROM ledger.subject u
JOIN ledger.instrument i ON i.id = u.instrument_id
CROSS JOIN LATERAL ({NEWEST}) AS s
JOIN ledger.snapshot_refusal r ON r.snapshot_id = s.id
WHERE u.in_universe AND u.provider = %s
ORDER BY i.key, r.field
"""  # noqa: S608  nothing of a user's is in it


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A field about which providers disagree; `candidates` as in `market.fundamentals_fields`."""

    instrument: str
    field: str
    kind: str
    provider: str
    spread: float | None
    candidates: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a provider says now that cannot be used, or does not count.

    Attributes:
        instrument: The instrument's key.
        field: The field.
        said: What is said, as text.
        found_at: Where in the document.
        snapshot: The number of the stored document.
        why: What is wrong with it.
    """

    instrument: str
    field: str
    said: str
    found_at: str
    snapshot: int
    why: str


def known_fields(
    connection: psycopg.Connection, instruments: Collection[str] | None = None
) -> Sequence[tuple[str, str, Collection[str]]]:
    """Return each instrument that anybody is asked about, its class, and what has a value.

    Args:
        connection: An open connection.
        instruments: Only these, by key; None for all.
    """
    keys = None if instruments is None else list(instruments)
    return connection.execute(_KNOWN, [keys]).fetchall()


def disagreements(connection: psycopg.Connection) -> Sequence[Disagreement]:
    """Return about what providers disagree: amounts before dates, the widest spread first."""
    with connection.cursor(row_factory=class_row(Disagreement)) as cursor:
        return cursor.execute(_DISAGREEMENTS).fetchall()


def doubts(connection: psycopg.Connection, provider: str, verdict: str) -> Sequence[Doubt]:
    """Return what a provider says now and was judged so (`held`, `out of bounds`)."""
    with connection.cursor(row_factory=class_row(Doubt)) as cursor:
        return cursor.execute(_VERDICTS, [provider, verdict]).fetchall()


def refusals(connection: psycopg.Connection, provider: str) -> Sequence[Doubt]:
    """Return what could not be used in a provider's newest documents."""
    with connection.cursor(row_factory=class_row(Doubt)) as cursor:
        return cursor.execute(_REFUSALS.encode(), [provider]).fetchall()
