"""What providers changed their minds about: bars given differently later, and refused deliveries.

What belongs here: reading. Revisions are written by `merging`, refused deliveries by `refusals`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

_NAMED = """
WHERE provider = coalesce(%(provider)s, provider) AND listing = coalesce(%(listing)s, listing)
"""

# The newest of them, in the order in which they came.
_REVISIONS = f"""
SELECT * FROM (
    SELECT revision, provider, listing, ts, seen_at, old_open, new_open, old_high, new_high,
           old_low, new_low, old_close, new_close, old_volume, new_volume
    FROM market.revisions {_NAMED} ORDER BY revision DESC LIMIT %(limit)s
) AS newest ORDER BY revision
"""  # noqa: S608 - made of constants

_REFUSED = f"""
SELECT id, provider, listing, since, before, received_at, delivered, compared, contradicting,
       explanation, accepted_at
FROM market.refused_deliveries {_NAMED} ORDER BY id
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Revision:
    """A stored bar that came back different, as `market.revisions` has it; times are UTC.

    All new values None: the provider gave no bar any more, and the stored one stays.
    """

    revision: int
    provider: str
    listing: str
    ts: datetime
    seen_at: datetime
    old_open: float
    new_open: float | None
    old_high: float
    new_high: float | None
    old_low: float
    new_low: float | None
    old_close: float
    new_close: float | None
    old_volume: float | None
    new_volume: float | None


@dataclass(frozen=True, slots=True)
class RefusedDelivery:
    """A delivery that contradicted too many stored bars, as `market.refused_deliveries` has it."""

    id: int
    provider: str
    listing: str
    since: datetime
    before: datetime
    received_at: datetime
    delivered: int
    compared: int
    contradicting: int
    explanation: str | None
    accepted_at: datetime | None


def revisions(
    connection: psycopg.Connection,
    provider: str | None = None,
    listing: str | None = None,
    limit: int | None = None,
) -> list[Revision]:
    """Return the revisions, or only the newest of them, in the order in which they came."""
    parameters = {"provider": provider, "listing": listing, "limit": limit}
    with connection.cursor(row_factory=class_row(Revision)) as cursor:
        return cursor.execute(_REVISIONS, parameters).fetchall()


def refused_deliveries(
    connection: psycopg.Connection, provider: str | None = None, listing: str | None = None
) -> list[RefusedDelivery]:
    """Return the refused deliveries, also accepted ones, in the order in which they came."""
    with connection.cursor(row_factory=class_row(RefusedDelivery)) as cursor:
        return cursor.execute(_REFUSED, {"provider": provider, "listing": listing}).fetchall()
