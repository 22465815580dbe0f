"""How providers have been answering, as the ledger has counted it.

What belongs here: reading. `limits` counts; every function runs on the caller's connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

_HEALTH = """
WITH asked AS (
    SELECT provider, array_agg(bucket) AS buckets, array_agg(requests) AS counts
    FROM ledger.fetch_log WHERE hour >= date_trunc('hour', %(since)s, 'UTC') GROUP BY provider
), told AS (
    SELECT provider, sum(requests)::bigint AS requests, sum(refusals)::bigint AS refusals,
           sum(errors)::bigint AS errors, sum(bans)::bigint AS bans,
           sum(paused_seconds)::bigint AS paused_seconds
    FROM market.provider_health WHERE hour >= date_trunc('hour', %(since)s, 'UTC') GROUP BY provider
)
SELECT provider, requests,
       round(100.0 * (requests - refusals - errors) / nullif(requests, 0), 2)::float8
           AS success_percent,
       ledger.latency_ms(buckets, counts, 0.5) AS p50_ms,
       ledger.latency_ms(buckets, counts, 0.95) AS p95_ms,
       ledger.latency_ms(buckets, counts, 0.99) AS p99_ms,
       refusals, errors, bans, paused_seconds, paused_until, clock_skew_seconds
FROM told JOIN market.providers USING (provider) LEFT JOIN asked USING (provider)
WHERE provider = coalesce(%(provider)s, provider) ORDER BY provider
"""


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """How one provider has been answering.

    Attributes:
        provider: Its name in the universe.
        requests: Requests that ended.
        success_percent: Answered ones as a percentage of all; None if there was no request.
        p50_ms: Latency that half of the requests did not exceed, to 10 percent.
        p95_ms: Latency that 95 percent did not exceed.
        p99_ms: Latency that 99 percent did not exceed.
        refusals: Requests refused because there were too many.
        errors: Requests that ended in any other error.
        bans: How often we were shut out.
        paused_seconds: For how long it wanted us to stay away.
        paused_until: Until when nothing is asked of it now, UTC; None if it may be asked.
        clock_skew_seconds: How far its clock is ahead of ours; None if it does not say.
    """

    provider: str
    requests: int
    success_percent: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    refusals: int
    errors: int
    bans: int
    paused_seconds: int
    paused_until: datetime | None
    clock_skew_seconds: float | None


def provider_health(
    connection: psycopg.Connection, since: datetime, provider: str | None = None
) -> Sequence[ProviderHealth]:
    """Return how providers have been answering since the beginning of an hour.

    Args:
        connection: An open connection.
        since: A moment in that hour, UTC.
        provider: Only this one; None for all that were asked or paused in that time.
    """
    with connection.cursor(row_factory=class_row(ProviderHealth)) as cursor:
        return cursor.execute(_HEALTH, {"since": since, "provider": provider}).fetchall()
