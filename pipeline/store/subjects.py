"""Whom providers are asked about, kept in step with the universe file.

What belongs here: the statements. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from pipeline.universe import FundamentalsSpec

_UPSERT_SUBJECT = """
INSERT INTO ledger.subject (instrument_id, provider, client, symbol)
SELECT id, %(provider)s, %(client)s, %(symbol)s FROM ledger.instrument WHERE key = %(instrument)s
ON CONFLICT (instrument_id, provider) DO UPDATE
SET client = excluded.client, symbol = excluded.symbol, in_universe = true, left_at = NULL,
    symbol_since =
        CASE WHEN subject.symbol = excluded.symbol THEN subject.symbol_since ELSE now() END
WHERE (subject.client, subject.symbol, subject.in_universe)
      IS DISTINCT FROM (excluded.client, excluded.symbol, true)
"""

_SUBJECTS = """
SELECT u.id, u.instrument_id, i.key AS instrument, i.asset_class, u.provider, u.client, u.symbol
FROM ledger.subject u JOIN ledger.instrument i ON i.id = u.instrument_id
WHERE u.in_universe AND u.provider = coalesce(%s, u.provider)
  AND i.key = ANY(coalesce(%s::text[], ARRAY[i.key]))
ORDER BY i.key, u.provider
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """One instrument at one provider of fundamentals.

    Attributes:
        id: Its number in the ledger.
        instrument_id: The instrument's.
        instrument: The instrument's key.
        asset_class: What the instrument is.
        provider: The provider's name in the universe.
        client: The kind of client that talks to it.
        symbol: What the provider calls it.
    """

    id: int
    instrument_id: int
    instrument: str
    asset_class: str
    provider: str
    client: str
    symbol: str


def sync_subjects(connection: psycopg.Connection, specs: Sequence[FundamentalsSpec]) -> None:
    """Bring the subjects in step with the universe.

    Those that it no longer names keep their history and are only marked.
    """
    for spec in specs:
        row = {
            "instrument": spec.instrument,
            "provider": spec.provider,
            "client": spec.client,
            "symbol": spec.symbol,
        }
        connection.execute(_UPSERT_SUBJECT, row)
    connection.execute(
        """
        UPDATE ledger.subject u SET in_universe = false, left_at = now() FROM ledger.instrument i
        WHERE i.id = u.instrument_id AND u.in_universe
          AND (i.key, u.provider) NOT IN (SELECT * FROM unnest(%s::text[], %s::text[]))
        """,
        [[spec.instrument for spec in specs], [spec.provider for spec in specs]],
    )
    # Where others are still asked, what they say is combined anew when it next is.
    connection.execute(
        """
        UPDATE ledger.fundamental f SET before = now()
        WHERE before IS NULL AND since < now() AND NOT EXISTS (
            SELECT FROM ledger.subject u WHERE u.instrument_id = f.instrument_id AND u.in_universe)
        """
    )


def subjects(
    connection: psycopg.Connection,
    provider: str | None = None,
    instruments: Iterable[str] | None = None,
) -> Sequence[Subject]:
    """Return whom providers are asked about, by instrument and provider.

    Args:
        connection: An open connection.
        provider: Only one provider's; None for all.
        instruments: Only these, by key; None for all.
    """
    keys = None if instruments is None else list(instruments)
    with connection.cursor(row_factory=class_row(Subject)) as cursor:
        return cursor.execute(_SUBJECTS, [provider, keys]).fetchall()


def ever_asked(connection: psycopg.Connection) -> Sequence[tuple[str, str]]:
    """Return who is, or was, asked about what: provider and key of the instrument of each."""
    return connection.execute(
        """
        SELECT u.provider, i.key
        FROM ledger.subject u JOIN ledger.instrument i ON i.id = u.instrument_id ORDER BY 1, 2
        """
    ).fetchall()
