"""What the ledger says is wrong: one query a kind of trouble, one row a provider.

What belongs here: reading. How it is told is the business of `pipeline.alerts.conditions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

import psycopg
from psycopg.rows import class_row

from pipeline.store.freshness import set_now

_FEW: Final = 3
"""So many listings or instruments that fail, and none that does not, tell of the provider."""

_NAMED: Final = 5
"""How many of the worst are named."""

# A provider that is asked for no bars is known to be paused only.
_OUT_OF_SERVICE: Final = """
SELECT p.name AS provider, coalesce(p.out_of_service,
           'it wants to be left alone until ' || to_char(now.paused_until, 'YYYY-MM-DD HH24:MI')
           || ' UTC: ' || now.pause_reason) AS reason,
       EXISTS (SELECT FROM ledger.listing l
               WHERE l.provider = p.name AND l.in_universe AND l.standby IS NULL) AS primary_
FROM ledger.provider p LEFT JOIN market.providers now ON now.provider = p.name
WHERE (p.out_of_service IS NOT NULL OR now.paused_until > %(now)s + %(pause)s)
  AND (EXISTS (SELECT FROM ledger.listing l WHERE l.provider = p.name AND l.in_universe)
       OR EXISTS (SELECT FROM ledger.subject u WHERE u.provider = p.name AND u.in_universe))
ORDER BY 1
"""

# Standbys that nobody needs are never behind, so they tell nothing of their provider.
_BEHIND: Final = """
WITH listed AS (
    SELECT l.provider, l.standby IS NULL AS is_primary, f.stale_since, f.stale_minutes,
           f.failing_since, f.last_error, l.key, NOT f.fresh AS late,
           %(now)s > f.stale_since + interval '1 minute' + p.lag + p.refresh + %(after)s AS stale
    FROM market.freshness f JOIN ledger.listing l ON l.id = f.listing_id
    JOIN ledger.provider p ON p.name = l.provider
    WHERE l.starts_at < %(now)s AND coalesce(l.ends_at > %(now)s, true) OR NOT f.fresh
), counted AS (
    SELECT provider, count(*) AS listings, count(*) FILTER (WHERE stale) AS stale,
           count(*) FILTER (WHERE is_primary) AS primaries,
           count(*) FILTER (WHERE is_primary AND late) AS late,
           count(*) FILTER (WHERE is_primary AND late AND failing_since IS NOT NULL) AS failing,
           min(stale_since) FILTER (WHERE late) AS since, min(failing_since) AS failing_since,
           (array_agg(last_error ORDER BY failing_since, key)
               FILTER (WHERE last_error IS NOT NULL))[1] AS error,
           (array_agg(key || ' since ' || to_char(stale_since, 'YYYY-MM-DD HH24:MI') || ' ('
               || stale_minutes || ' minutes)' ORDER BY stale_since, key)
               FILTER (WHERE stale))[:%(named)s] AS worst
    FROM listed GROUP BY provider
)
SELECT provider, listings, stale, since, failing_since, error, worst,
       late = primaries AND failing >= least(%(few)s, primaries) AND failing > 0 AS down
FROM counted
WHERE stale > 0 OR late = primaries AND failing >= least(%(few)s, primaries) AND failing > 0
ORDER BY provider
"""

_UNANSWERED: Final = """
WITH checked AS (
    SELECT u.provider, u.id, k.outcome, k.detail, k.checked_at,
           max(k.checked_at) FILTER (WHERE k.outcome <> 'failed')
               OVER (PARTITION BY u.provider) AS answered_at
    FROM ledger.subject u JOIN ledger.snapshot_check k ON k.subject_id = u.id
    WHERE u.in_universe AND k.checked_at > %(now)s - interval '3 days'
)
SELECT provider, count(DISTINCT id) AS failing, min(checked_at) AS since,
       (array_agg(detail ORDER BY checked_at DESC))[1] AS error
FROM checked WHERE outcome = 'failed' AND checked_at > coalesce(answered_at, '-infinity')
GROUP BY provider
HAVING count(DISTINCT id) >= least(%(few)s, (
    SELECT count(*) FROM ledger.subject u WHERE u.provider = checked.provider AND u.in_universe))
ORDER BY provider
"""

_GIVEN_UP: Final = """
SELECT provider, count(DISTINCT key) AS listings, count(*) AS ranges,
       greatest(1, sum(minutes))::bigint AS minutes, min(last_failed_at) AS since,
       (array_agg(message ORDER BY minutes DESC, lower(during)))[1] AS error,
       (array_agg(key || ' ' || to_char(lower(during), 'YYYY-MM-DD HH24:MI') || ' to '
           || to_char(upper(during), 'YYYY-MM-DD HH24:MI')
           ORDER BY minutes DESC, lower(during)))[:%(named)s] AS worst
FROM (SELECT l.provider, l.key, f.*, ledger.minutes(tstzmultirange(f.during) * s.asked) AS minutes
      FROM ledger.fetch_failure f JOIN ledger.listing l ON l.id = f.listing_id AND l.in_universe
      JOIN ledger.session_month s
        ON (s.session, s.month) = (l.session, date_trunc('month', lower(f.during), 'UTC')::date)
      WHERE f.given_up IS NOT NULL) AS failed
GROUP BY provider ORDER BY provider
"""

_REFUSED: Final = """
SELECT l.provider, count(DISTINCT l.key) AS listings, count(*) AS deliveries,
       min(r.received_at) AS since,
       (array_agg(r.id || ' of ' || l.key || ' for ' || to_char(r.month, 'YYYY-MM') || ': '
           || coalesce(r.explanation,
                       r.contradicting || ' of ' || r.compared || ' stored bars contradicted')
           ORDER BY r.received_at, r.id))[:%(named)s] AS worst
FROM ledger.refused_delivery r JOIN ledger.listing l ON l.id = r.listing_id AND l.in_universe
WHERE r.accepted_at IS NULL GROUP BY l.provider ORDER BY l.provider
"""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class OutOfService:
    """A provider that is not asked: keys are missing, it hardly answers, or wants to be left alone.

    Attributes:
        provider: The provider.
        reason: Why.
        primary_: Whether anything is collected from it that nobody else is asked for first.
    """

    provider: str
    reason: str
    primary_: bool


@dataclass(frozen=True, slots=True)
class Behind:
    """Listings of a provider that are not fresh.

    Attributes:
        provider: The provider.
        listings: How many it has that are alive.
        stale: How many are behind by longer than is allowed.
        since: The oldest minute that is missing, UTC.
        failing_since: When one first failed, UTC; None if nothing did.
        error: What was wrong then.
        worst: The stalest ones, in words; None if none is.
        down: Whether none of those that it is the first to be asked for is fresh, and it was asked.
    """

    provider: str
    listings: int
    stale: int
    since: datetime
    failing_since: datetime | None
    error: str | None
    worst: Sequence[str] | None
    down: bool


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A provider of fundamentals that has answered no question since the first that failed.

    Attributes:
        provider: The provider.
        failing: How many instruments it was asked about since then.
        since: When the first failed, UTC.
        error: What was wrong the last time.
    """

    provider: str
    failing: int
    since: datetime
    error: str | None


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Minutes of a provider that nobody asks for any more.

    Attributes:
        provider: The provider.
        listings: Of how many listings.
        ranges: In how many ranges.
        minutes: How many, of open and extended hours.
        since: When the first were given up, UTC.
        error: Why the longest failed.
        worst: The longest ranges, in words.
    """

    provider: str
    listings: int
    ranges: int
    minutes: int
    since: datetime
    error: str
    worst: Sequence[str]


@dataclass(frozen=True, slots=True)
class Refused:
    """Deliveries of a provider that are refused, and not accepted.

    Attributes:
        provider: The provider.
        listings: Of how many listings.
        deliveries: How many.
        since: When the first came, UTC.
        worst: The oldest ones, in words.
    """

    provider: str
    listings: int
    deliveries: int
    since: datetime
    worst: Sequence[str]


def out_of_service(
    connection: psycopg.Connection, now: datetime, pause: timedelta
) -> list[OutOfService]:
    """Return the providers of the universe that are out of service, or paused for longer."""
    return _read(connection, OutOfService, _OUT_OF_SERVICE, now=now, pause=pause)


def behind(connection: psycopg.Connection, now: datetime, after: timedelta) -> list[Behind]:
    """Return the providers that answer nobody, or have listings that are stale.

    Args:
        connection: An open connection.
        now: The present, UTC.
        after: How long after it should have been asked for a minute makes its listing stale.
    """
    with connection.transaction():
        set_now(connection, now)
        return _read(connection, Behind, _BEHIND, now=now, after=after)


def unanswered(connection: psycopg.Connection, now: datetime) -> list[Unanswered]:
    """Return the providers of fundamentals that have been asked in vain in the last three days."""
    return _read(connection, Unanswered, _UNANSWERED, now=now)


def given_up(connection: psycopg.Connection) -> list[GivenUp]:
    """Return what was given up of listings of the universe."""
    return _read(connection, GivenUp, _GIVEN_UP)


def refused(connection: psycopg.Connection) -> list[Refused]:
    """Return the refused deliveries that stand, of listings of the universe."""
    return _read(connection, Refused, _REFUSED)


def _read(
    connection: psycopg.Connection, kind: type[Row], statement: str, **parameters: object
) -> list[Row]:
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        cursor.execute(statement.encode(), parameters | {"few": _FEW, "named": _NAMED})
        return cursor.fetchall()
