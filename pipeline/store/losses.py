"""Minutes that a provider will soon not have any more, and that were never answered.

What belongs here: the one query that finds them. How far a provider's history reaches is known to
its capabilities.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from pipeline.intervals import Interval
from pipeline.store.ranges import to_range
from pipeline.store.work import ASKED

_THREATS = f"""
SELECT l.provider, l.key AS listing, s.month, ledger.minutes(missing) AS minutes,
       lower(missing) AS first
FROM ledger.listing l
JOIN ledger.session_month s ON s.session = l.session AND s.month = ANY(%(months)s)
LEFT JOIN ledger.need n ON (n.listing_id, n.month) = (l.id, s.month)
LEFT JOIN ledger.coverage c ON (c.listing_id, c.month) = (l.id, s.month)
CROSS JOIN LATERAL (
    SELECT {ASKED} * tstzmultirange(%(during)s::tstzrange * tstzrange(start, NULL))
           - tstzmultirange(tstzrange(coalesce(l.ends_at, 'infinity'), NULL))
           - coalesce(c.answered, '{{}}') - coalesce(c.unavailable, '{{}}') AS missing
    FROM greatest(l.starts_at, l.first_trade) AS start
) AS open
WHERE l.provider = %(provider)s AND l.in_universe AND NOT isempty(missing)
  AND l.key = ANY(coalesce(%(listings)s::text[], ARRAY[l.key]))
ORDER BY first, listing
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Threat:
    """Minutes of one listing and month that were never answered.

    Attributes:
        provider: The provider.
        listing: The listing's key.
        month: First day of the month.
        minutes: How many minutes of open and extended hours.
        first: The first of them, which is lost first, UTC.
    """

    provider: str
    listing: str
    month: date
    minutes: int
    first: datetime


def threats(
    connection: psycopg.Connection,
    provider: str,
    during: Interval | None,
    listings: Collection[str] | None = None,
) -> list[Threat]:
    """Return what was never answered of a time, the earliest, which is lost first, before others.

    Args:
        connection: An open connection; its session is in UTC.
        provider: The provider's name in the universe.
        during: The time, as `Capabilities.endangered` gives it; None for a provider that loses
            nothing.
        listings: Keys of the listings to look at; None for all in the universe.
    """
    if during is None:
        return []
    with connection.cursor(row_factory=class_row(Threat)) as cursor:
        cursor.execute(
            _THREATS,
            {
                "provider": provider,
                "during": to_range(during),
                "months": during.first_days(),
                "listings": None if listings is None else sorted(listings),
            },
        )
        return cursor.fetchall()
