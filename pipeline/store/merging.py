"""Bringing delivered bars together with bars that are already stored.

What belongs here: what becomes of a stored bar when the provider is asked again. Every function
runs inside the caller's transaction, over the temporary table `delivered` that holds the delivery.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.types.multirange import Multirange

from pipeline.bars import BAR_SCHEMA
from pipeline.intervals import MINUTE, Interval
from pipeline.shifts import likeliest_shift
from pipeline.store.ranges import to_multirange

CONTRADICTING_BARS = 10
CONTRADICTING_SHARE = 0.1
"""A delivery is refused whole when at least this many, and this share, of the stored bars in its
range come back with other prices or not at all: a wrong feed (a stamp shift, another market's data)
is then likelier than restated history."""

_VALUES = [name for name in BAR_SCHEMA.names if name != "ts"]


def _columns(template: str) -> str:
    return ", ".join(template.format(name=name) for name in _VALUES)


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
       count(*) FILTER (WHERE s.ts IS NULL AND NOT d.ts <@ %(open)s::tstzmultirange) AS extended,
       count(*) FILTER (
           WHERE s.ts IS NOT NULL
             AND (s.open, s.high, s.low, s.close) IS DISTINCT FROM (d.open, d.high, d.low, d.close)
       ) AS contradicting,
       count(*) FILTER (WHERE s.ts IS NOT NULL AND d.ts IS NULL) AS vanished,
       count(*) FILTER (
           WHERE s.ts IS NOT NULL AND d.ts IS NOT NULL
             AND ({_columns("s.{name}")}) IS DISTINCT FROM ({_columns("d.{name}")})
       ) AS differing
FROM stored s FULL JOIN delivered d ON d.ts = s.ts
"""  # noqa: S608 - made of constants


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
WITH changed AS (
    INSERT INTO ledger.bars_1m AS b (listing_id, ts, {_columns("{name}")})
    SELECT listing_id, ts, {_columns("{name}")} FROM delivered
    ON CONFLICT (listing_id, ts)
    DO UPDATE SET ({_columns("{name}")}) = ({_columns("excluded.{name}")})
    WHERE ({_columns("b.{name}")}) IS DISTINCT FROM ({_columns("excluded.{name}")})
    RETURNING b.listing_id, b.ts
)
INSERT INTO ledger.stale (listing_id, during)
SELECT listing_id, range_agg(tstzrange(ts, ts + interval '1 minute')) FROM changed
GROUP BY listing_id
"""  # noqa: S608 - made of constants


_STORED_VALUES = f"WITH {_STORED} SELECT ts, open, high, low, close, volume FROM stored"  # noqa: S608
_DELIVERED_VALUES = "SELECT ts, open, high, low, close, volume FROM delivered"


@dataclass(frozen=True, slots=True)
class Differences:
    """In what an answer differs from what is stored of the same minutes, in numbers of bars.

    Attributes:
        differing: Stored bars that came back with other values, of whatever column.
        appeared: Bars where none is stored.
        vanished: Stored bars that did not come back.
    """

    differing: int = 0
    appeared: int = 0
    vanished: int = 0

    def __add__(self, other: Differences) -> Differences:
        return Differences(
            self.differing + other.differing,
            self.appeared + other.appeared,
            self.vanished + other.vanished,
        )


class ContradictoryDelivery(Exception):
    """A delivery contradicts too many stored bars; nothing of it was stored.

    Attributes:
        compared: How many stored bars there are in its minutes.
        contradicting: How many of these came back different or not at all.
        explanation: What would explain it; None when nothing was found.
        differences: What storing it would have changed.
    """

    def __init__(
        self,
        span: Interval,
        compared: int,
        contradicting: int,
        explanation: str | None,
        differences: Differences,
    ) -> None:
        super().__init__(
            f"{contradicting} of {compared} stored bars in {span} came back different or not at "
            f"all; {explanation or 'no shift of the stamps explains it'}. The stored bars were "
            "kept; check the provider's time stamps and symbol. `minuteledger revisions` shows "
            "what was delivered, and can accept it"
        )
        self.compared = compared
        self.contradicting = contradicting
        self.explanation = explanation
        self.differences = differences


@dataclass(frozen=True, slots=True)
class Merged:
    """What a delivery changed, in numbers of bars.

    Attributes:
        inserted: Bars stored for the first time.
        revised: Stored bars that came back different; one that does not come back at all is counted
            the first time only.
        extended: Those of `inserted` that lie outside of the regular session.
        differences: In what the delivery was not what was stored.
    """

    inserted: int
    revised: int
    extended: int = 0
    differences: Differences = Differences()


def merge(
    connection: psycopg.Connection,
    listing_id: int,
    answered: tuple[Interval, ...],
    open_minutes: Multirange[datetime],
    now: datetime,
    *,
    believe: bool = False,
) -> Merged:
    """Merge the table `delivered` into the bars of a listing.

    A bar that comes back different replaces the stored one; a stored bar that the provider no
    longer gives stays. Both are kept as revisions.

    Args:
        connection: An open connection, inside a transaction.
        listing_id: The listing.
        answered: The minutes that the delivery answers, in any order.
        open_minutes: The minutes in which bars are expected.
        now: When it came, UTC.
        believe: Merge it however much it contradicts.

    Raises:
        ContradictoryDelivery: Too many stored bars come back different.
    """
    key = {"listing": listing_id, "answered": to_multirange(answered), "now": now}
    compared, new, extended, contradicting, vanished, differing = (
        connection.execute(_COMPARE, key | {"open": open_minutes}).fetchone() or (0,) * 6
    )
    differences = Differences(differing, new, vanished)
    if not believe and contradicting >= max(CONTRADICTING_BARS, CONTRADICTING_SHARE * compared):
        span = Interval(min(answered).start, max(piece.end for piece in answered))
        explanation = _explanation(connection, key, compared, contradicting)
        raise ContradictoryDelivery(span, compared, contradicting, explanation, differences)
    revised = connection.execute(_KEEP_REVISIONS, key).rowcount
    connection.execute(_UPSERT)
    return Merged(new, revised, extended, differences)


def _explanation(
    connection: psycopg.Connection, key: dict[str, object], compared: int, contradicting: int
) -> str | None:
    """Return which one shift of the stamps would explain half as many bars as contradict."""
    stored = {row[0]: row[1:] for row in connection.execute(_STORED_VALUES, key)}
    delivered = {row[0]: row[1:] for row in connection.execute(_DELIVERED_VALUES)}
    found = likeliest_shift(stored, delivered)
    if found is None or 2 * found[1] < contradicting:
        return None
    shift, explained = found
    return f"a shift of {shift // MINUTE:+d} minutes would explain {explained} of {compared} bars"
