"""Snapshots on their way to files and back.

What belongs here: the statements. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from pipeline.store.held import VALUE

_ALL: Final = """
SELECT s.id FROM ledger.snapshot s
JOIN ledger.subject u ON u.id = s.subject_id JOIN ledger.instrument i ON i.id = u.instrument_id
WHERE u.provider = coalesce(%(provider)s, u.provider) AND i.key = coalesce(%(instrument)s, i.key)
ORDER BY i.key, s.document, u.provider, s.fetched_at
"""

_ONE: Final = """
SELECT u.provider, u.client, i.key AS instrument, u.symbol, s.document, s.fetched_at,
       s.last_seen_at, s.unusable, ARRAY(
           SELECT k.checked_at FROM ledger.snapshot_check k
           WHERE (k.subject_id, k.document) = (s.subject_id, s.document)
             AND k.checked_at > s.fetched_at AND k.checked_at < s.last_seen_at
             AND k.outcome = CASE WHEN s.unusable IS NULL THEN 'same' ELSE 'unusable' END
           ORDER BY 1) AS seen_at, encode(s.digest, 'hex') AS sha256,
       coalesce(s.payload, p.payload) AS payload
FROM ledger.snapshot s
JOIN ledger.subject u ON u.id = s.subject_id JOIN ledger.instrument i ON i.id = u.instrument_id
LEFT JOIN ledger.pruned_payload p ON p.snapshot_id = s.id WHERE s.id = %s
"""

_ACCEPTED: Final = f"""
SELECT v.field, v.period, v.period_end, {VALUE.format("v")} AS value, v.currency
FROM ledger.snapshot_value v WHERE v.snapshot_id = %s AND v.accepted ORDER BY 1, 2, 3
"""  # noqa: S608  nothing of a user's is in it

_ACCEPT: Final = f"""
UPDATE ledger.snapshot_value v SET accepted = true
WHERE (v.snapshot_id, v.field, v.period) = (%(snapshot)s, %(field)s, %(period)s)
  AND (v.period_end, v.currency) IS NOT DISTINCT FROM (%(period_end)s::date, %(currency)s)
  AND {VALUE.format("v")} = %(value)s AND NOT v.accepted
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class There:
    """A snapshot that the ledger has.

    Attributes:
        snapshot: Its number.
        digest: SHA-256 of its payload, in hexadecimal digits.
        whole: Whether it has its payload.
        last_seen_at: When it last came unchanged, UTC.
        unusable: Why nothing in it is believed; None for a good one.
    """

    snapshot: int
    digest: str
    whole: bool
    last_seen_at: datetime
    unusable: str | None


def snapshot_numbers(
    connection: psycopg.Connection, provider: str | None, instrument: str | None
) -> Sequence[int]:
    """Return the numbers of all snapshots, or one provider's, or those about one instrument."""
    row = {"provider": provider, "instrument": instrument}
    return [number for (number,) in connection.execute(_ALL, row)]


def whole_snapshot(connection: psycopg.Connection, snapshot: int) -> dict[str, Any]:
    """Return a snapshot as a file has it; its `payload` is None if that is gone for good."""
    with connection.cursor(row_factory=dict_row) as cursor:
        (found,) = cursor.execute(_ONE, [snapshot])
        return found | {"accepted": cursor.execute(_ACCEPTED.encode(), [snapshot]).fetchall()}


def snapshot_of(
    connection: psycopg.Connection, subject_id: int, document: str, fetched_at: datetime
) -> There | None:
    """Return the snapshot of a document that came at a moment, if there is one."""
    with connection.cursor(row_factory=class_row(There)) as cursor:
        return cursor.execute(
            """
            SELECT id AS snapshot, encode(digest, 'hex') AS digest, payload IS NOT NULL AS whole,
                   last_seen_at, unusable
            FROM ledger.snapshot WHERE (subject_id, document, fetched_at) = (%s, %s, %s)
            """,
            [subject_id, document, fetched_at],
        ).fetchone()


def another_meanwhile(
    connection: psycopg.Connection,
    *,
    subject_id: int,
    document: str,
    digest: str,
    since: datetime,
    until: datetime,
) -> datetime | None:
    """Return when another good document came that was current at some time between two moments.

    Nobody can say which of two was current at the same time.
    """
    found = connection.execute(
        """
        SELECT fetched_at FROM ledger.snapshot
        WHERE (subject_id, document) = (%s, %s) AND encode(digest, 'hex') <> %s
          AND unusable IS NULL AND fetched_at <= %s AND last_seen_at >= %s
        ORDER BY fetched_at LIMIT 1
        """,
        [subject_id, document, digest, until, since],
    ).fetchone()
    return None if found is None else found[0]


def put_back_payload(
    connection: psycopg.Connection, snapshot: int, payload: str, at: datetime
) -> None:
    """Give a snapshot its payload again."""
    row = {"snapshot": snapshot, "payload": payload, "at": at}
    connection.execute(
        "UPDATE ledger.snapshot SET payload = %(payload)s WHERE id = %(snapshot)s", row
    )
    connection.execute(
        """
        WITH back AS (
            DELETE FROM ledger.pruned_payload WHERE snapshot_id = %(snapshot)s
            RETURNING snapshot_id, pruned_at)
        UPDATE ledger.pruning SET restored_at = %(at)s FROM back
        WHERE (pruning.snapshot_id, pruning.pruned_at) = (back.snapshot_id, back.pruned_at)
        """,
        row,
    )


def seen_again(connection: psycopg.Connection, snapshot: int, at: datetime) -> None:
    """Note that a document was still the same at a moment."""
    connection.execute(
        "UPDATE ledger.snapshot SET last_seen_at = greatest(last_seen_at, %s) WHERE id = %s",
        [at, snapshot],
    )


def accept_again(
    connection: psycopg.Connection, snapshot: int, values: Sequence[Mapping[str, Any]]
) -> bool:
    """Note that a person had accepted values of a snapshot, where the same are read in it.

    Args:
        connection: An open connection.
        snapshot: Its number.
        values: Field, period, period_end, value and currency of each.

    Returns:
        Whether the ledger did not know that of any.
    """
    with connection.cursor() as cursor:
        rows = [{**one, "snapshot": snapshot, "value": Jsonb(one["value"])} for one in values]
        cursor.executemany(_ACCEPT.encode(), rows)
        return cursor.rowcount > 0
