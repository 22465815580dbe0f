"""What was known of instruments at a moment, from the snapshots in the ledger.

What belongs here: the way from rows to statements and back. Every function runs inside the caller's
transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, LiteralString

import psycopg

from pipeline.fundamentals.canaries import Earlier, Heard, Said, Statement
from pipeline.fundamentals.documents import DOCUMENTS, time_to_live
from pipeline.fundamentals.known import Known
from pipeline.fundamentals.memory import Memory
from pipeline.fundamentals.registry import registry
from pipeline.store.snapshots import value_of

_VALUE: Final[LiteralString] = """
v.field, v.number, v.words, v.day, v.currency, v.period, v.period_end, v.filed_at, v.found_at
"""

# When a snapshot came again unchanged: as far as it was noted, and the last time in any case.
_SNAPSHOT: Final[LiteralString] = """
u.id, u.provider, u.client, u.asked, s.document, s.id, s.fetched_at,
ARRAY(SELECT k.checked_at FROM ledger.snapshot_check k
      WHERE (k.subject_id, k.document) = (s.subject_id, s.document)
        AND k.checked_at >= s.fetched_at AND k.checked_at <= s.last_seen_at
        AND k.outcome IN ('new', 'same') UNION SELECT s.last_seen_at ORDER BY 1),
CASE WHEN s.payload IS NULL AND NOT EXISTS (
    SELECT FROM ledger.pruned_payload p WHERE p.snapshot_id = s.id) THEN s.registry END
"""

_NEWEST: Final = f"""
SELECT u.instrument_id, {_SNAPSHOT}
FROM ledger.subject u CROSS JOIN LATERAL (
    SELECT DISTINCT ON (document) * FROM ledger.snapshot
    WHERE subject_id = u.id AND fetched_at <= %(at)s AND unusable IS NULL
    ORDER BY document, fetched_at DESC) AS s
WHERE u.instrument_id = ANY(%(instruments)s) AND (u.asked @> %(at)s OR NOT %(asked)s)
"""  # noqa: S608  nothing of a user's is in it

_SINCE: Final = f"""
SELECT {_SNAPSHOT}
FROM ledger.subject u JOIN ledger.snapshot s ON s.subject_id = u.id
WHERE u.instrument_id = %s AND s.fetched_at >= %s AND s.unusable IS NULL
ORDER BY s.fetched_at, u.provider, u.id, s.document
"""  # noqa: S608

_SAID: Final = f"""
SELECT v.snapshot_id, {_VALUE}, v.accepted, v.held, v.instead, v.instead_end
FROM ledger.snapshot_value v WHERE v.snapshot_id = ANY(%s)
"""  # noqa: S608

_EARLIER: Final = f"""
SELECT s.id, s.fetched_at, s.last_seen_at, {_VALUE}
FROM ledger.snapshot s JOIN ledger.snapshot_value v ON v.snapshot_id = s.id WHERE s.id = ANY(%s)
"""  # noqa: S608

# The last of each time, rather one that is not zero; and all that a person has accepted.
_HEARD: Final = f"""
SELECT u.id, s.document, s.id, s.fetched_at, s.last_seen_at,
       {_VALUE}, v.accepted, v.held, v.instead, v.instead_end
FROM (
    SELECT v.*, row_number() OVER (
        PARTITION BY s.subject_id, s.document, v.field, v.period, v.period_end
        ORDER BY v.number IS NOT DISTINCT FROM 0, s.fetched_at DESC) AS place
    FROM ledger.subject u JOIN ledger.snapshot s ON s.subject_id = u.id
    JOIN ledger.snapshot_value v ON v.snapshot_id = s.id
    WHERE u.instrument_id = %(instrument)s AND s.fetched_at < %(before)s AND s.unusable IS NULL
      AND (s.registry = %(version)s OR s.payload IS NOT NULL OR EXISTS (
           SELECT FROM ledger.pruned_payload p WHERE p.snapshot_id = s.id))
) AS v
JOIN ledger.snapshot s ON s.id = v.snapshot_id JOIN ledger.subject u ON u.id = s.subject_id
WHERE v.place = 1 OR v.accepted
"""  # noqa: S608

_CHECKED: Final = """
SELECT k.checked_at FROM ledger.subject u JOIN ledger.snapshot_check k ON k.subject_id = u.id
WHERE u.instrument_id = %s AND k.checked_at >= %s AND k.outcome IN ('new', 'same')
"""

_HOLD: Final = """
UPDATE ledger.snapshot_value
SET held = %(held)s, instead = %(instead)s, instead_end = %(instead_end)s,
    freed_at = CASE WHEN %(held)s::text IS NULL THEN %(at)s::timestamptz END,
    was_held = CASE WHEN %(held)s::text IS NULL THEN held END,
    was_instead = CASE WHEN %(held)s::text IS NULL THEN instead END,
    was_instead_end = CASE WHEN %(held)s::text IS NULL THEN instead_end END
WHERE (snapshot_id, field, period) = (%(snapshot)s, %(field)s, %(period)s)
  AND period_end IS NOT DISTINCT FROM %(period_end)s
  AND (held, instead) IS DISTINCT FROM (%(held)s, %(instead)s)
"""

_INSTANT: Final = timedelta(microseconds=1)
"""Two moments in the ledger lie at least so far apart."""

_ALWAYS: Final = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

_Place = tuple[int, str, str, date | None]
"""Snapshot, field, period and its end."""


def known(
    connection: psycopg.Connection, instrument_ids: Collection[int], at: datetime
) -> Mapping[int, Known]:
    """Return what was known of instruments at a moment, by number, but for its memory.

    Only what those say who were asked then; nothing can be learned in addition to it.
    """
    return _known(connection, instrument_ids, at, asked=True)


def _known(
    connection: psycopg.Connection, instrument_ids: Collection[int], at: datetime, *, asked: bool
) -> Mapping[int, Known]:
    found = {number: Known() for number in instrument_ids}
    row = {"instruments": list(instrument_ids), "at": at, "asked": asked}
    rows = connection.execute(_NEWEST.encode(), row).fetchall()
    statements = _statements(connection, [of_one for _, *of_one in rows])
    for (instrument, *_), one in zip(rows, statements, strict=True):
        if one is not None:
            found[instrument].statements[one.kind] = one
    return found


def known_before(connection: psycopg.Connection, instrument_id: int, moment: datetime) -> Known:
    """Return what was known of an instrument just before a moment, with its memory.

    Args:
        connection: An open connection.
        instrument_id: The instrument.
        moment: The moment, UTC.
    """
    before = moment - _INSTANT
    found = _known(connection, [instrument_id], before, asked=False)[instrument_id]
    row = {"instrument": instrument_id, "before": moment, "version": registry().version}
    rows = connection.execute(_HEARD.encode(), row, binary=True).fetchall()
    earlier = _earlier(connection, {instead for *_, instead, _ in rows if instead is not None})
    found.memory = Memory(
        ((subject, document), Heard(_one_said(said, earlier), _where(number, seen, said)))
        for subject, document, number, *row in rows
        for seen, said in [(row[:2], row[2:])]
    )
    return found


def statements_since(
    connection: psycopg.Connection, instrument_id: int, since: datetime
) -> Sequence[Statement]:
    """Return an instrument's usable snapshots from a moment on, in order of time."""
    rows = connection.execute(_SINCE.encode(), [instrument_id, since]).fetchall()
    return [one for one in _statements(connection, rows) if one is not None]


def heard_since(
    connection: psycopg.Connection, instrument_id: int, since: datetime
) -> set[datetime]:
    """Return when documents about an instrument came, new or unchanged, from a moment on."""
    return {moment for (moment,) in connection.execute(_CHECKED, [instrument_id, since])}


def hold(connection: psycopg.Connection, statements: Sequence[Statement], at: datetime) -> None:
    """Store which values of documents are held from a moment on, and what counts in their place.

    Of what is free from then on it stays known that it was held before.
    """
    with connection.cursor() as cursor:
        cursor.executemany(
            _HOLD,
            [
                {
                    "held": said.held,
                    "instead": said.instead and said.instead.snapshot,
                    "instead_end": said.instead and said.instead.value.period_end,
                    "at": at,
                    "snapshot": one.snapshot,
                    "field": said.value.field,
                    "period": said.value.period,
                    "period_end": said.value.period_end,
                }
                for one in statements
                for said in one.said
            ],
        )


def _statements(
    connection: psycopg.Connection, rows: Sequence[Sequence[Any]]
) -> Iterator[Statement | None]:
    """Yield the statement of each row; None for a document that is no longer asked for."""
    said = _said(connection, [number for *_, number, _, _, _ in rows])
    for subject, provider, client, asked, document, number, fetched_at, seen, unread in rows:
        if document not in DOCUMENTS.get(client, {}):
            yield None
            continue
        yield Statement(
            subject=subject,
            provider=provider,
            client=client,
            asked=tuple((one.lower or _ALWAYS[0], one.upper or _ALWAYS[1]) for one in asked),
            document=document,
            snapshot=number,
            fetched_at=fetched_at,
            seen=tuple(seen),
            lasts=time_to_live(client, document),
            said=tuple(said.get(number, ())),
            outdated=unread is not None and unread != registry().version,
        )


def _said(connection: psycopg.Connection, snapshots: Sequence[int]) -> Mapping[int, Sequence[Said]]:
    rows = connection.execute(_SAID.encode(), [list(snapshots)], binary=True).fetchall()
    earlier = _earlier(connection, {instead for *_, instead, _ in rows if instead is not None})
    found: dict[int, list[Said]] = {}
    for number, *said in rows:
        found.setdefault(number, []).append(_one_said(said, earlier))
    return found


def _one_said(row: Sequence[Any], earlier: Mapping[_Place, Earlier]) -> Said:
    *value, accepted, held, instead, instead_end = row
    stands_in = earlier.get((instead, value[0], value[5], instead_end))
    return Said(value_of(value), held, stands_in, accepted)


def _earlier(
    connection: psycopg.Connection, snapshots: Collection[int]
) -> Mapping[_Place, Earlier]:
    """Return what some snapshots say, by place."""
    if not snapshots:
        return {}
    rows = connection.execute(_EARLIER.encode(), [list(snapshots)])
    found = [_where(number, row[:2], row[2:]) for number, *row in rows]
    return {
        (one.snapshot, one.value.field, one.value.period, one.value.period_end): one
        for one in found
    }


def _where(number: int, seen: Sequence[datetime], value: Sequence[Any]) -> Earlier:
    fetched_at, last_seen_at = seen
    return Earlier(value_of(value[:9]), number, fetched_at, last_seen_at)
