"""What was known of instruments at a moment, from the snapshots in the ledger.

What belongs here: the way from rows to statements and back. Every function runs inside the caller's
transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

import psycopg

from pipeline.fundamentals.canaries import Earlier, Said, Statement
from pipeline.fundamentals.documents import time_to_live
from pipeline.fundamentals.known import Known
from pipeline.store.snapshots import value_of

_STATEMENTS = """
SELECT u.instrument_id, u.provider, u.client, s.document, s.id, s.fetched_at, s.last_seen_at
FROM ledger.subject u CROSS JOIN LATERAL (
    SELECT DISTINCT ON (document) * FROM ledger.snapshot
    WHERE subject_id = u.id AND symbol = u.symbol AND fetched_at <= %(at)s AND unusable IS NULL
    ORDER BY document, fetched_at DESC) AS s
WHERE (u.in_universe OR %(then)s AND u.left_at > %(at)s) AND u.instrument_id = ANY(%(instruments)s)
"""

_SAID = """
SELECT v.snapshot_id, v.field, v.number, v.words, v.day, v.currency, v.period, v.period_end,
       v.filed_at, v.found_at, v.accepted, v.held, v.instead
FROM ledger.snapshot_value v WHERE v.snapshot_id = ANY(%s)
"""

_EARLIER = """
SELECT s.id, s.fetched_at, s.last_seen_at,
       v.field, v.number, v.words, v.day, v.currency, v.period, v.period_end, v.filed_at, v.found_at
FROM ledger.snapshot s JOIN ledger.snapshot_value v ON v.snapshot_id = s.id
WHERE s.id = ANY(%s) AND v.held IS NULL
"""


def known(
    connection: psycopg.Connection,
    instrument_ids: Collection[int],
    at: datetime,
    *,
    then: bool = False,
) -> Mapping[int, Known]:
    """Return what was known of instruments at a moment, by number.

    Args:
        connection: An open connection.
        instrument_ids: The instruments.
        at: The moment, UTC.
        then: Whether from all whom the universe asked then, and not only from those it asks now.
    """
    found = {number: Known() for number in instrument_ids}
    row = {"instruments": list(instrument_ids), "at": at, "then": then}
    statements = connection.execute(_STATEMENTS, row).fetchall()
    said = _said(connection, [number for *_, number, _, _ in statements])
    for instrument, provider, client, document, number, fetched_at, confirmed_at in statements:
        found[instrument].statements[provider, document] = Statement(
            provider=provider,
            client=client,
            document=document,
            snapshot=number,
            fetched_at=fetched_at,
            confirmed_at=confirmed_at,
            lasts=time_to_live(client, document),
            said=tuple(said.get(number, ())),
        )
    return found


def _said(connection: psycopg.Connection, snapshots: Sequence[int]) -> Mapping[int, Sequence[Said]]:
    rows = connection.execute(_SAID, [list(snapshots)], binary=True).fetchall()
    before = {row[-1] for row in rows if row[-1] is not None}
    earlier = _earlier(connection, before) if before else {}
    found: dict[int, list[Said]] = {}
    for number, *value, accepted, held, instead in rows:
        stands_in = earlier.get((instead, value[0], value[5]))
        found.setdefault(number, []).append(Said(value_of(value), held, stands_in, accepted))
    return found


def _earlier(
    connection: psycopg.Connection, snapshots: Collection[int]
) -> Mapping[tuple[int, str, str], Earlier]:
    """Return the newest of each field and period that counts in some snapshots."""
    found: dict[tuple[int, str, str], Earlier] = {}
    for number, fetched_at, confirmed_at, *value in connection.execute(_EARLIER, [list(snapshots)]):
        one = Earlier(value_of(value), number, fetched_at, confirmed_at)
        key = (number, one.value.field, one.value.period)
        if key not in found or _end(one) > _end(found[key]):
            found[key] = one
    return found


def _end(one: Earlier) -> date:
    return one.value.period_end or date.min


_HOLD = """
UPDATE ledger.snapshot_value
SET held = %(held)s, instead = %(instead)s,
    freed_at = CASE WHEN %(held)s::text IS NULL THEN %(at)s::timestamptz END,
    was_held = CASE WHEN %(held)s::text IS NULL THEN held END,
    was_instead = CASE WHEN %(held)s::text IS NULL THEN instead END
WHERE (snapshot_id, field, period) = (%(snapshot)s, %(field)s, %(period)s)
  AND period_end IS NOT DISTINCT FROM %(period_end)s
  AND (held, instead) IS DISTINCT FROM (%(held)s, %(instead)s)
"""


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


def statements_since(
    connection: psycopg.Connection, instrument_id: int, since: datetime
) -> Sequence[tuple[datetime, Sequence[Statement]]]:
    """Return an instrument's usable snapshots from a moment on: when, and those of then.

    Those of a provider that is no longer asked count until it was not. That is a time, too.
    """
    rows = connection.execute(
        """
        SELECT s.fetched_at, s.last_seen_at, u.provider, u.client, s.document, s.id
        FROM ledger.subject u JOIN ledger.snapshot s ON s.subject_id = u.id AND s.symbol = u.symbol
        WHERE u.instrument_id = %s AND s.fetched_at >= %s AND s.unusable IS NULL
          AND (u.in_universe OR s.fetched_at < u.left_at)
        ORDER BY s.fetched_at, u.provider, s.document
        """,
        [instrument_id, since],
    ).fetchall()
    said = _said(connection, [number for *_, number in rows])
    found: dict[datetime, list[Statement]] = {}
    for fetched_at, confirmed_at, provider, client, document, number in rows:
        statement = Statement(
            provider=provider,
            client=client,
            document=document,
            snapshot=number,
            fetched_at=fetched_at,
            confirmed_at=confirmed_at,
            lasts=time_to_live(client, document),
            said=tuple(said.get(number, ())),
        )
        found.setdefault(fetched_at, []).append(statement)
    for left_at in departures(connection, instrument_id):
        if left_at >= since:
            found.setdefault(left_at, [])
    return sorted(found.items())


def departures(
    connection: psycopg.Connection, instrument_id: int
) -> Mapping[datetime, Sequence[str]]:
    """Return which providers are no longer asked about an instrument, by the time since when."""
    return dict(
        connection.execute(
            """
            SELECT left_at, array_agg(provider) FROM ledger.subject
            WHERE instrument_id = %s AND left_at IS NOT NULL GROUP BY 1
            """,
            [instrument_id],
        ).fetchall()
    )
