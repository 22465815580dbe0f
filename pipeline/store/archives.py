"""What is remembered of archives, so that a changed file is noticed.

What belongs here: comparing what an archive is with what it was, and putting in question what was
answered from files that have changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import psycopg

from pipeline.intervals import Interval
from pipeline.providers.protocol import MonthVersion
from pipeline.store import coverage
from pipeline.store.ranges import to_range

# Nothing stored is touched: the minutes count as unsettled, so they are asked again and compared.
_NOTICE = """
WITH changed AS (
    INSERT INTO ledger.archive_version AS known (listing_id, month, version, noticed_at)
    SELECT %(listing)s, month, version, %(now)s
    FROM unnest(%(months)s::date[], %(versions)s::text[]) AS told(month, version)
    ON CONFLICT (listing_id, month) DO UPDATE
    SET version = excluded.version, noticed_at = excluded.noticed_at
    WHERE known.version <> excluded.version
    RETURNING month
), unsettled AS (
    UPDATE ledger.coverage
    SET settled = CASE WHEN month = ANY(%(held)s::date[]) THEN '{}' ELSE settled END,
        unavailable = '{}', updated_at = now()
    WHERE listing_id = %(listing)s AND month IN (SELECT month FROM changed)
), unchecked AS (
    DELETE FROM ledger.settling
    WHERE month = ANY(%(held)s::date[])
      AND listing_id = %(listing)s AND month IN (SELECT month FROM changed)
), due AS (
    UPDATE ledger.fetch_failure SET attempts = 0, given_up = NULL, next_attempt_at = %(now)s
    WHERE listing_id = %(listing)s
      AND date_trunc('month', lower(during), 'UTC')::date IN (SELECT month FROM changed)
)
SELECT month FROM changed
"""

_SETTLE = """
UPDATE ledger.coverage
SET settled = settled + answered * tstzmultirange(%(lost)s::tstzrange), updated_at = now()
WHERE listing_id = %(listing)s AND month = date_trunc('month', lower(%(lost)s), 'UTC')::date
  AND NOT answered * tstzmultirange(%(lost)s::tstzrange) <@ settled
"""


def notice(
    connection: psycopg.Connection,
    listing_id: int,
    versions: Mapping[date, MonthVersion],
    now: datetime,
) -> set[date]:
    """Note what an archive's months are like now; those that changed are asked again.

    Args:
        connection: An open connection.
        listing_id: The listing.
        versions: What the archive has of each month, by its first day. What was answered from
            files that are gone altogether stays as it is.
        now: The present, UTC.

    Returns:
        The months that changed, or that nobody had looked at.
    """
    rows = connection.execute(
        _NOTICE,
        {
            "listing": listing_id,
            "months": list(versions),
            "versions": [one.version for one in versions.values()],
            "held": [month for month, one in versions.items() if one.held],
            "now": now,
        },
    )
    return {month for (month,) in rows}


def mark_beyond(connection: psycopg.Connection, listing_id: int, lost: Interval) -> None:
    """Note minutes of one month that an archive does not hold; what was answered of them stays."""
    with connection.transaction():
        coverage.mark_unavailable(connection, listing_id, lost)
        connection.execute(_SETTLE, {"listing": listing_id, "lost": to_range(lost)})
