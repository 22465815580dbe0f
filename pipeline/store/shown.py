"""Which months Dagster shows as they are, and which have changed since, or were never shown.

What belongs here: the notes about it. Every function runs on the caller's connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import psycopg

from pipeline.store.cells import Cell

_NOTE = """
INSERT INTO ledger.shown (listing_id, month, at)
SELECT l.id, told.month, told.at FROM unnest(%(keys)s::text[], %(months)s::date[],
                                             %(moments)s::timestamptz[]) AS told(key, month, at)
JOIN ledger.listing l ON l.key = told.key AND l.provider = %(provider)s
ON CONFLICT (listing_id, month) DO UPDATE SET at = greatest(shown.at, excluded.at)
"""

# A month in which minutes have failed is not complete: repairs show it once it is.
_UNSHOWN = """
SELECT l.provider, l.key, c.month, s.at
FROM ledger.coverage c JOIN ledger.listing l ON l.id = c.listing_id AND l.in_universe
LEFT JOIN ledger.shown s ON (s.listing_id, s.month) = (c.listing_id, c.month)
WHERE (s.at IS NULL OR s.at < c.updated_at)
  AND CASE WHEN c.month < %(daily)s THEN c.updated_at < now() - %(quiet)s
           ELSE s.at IS NULL OR s.at < date_trunc('day', now(), 'UTC') END
  AND NOT isempty(c.answered + c.unavailable)
  AND NOT EXISTS (SELECT FROM ledger.fetch_failure f
                  WHERE f.listing_id = c.listing_id AND ledger.month_of(lower(f.during)) = c.month)
ORDER BY 1, 2, 3
"""


def shown_daily(now: datetime) -> date:
    """Return the first day of the last month, UTC.

    From it on months change all the time, and Dagster is told of them once a day: it keeps for ever
    what it is told.
    """
    return (now.date().replace(day=1) - timedelta(days=1)).replace(day=1)


def server_time(connection: psycopg.Connection) -> datetime:
    """Return the time by the server's clock, which stamps the changes of months, UTC."""
    ((now,),) = connection.execute("SELECT clock_timestamp()").fetchall()
    moment: datetime = now
    return moment


def note_shown(
    connection: psycopg.Connection, provider: str, shown: Mapping[Cell, datetime]
) -> None:
    """Note that Dagster was told of months of a provider.

    Args:
        connection: An open connection; the work is one statement.
        provider: The provider's name in the universe.
        shown: The months, each with a moment (UTC) before what was told of it was read.
    """
    row = {
        "provider": provider,
        "keys": [cell.listing for cell in shown],
        "months": [cell.month for cell in shown],
        "moments": list(shown.values()),
    }
    connection.execute(_NOTE, row)


def unshown(
    connection: psycopg.Connection, daily: date, quiet: timedelta
) -> dict[str, dict[Cell, datetime | None]]:
    """Return the months that Dagster is to be told of, by provider, and when it last was (UTC).

    Months of which nothing was asked, or in which minutes have failed, are not among them.

    Args:
        connection: An open connection.
        daily: From this month on, those that Dagster was never told of, and those that have
            changed since it was told on an earlier day, by the server's clock and in UTC.
        quiet: For how long an earlier month must not have changed: somebody may be at work at it.
    """
    found: dict[str, dict[Cell, datetime | None]] = {}
    for provider, key, month, at in connection.execute(_UNSHOWN, {"daily": daily, "quiet": quiet}):
        found.setdefault(provider, {})[Cell(key, month)] = at
    return found
