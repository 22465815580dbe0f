"""Whom providers are asked about, kept in step with the universe file.

What belongs here: the statements. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

import psycopg
from psycopg.rows import class_row

from pipeline.universe import FundamentalsSpec

_ROW: Final[LiteralString] = "(u.instrument_id, u.provider, u.client, u.symbol)"

_WANTED: Final[LiteralString] = """
WITH wanted AS (
    SELECT i.id AS instrument_id, w.provider, w.client, w.symbol
    FROM unnest(%(instruments)s::text[], %(providers)s::text[], %(clients)s::text[],
                %(symbols)s::text[]) AS w(instrument, provider, client, symbol)
    JOIN ledger.instrument i ON i.key = w.instrument)
"""

_NO_LONGER: Final = f"""{_WANTED}
UPDATE ledger.subject u SET asked = asked - tstzmultirange(tstzrange(now(), NULL))
WHERE u.in_universe AND {_ROW} NOT IN (SELECT * FROM wanted)
RETURNING instrument_id
"""  # noqa: S608  nothing of a user's is in it

# The first of an instrument at a provider counts as asked all the time: what was collected before
# we were there may be brought in.
_FROM_NOW_ON: Final = f"""{_WANTED}
INSERT INTO ledger.subject AS u (instrument_id, provider, client, symbol, asked)
SELECT w.*, tstzmultirange(tstzrange(CASE WHEN EXISTS (
    SELECT FROM ledger.subject one
    WHERE (one.instrument_id, one.provider) = (w.instrument_id, w.provider)) THEN now() END, NULL))
FROM wanted w
ON CONFLICT (instrument_id, provider, client, symbol) DO UPDATE
SET asked = u.asked + tstzmultirange(tstzrange(now(), NULL)) WHERE NOT u.in_universe
RETURNING instrument_id
"""  # noqa: S608

_FIELDS: Final[LiteralString] = """
SELECT u.id, u.instrument_id, i.key AS instrument, i.asset_class, u.provider, u.client, u.symbol
FROM ledger.subject u JOIN ledger.instrument i ON i.id = u.instrument_id
"""

_EVERY: Final = f"{_FIELDS} WHERE i.key = ANY(coalesce(%s::text[], ARRAY[i.key]))"

_ASKED: Final = f"""{_FIELDS}
WHERE u.in_universe AND u.provider = coalesce(%s, u.provider)
  AND i.key = ANY(coalesce(%s::text[], ARRAY[i.key]))
ORDER BY i.key, u.provider
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """One instrument at one provider of fundamentals, by one symbol and through one client.

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


def sync_subjects(
    connection: psycopg.Connection, specs: Sequence[FundamentalsSpec]
) -> Collection[int]:
    """Bring the subjects in step with the universe: whom to ask from now on, and whom no longer.

    Those that it no longer names keep their history.

    Returns:
        The numbers of the instruments about which others are asked now.
    """
    wanted = {
        "instruments": [spec.instrument for spec in specs],
        "providers": [spec.provider for spec in specs],
        "clients": [spec.client for spec in specs],
        "symbols": [spec.symbol for spec in specs],
    }
    found = [*connection.execute(_NO_LONGER, wanted), *connection.execute(_FROM_NOW_ON, wanted)]
    return {number for (number,) in found}


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
        return cursor.execute(_ASKED, [provider, keys]).fetchall()


def every_subject(
    connection: psycopg.Connection, instruments: Iterable[str] | None = None
) -> Sequence[Subject]:
    """Return whom providers are and were asked about, by whatever symbol, in no order.

    Args:
        connection: An open connection.
        instruments: Only these, by key; None for all.
    """
    keys = None if instruments is None else list(instruments)
    with connection.cursor(row_factory=class_row(Subject)) as cursor:
        return cursor.execute(_EVERY, [keys]).fetchall()
