"""Bringing delivered bars together with bars that are already stored.

What belongs here: what becomes of a stored bar when the provider is asked again. Every function
runs inside the caller's transaction, over the temporary table `delivered` that holds the delivery.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg

from pipeline.bars import BAR_SCHEMA
from pipeline.intervals import Interval
from pipeline.store.ranges import to_multirange

CONTRADICTING_BARS = 10
CONTRADICTING_SHARE = 0.1
"""A delivery is refused whole when at least this many, and this share, of the stored bars in its
range come back with other prices or not at all: a wrong feed (a stamp shift, another market's data)
is then likelier than restated history."""

_VALUES = [name for name in BAR_SCHEMA.names if name != "ts"]
_STORED = """
stored AS (
    SELECT * FROM ledger.bars_1m
    WHERE listing_id = %(listing)s AND ts <@ %(answered)s::tstzmultirange
      AND ts >= lower(%(answered)s::tstzmultirange) AND ts < upper(%(answered)s::tstzmultirange)
)
"""

_COMPARE = f"""
WITH {_STORED}
SELECT count(s.ts) AS stored, count(*) FILTER (WHERE s.ts IS NULL) AS new,
       count(*) FILTER (
           WHERE s.ts IS NOT NULL
             AND (s.open, s.high, s.low, s.close) IS DISTINCT FROM (d.open, d.high, d.low, d.close)
       ) AS contradicting
FROM stored s FULL JOIN delivered d ON d.ts = s.ts
"""  # noqa: S608 - made of constants


def _columns(template: str) -> str:
    return ", ".join(template.format(name=name) for name in _VALUES)


_KEEP_REVISIONS = f"""
WITH {_STORED}
INSERT INTO ledger.bar_revision
    (listing_id, ts, seen_at, {_columns("old_{name}")}, {_columns("new_{name}")})
SELECT s.listing_id, s.ts, %(now)s, {_columns("s.{name}")}, {_columns("d.{name}")}
FROM stored s LEFT JOIN delivered d USING (ts)
WHERE ({_columns("s.{name}")}) IS DISTINCT FROM ({_columns("d.{name}")})
  AND NOT EXISTS (
    SELECT 1 FROM ledger.bar_revision r
    WHERE d.ts IS NULL AND r.listing_id = s.listing_id AND r.ts = s.ts AND r.new_open IS NULL)
"""  # noqa: S608 - made of constants

_UPSERT = f"""
INSERT INTO ledger.bars_1m AS b (listing_id, ts, {_columns("{name}")})
SELECT listing_id, ts, {_columns("{name}")} FROM delivered
ON CONFLICT (listing_id, ts) DO UPDATE SET ({_columns("{name}")}) = ({_columns("excluded.{name}")})
WHERE ({_columns("b.{name}")}) IS DISTINCT FROM ({_columns("excluded.{name}")})
"""  # noqa: S608 - made of constants


class ContradictoryDelivery(Exception):
    """A delivery contradicts too many stored bars; nothing of it was stored."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a delivery changed, in numbers of bars."""

    inserted: int
    revised: int


def merge(
    connection: psycopg.Connection,
    listing_id: int,
    answered: tuple[Interval, ...],
    now: datetime,
) -> Merged:
    """Merge the table `delivered` into the bars of a listing.

    A bar that comes back different replaces the stored one; a stored bar that the provider no
    longer gives stays. Both are kept as revisions.

    Raises:
        ContradictoryDelivery: Too many stored bars come back different.
    """
    key = {"listing": listing_id, "answered": to_multirange(answered), "now": now}
    compared, new, contradicting = connection.execute(_COMPARE, key).fetchone() or (0, 0, 0)
    if contradicting >= max(CONTRADICTING_BARS, CONTRADICTING_SHARE * compared):
        raise ContradictoryDelivery(
            f"{contradicting} of {compared} stored bars in {answered[0]} to {answered[-1].end} "
            "came back different or not at all; the stored bars were kept. "
            "Check the provider's time stamps and symbol"
        )
    revised = connection.execute(_KEEP_REVISIONS, key).rowcount
    connection.execute(_UPSERT)
    return Merged(inserted=new, revised=revised)
