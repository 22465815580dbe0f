"""Standbys in the ledger: what is wanted of them, and the decisions that led to it.

What belongs here: the statements. Who stands by for whom the universe says; which providers are out
of service `pipeline.selection` decides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from pipeline.intervals import Interval
from pipeline.store.ranges import from_multirange

# Any number will do, as long as no other program on the server uses it for an advisory lock.
_LOCK = 0x4D4C_5342

_SERVICE = """
INSERT INTO ledger.provider AS p (name, out_of_service) VALUES (%(provider)s, %(reason)s)
ON CONFLICT (name) DO UPDATE SET out_of_service = excluded.out_of_service
WHERE (p.out_of_service IS NULL) <> (excluded.out_of_service IS NULL)
RETURNING xmax = 0
"""

_LOG = """
INSERT INTO ledger.decision (provider, listing_id, decision, reason)
VALUES (%(provider)s, %(listing)s, %(decision)s, %(reason)s)
"""

# Only months in which somebody before a standby failed to deliver, or once did, are looked at.
_NEEDS = """
WITH standby AS (
    SELECT l.id, l.instrument_id, l.standby, l.provider, l.session,
           tstzrange(l.starts_at, l.ends_at) AS life
    FROM ledger.listing l
    WHERE l.in_universe AND l.standby = %(turn)s
      AND l.instrument_id = ANY(coalesce(%(instruments)s::integer[], ARRAY[l.instrument_id]))
), before AS (
    SELECT standby.id AS standby_id, l.id, l.provider, l.key, l.starts_at, l.first_trade, l.ends_at,
           p.out_of_service
    FROM standby JOIN ledger.listing l ON l.instrument_id = standby.instrument_id AND l.in_universe
         AND coalesce(l.standby, 0) < standby.standby
    LEFT JOIN ledger.provider p ON p.name = l.provider
), suspect AS (
    SELECT before.standby_id, month::date AS month
    FROM before JOIN ledger.fetch_failure f ON f.listing_id = before.id
    CROSS JOIN LATERAL generate_series(
        date_trunc('month', lower(f.during), 'UTC') AT TIME ZONE 'UTC',
        upper(f.during) AT TIME ZONE 'UTC' - interval '1 minute', interval '1 month') AS month
    UNION
    SELECT before.standby_id, month::date
    FROM before JOIN ledger.gap g ON g.listing_id = before.id AND g.reason = 'outage'
    CROSS JOIN LATERAL generate_series(
        date_trunc('month', lower(g.during), 'UTC') AT TIME ZONE 'UTC',
        upper(g.during) AT TIME ZONE 'UTC' - interval '1 minute', interval '1 month') AS month
    UNION
    SELECT before.standby_id, c.month
    FROM before JOIN ledger.coverage c ON c.listing_id = before.id AND NOT isempty(c.unavailable)
    UNION
    SELECT before.standby_id, month::date
    FROM before CROSS JOIN LATERAL generate_series(
        date_trunc('month', greatest(before.starts_at, before.first_trade), 'UTC')
            AT TIME ZONE 'UTC',
        least(before.ends_at, ledger.now()) AT TIME ZONE 'UTC', interval '1 month') AS month
    WHERE before.out_of_service IS NOT NULL
    UNION
    SELECT standby.id, n.month FROM standby JOIN ledger.need n ON n.listing_id = standby.id
), told AS (
    SELECT suspect.standby_id, suspect.month, before.provider, before.key, before.out_of_service,
           u.*, u.failed + u.outage + u.unavailable + u.unserved AS missing
    FROM suspect JOIN before USING (standby_id)
    CROSS JOIN LATERAL ledger.undelivered(before.id, suspect.month) AS u
    WHERE suspect.month >= coalesce(%(first)s, suspect.month)
), needed AS (
    SELECT told.standby_id, told.month,
           range_intersect_agg(missing) * tstzmultirange(standby.life) AS wanted,
           string_agg(told.provider || ' ' || told.key || ': ' || concat_ws(', ',
                   nullif(ledger.minutes(failed), 0) || ' failed',
                   nullif(ledger.minutes(outage), 0) || ' in an outage',
                   nullif(ledger.minutes(unavailable), 0) || ' no longer served',
                   nullif(ledger.minutes(unserved), 0) || ' not asked for: ' || out_of_service),
               '; ' ORDER BY told.provider, told.key) AS reason
    FROM told JOIN standby ON standby.id = told.standby_id
    GROUP BY told.standby_id, told.month, standby.life
), gone AS (
    DELETE FROM ledger.need n USING needed
    WHERE (n.listing_id, n.month) = (needed.standby_id, needed.month) AND isempty(needed.wanted)
    RETURNING n.listing_id, n.month, 0::bigint AS minutes, 'delivered by now' AS reason
), kept AS (
    INSERT INTO ledger.need AS n (listing_id, month, wanted, reason)
    SELECT standby_id, month, wanted, reason FROM needed WHERE NOT isempty(wanted)
    ON CONFLICT (listing_id, month) DO UPDATE SET wanted = excluded.wanted, reason = excluded.reason
    WHERE n.wanted <> excluded.wanted
    RETURNING listing_id, month, ledger.minutes(wanted) AS minutes, reason
)
INSERT INTO ledger.decision (provider, listing_id, decision, reason)
SELECT standby.provider, listing_id,
       CASE WHEN minutes = 0 THEN 'no longer needed in '
            ELSE 'asked for ' || minutes || ' minutes of ' END || to_char(month, 'YYYY-MM'), reason
FROM (SELECT * FROM gone UNION ALL SELECT * FROM kept) AS changed
JOIN standby ON standby.id = listing_id ORDER BY listing_id, month
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """Who is asked for what, and why; a row of `market.decisions`."""

    decided_at: datetime
    instrument: str | None
    provider: str
    listing: str | None
    decision: str
    reason: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A listing in the order in which those of its instrument are asked.

    Attributes:
        instrument: The instrument.
        provider: The provider.
        listing: Name of the listing among its provider's.
        standby: None for a primary; else its turn.
        wanted_minutes: How many minutes are wanted of a standby now; None of a primary: all.
        out_of_service: Why its provider is out of service; None while it serves.
    """

    instrument: str
    provider: str
    listing: str
    standby: int | None
    wanted_minutes: int | None
    out_of_service: str | None


def put_in_service(connection: psycopg.Connection, verdicts: Mapping[str, str | None]) -> bool:
    """Keep which providers are out of service; return whether that has changed for any.

    Args:
        connection: An open connection, inside a transaction.
        verdicts: Why each provider is out of service; None for one that serves.
    """
    news = False
    for provider, reason in verdicts.items():
        changed = connection.execute(_SERVICE, {"provider": provider, "reason": reason}).fetchone()
        if changed and (reason is not None or not changed[0]):
            news = True
            decision = "out of service" if reason else "in service again"
            why = reason or "it serves as it should"
            connection.execute(
                _LOG, {"provider": provider, "listing": None, "decision": decision, "reason": why}
            )
    return news


def follow_needs(
    connection: psycopg.Connection,
    listing_ids: Collection[int] | None = None,
    first: date | None = None,
) -> None:
    """Work out again what is wanted of standbys.

    Args:
        connection: An open connection, inside a transaction.
        listing_ids: Listings of which something has changed: only standbys of their instruments are
            looked at; None for all.
        first: First day of the first month to look at; None for all.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    instruments, turns = connection.execute(
        """
        SELECT array_agg(DISTINCT instrument_id), coalesce(array_agg(DISTINCT standby), '{}')
        FROM ledger.listing
        WHERE standby IS NOT NULL AND in_universe AND instrument_id IN (
            SELECT instrument_id FROM ledger.listing WHERE id = ANY(coalesce(%s, ARRAY[id])))
        """,
        [None if listing_ids is None else sorted(listing_ids)],
    ).fetchone() or (None, [])
    for turn in sorted(turns):
        connection.execute(_NEEDS, {"turn": turn, "instruments": instruments, "first": first})


def needed(connection: psycopg.Connection, listing_id: int, month: date) -> list[Interval]:
    """Return what is wanted of a standby in a month, in order of time."""
    row = connection.execute(
        "SELECT wanted FROM ledger.need WHERE (listing_id, month) = (%s, %s)", [listing_id, month]
    ).fetchone()
    return from_multirange(row[0]) if row else []


def decisions(
    connection: psycopg.Connection, instrument: str | None = None, limit: int = 50
) -> list[Decision]:
    """Return the latest decisions, the newest first; of an instrument, or all of them."""
    with connection.cursor(row_factory=class_row(Decision)) as cursor:
        return cursor.execute(
            """
            SELECT decided_at, instrument, provider, listing, decision, reason FROM market.decisions
            WHERE %(instrument)s::text IS NULL OR instrument IS NULL OR instrument = %(instrument)s
            ORDER BY decided_at DESC LIMIT %(limit)s
            """,
            {"instrument": instrument, "limit": limit},
        ).fetchall()


def order(connection: psycopg.Connection, instrument: str | None = None) -> list[Asked]:
    """Return the listings of the universe, those of an instrument in the order of their turns."""
    with connection.cursor(row_factory=class_row(Asked)) as cursor:
        return cursor.execute(
            """
            SELECT i.key AS instrument, l.provider, l.key AS listing, l.standby, p.out_of_service,
                   CASE WHEN l.standby IS NOT NULL THEN coalesce((
                       SELECT sum(ledger.minutes(n.wanted)) FROM ledger.need n
                       WHERE n.listing_id = l.id), 0)::bigint END AS wanted_minutes
            FROM ledger.listing l JOIN ledger.instrument i ON i.id = l.instrument_id
            LEFT JOIN ledger.provider p ON p.name = l.provider
            WHERE l.in_universe AND i.key = coalesce(%s, i.key)
            ORDER BY i.key, l.standby NULLS FIRST, l.provider, l.key
            """,
            [instrument],
        ).fetchall()
