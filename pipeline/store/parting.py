"""Documents that came, were followed by another, and came again: each time a snapshot of its own.

What belongs here: the statement that parts one in two when what came between becomes known late. It
runs inside the caller's transaction.
"""

from __future__ import annotations

from typing import Final

import psycopg

# One that came before, and after it again unchanged, is then a snapshot of its own once more.
_COME_AGAIN: Final = """
WITH new AS (
    SELECT * FROM ledger.snapshot WHERE id = %(snapshot)s
), around AS (
    SELECT old.*, new.fetched_at AS between_at, coalesce(old.payload, p.payload) AS whole, (
        SELECT min(k.checked_at) FROM ledger.snapshot_check k
        WHERE (k.subject_id, k.document) = (old.subject_id, old.document) AND k.outcome = 'same'
          AND k.checked_at > new.fetched_at AND k.checked_at < old.last_seen_at) AS again_at
    FROM new JOIN ledger.snapshot old USING (subject_id, document)
    LEFT JOIN ledger.pruned_payload p ON p.snapshot_id = old.id
    WHERE old.fetched_at < new.fetched_at AND old.last_seen_at > new.fetched_at
      AND old.unusable IS NULL
), before AS (
    UPDATE ledger.snapshot s SET last_seen_at = greatest(s.fetched_at, (
        SELECT max(k.checked_at) FROM ledger.snapshot_check k
        WHERE (k.subject_id, k.document) = (s.subject_id, s.document)
          AND k.outcome IN ('new', 'same') AND k.checked_at < around.between_at))
    FROM around WHERE around.id = s.id
), again AS (
    INSERT INTO ledger.snapshot
        (subject_id, document, fetched_at, last_seen_at, digest, payload, registry)
    SELECT subject_id, document, coalesce(again_at, last_seen_at), last_seen_at, digest,
           whole, registry
    FROM around RETURNING id
), gone AS (
    INSERT INTO ledger.pruning (snapshot_id, pruned_at, rule, gone_at)
    SELECT again.id, l.pruned_at, l.rule, l.gone_at
    FROM again, around JOIN ledger.pruning l ON l.snapshot_id = around.id
    WHERE around.whole IS NULL AND l.gone_at IS NOT NULL
), refused AS (
    INSERT INTO ledger.snapshot_refusal (snapshot_id, field, found_at, raw, why)
    SELECT again.id, r.field, r.found_at, r.raw, r.why
    FROM again, around JOIN ledger.snapshot_refusal r ON r.snapshot_id = around.id
)
INSERT INTO ledger.snapshot_value
    (snapshot_id, field, period, period_end, number, words, day, currency, filed_at, found_at,
     accepted)
SELECT again.id, v.field, v.period, v.period_end, v.number, v.words, v.day, v.currency, v.filed_at,
       v.found_at, v.accepted
FROM again, around JOIN ledger.snapshot_value v ON v.snapshot_id = around.id
"""


def part_what_is_around(connection: psycopg.Connection, snapshot: int) -> None:
    """Let a document that was seen both before a good one and after it be two of its kind.

    Args:
        connection: An open connection.
        snapshot: The number of the one between, of which that was not known before.
    """
    connection.execute(_COME_AGAIN, {"snapshot": snapshot})
