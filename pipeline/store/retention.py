"""Which payloads of snapshots stay, and putting back those that were pruned.

What belongs here: the statements. Only payloads come and go: what was read in them, and what was
combined of that, is never touched, so every moment of the past is answered as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

import psycopg
from psycopg.rows import class_row

from pipeline.universe import SnapshotsConfig

_LOCK = "SELECT FROM ledger.instrument ORDER BY id FOR NO KEY UPDATE"

_LED_TO: Final[LiteralString] = """
SELECT snapshot_id AS id FROM ledger.fundamental WHERE before IS NULL AND snapshot_id IS NOT NULL
UNION SELECT (one ->> 'snapshot')::bigint
FROM ledger.fundamental, jsonb_array_elements(candidates) AS one WHERE before IS NULL
UNION SELECT instead FROM ledger.snapshot_value WHERE instead IS NOT NULL
"""

_PRUNABLE: Final[LiteralString] = f"""
WITH good AS (
    SELECT id, subject_id, document, fetched_at,
           row_number() OVER newest_first AS place,
           row_number() OVER (PARTITION BY subject_id, document,
                              date_trunc('month', fetched_at, 'UTC')
                              ORDER BY fetched_at DESC) = 1 AS ends_month
    FROM ledger.snapshot WHERE unusable IS NULL AND payload IS NOT NULL
    WINDOW newest_first AS (PARTITION BY subject_id, document ORDER BY fetched_at DESC)),
stays AS (
    SELECT id FROM good WHERE place <= 1 + %(backups)s OR %(month_ends)s AND ends_month
    UNION {_LED_TO})
SELECT s.id AS snapshot, u.provider, i.key AS instrument, s.document, s.fetched_at,
       octet_length(s.payload) AS bytes, NULL::timestamptz AS pruned_at,
       format('snapshot %%s is newer; %%s before it stay, month-ends %%s', newest.id, %(backups)s,
              CASE WHEN %(month_ends)s THEN 'too' ELSE 'do not' END)
       || CASE WHEN s.unusable IS NULL THEN '' ELSE '; unusable' END AS rule
FROM ledger.snapshot s
JOIN good newest USING (subject_id, document)
JOIN ledger.subject u ON u.id = s.subject_id JOIN ledger.instrument i ON i.id = u.instrument_id
WHERE newest.place = 1 AND s.fetched_at < newest.fetched_at AND s.payload IS NOT NULL
  AND NOT EXISTS (SELECT FROM stays WHERE stays.id = s.id)
ORDER BY i.key, u.provider, s.document, s.fetched_at
"""  # noqa: S608  nothing of a user's is in it

_TAKE_OUT: Final = """
WITH taken AS (
    INSERT INTO ledger.pruned_payload (snapshot_id, payload, pruned_at)
    SELECT id, payload, %(at)s FROM ledger.snapshot WHERE id = ANY(%(ids)s)
    RETURNING snapshot_id)
UPDATE ledger.snapshot SET payload = NULL FROM taken WHERE id = taken.snapshot_id
"""

_LOG: Final = """
INSERT INTO ledger.pruning (snapshot_id, pruned_at, rule)
SELECT one.snapshot, %(at)s, one.rule
FROM unnest(%(ids)s::bigint[], %(rules)s::text[]) AS one (snapshot, rule)
"""

_GONE: Final = """
WITH gone AS (
    DELETE FROM ledger.pruned_payload WHERE pruned_at < %(before)s RETURNING snapshot_id, pruned_at)
UPDATE ledger.pruning SET gone_at = %(at)s FROM gone
WHERE (pruning.snapshot_id, pruning.pruned_at) = (gone.snapshot_id, gone.pruned_at)
"""

_PRUNED: Final[LiteralString] = """
SELECT s.id AS snapshot, u.provider, i.key AS instrument, s.document, s.fetched_at,
       octet_length(p.payload) AS bytes, p.pruned_at, l.rule
FROM ledger.pruned_payload p
JOIN ledger.pruning l ON (l.snapshot_id, l.pruned_at) = (p.snapshot_id, p.pruned_at)
JOIN ledger.snapshot s ON s.id = p.snapshot_id
JOIN ledger.subject u ON u.id = s.subject_id JOIN ledger.instrument i ON i.id = u.instrument_id
WHERE s.id = coalesce(%(snapshot)s, s.id) AND i.key = coalesce(%(instrument)s, i.key)
  AND u.provider = coalesce(%(provider)s, u.provider)
  AND date_trunc('second', p.pruned_at)
      = date_trunc('second', coalesce(%(pruned_at)s::timestamptz, p.pruned_at))
ORDER BY i.key, u.provider, s.document, s.fetched_at
"""

_PUT_BACK: Final = """
WITH back AS (
    DELETE FROM ledger.pruned_payload WHERE snapshot_id = ANY(%(ids)s)
    RETURNING snapshot_id, payload, pruned_at),
logged AS (
    UPDATE ledger.pruning SET restored_at = %(at)s FROM back
    WHERE (pruning.snapshot_id, pruning.pruned_at) = (back.snapshot_id, back.pruned_at))
UPDATE ledger.snapshot SET payload = back.payload FROM back WHERE id = back.snapshot_id
"""


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload that can be pruned, or was.

    Attributes:
        snapshot: The number of its snapshot.
        provider: Who sent it.
        instrument: The key of the instrument that it is about.
        document: Which document it is.
        fetched_at: When it first came, UTC.
        bytes: How long it is.
        pruned_at: When it was pruned, UTC; None as long as it is not.
        rule: Why, in words.
    """

    snapshot: int
    provider: str
    instrument: str
    document: str
    fetched_at: datetime
    bytes: int
    pruned_at: datetime | None
    rule: str


@dataclass(frozen=True, slots=True)
class Pruning:
    """What a pruning did.

    Attributes:
        pruned: The payloads that were taken out.
        restored: How many were put back, because they are led to again.
        gone: How many of earlier prunings went for good.
    """

    pruned: Sequence[Payload]
    restored: int
    gone: int


def prunable(connection: psycopg.Connection, keeping: SnapshotsConfig) -> Sequence[Payload]:
    """Return which payloads a pruning would take out now.

    Args:
        connection: An open connection.
        keeping: What stays.
    """
    row = {"backups": keeping.backups, "month_ends": keeping.month_ends}
    with connection.cursor(row_factory=class_row(Payload)) as cursor:
        return cursor.execute(_PRUNABLE, row).fetchall()


def prune(connection: psycopg.Connection, keeping: SnapshotsConfig, at: datetime) -> Pruning:
    """Take payloads out that newer documents have replaced, in one transaction.

    The newest good document of each kind about each instrument at each provider stays, with its
    backups, the last one of each month, and all that the combined fundamentals of now, or a value
    that stands in for a held one, lead to. What was pruned longer ago than it can be restored goes
    for good.

    Args:
        connection: An open connection.
        keeping: What stays.
        at: The present, UTC.
    """
    with connection.transaction():
        connection.execute(_LOCK)  # Nobody combines meanwhile, and leads to what is taken out.
        led_to = [number for (number,) in connection.execute(_LED_TO)]
        restored = _put_back(connection, led_to, at)
        gone = connection.execute(_GONE, {"before": at - keeping.restorable, "at": at}).rowcount
        found = prunable(connection, keeping)
        row = {"ids": [one.snapshot for one in found], "at": at}
        connection.execute(_TAKE_OUT, row)
        connection.execute(_LOG, row | {"rules": [one.rule for one in found]})
    return Pruning(found, restored, gone)


def pruned(
    connection: psycopg.Connection,
    *,
    snapshot: int | None = None,
    instrument: str | None = None,
    provider: str | None = None,
    pruned_at: datetime | None = None,
) -> Sequence[Payload]:
    """Return which pruned payloads can be restored: all, or those that fit all that is said.

    Args:
        connection: An open connection.
        snapshot: The number of a snapshot.
        instrument: The key of an instrument.
        provider: The name of a provider.
        pruned_at: The second of a pruning, aware.
    """
    row: dict[str, Any] = {
        "snapshot": snapshot,
        "instrument": instrument,
        "provider": provider,
        "pruned_at": pruned_at,
    }
    with connection.cursor(row_factory=class_row(Payload)) as cursor:
        return cursor.execute(_PRUNED, row).fetchall()


def restore(connection: psycopg.Connection, snapshots: Iterable[int], at: datetime) -> int:
    """Put payloads back, in one transaction.

    Args:
        connection: An open connection.
        snapshots: The numbers of their snapshots; those that were not pruned are left alone.
        at: The present, UTC.

    Returns:
        How many were put back.
    """
    with connection.transaction():
        return _put_back(connection, snapshots, at)


def _put_back(connection: psycopg.Connection, snapshots: Iterable[int], at: datetime) -> int:
    return connection.execute(_PUT_BACK, {"ids": list(snapshots), "at": at}).rowcount
