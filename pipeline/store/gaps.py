"""Silences and gaps in SQL: finding them, and keeping those that need an explanation.

What belongs here: the statements. Which silences need an explanation is decided in
`pipeline.silences`, and who was silent together in `pipeline.company`. Every function runs inside
the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date

import numpy as np
import psycopg
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from pipeline.intervals import Interval
from pipeline.silences import Minutes, Silences
from pipeline.store.ranges import from_multirange, from_range, to_multirange, to_range

_PEERS = 20
"""An outage shows in the busiest of a provider's listings; asking a thousand shows no more."""

# Any number will do, as long as no other program on the server uses it for an advisory lock.
_JUDGING_LOCK = 0x4D4C_4A55

_OBSERVED = """
SELECT (date_part('epoch', lower(piece)) / 60)::int, (date_part('epoch', upper(piece)) / 60)::int
FROM unnest((SELECT range_agg(answered * open) FROM ledger.coverage WHERE listing_id = %s)) AS piece
"""

_SILENCES = """
SELECT coalesce(array_agg((date_part('epoch', since) / 60)::int), '{}'),
       coalesce(array_agg((date_part('epoch', before) / 60)::int), '{}')
FROM ledger.silences(%s, %s, %s)
"""

_INSERT = """
INSERT INTO ledger.gap (listing_id, during, expected, habit, reason, company)
SELECT %(listing_id)s, %(during)s, %(expected)s, %(habit)s, %(reason)s, %(company)s
WHERE NOT EXISTS (
    SELECT FROM ledger.gap
    WHERE listing_id = %(listing_id)s AND during && %(during)s::tstzrange)
"""

_GROW = """
SELECT %(ranges)s::tstzmultirange + coalesce(range_agg(g.during), '{}')
FROM ledger.gap g JOIN ledger.listing l ON l.id = g.listing_id
WHERE l.provider = %(provider)s AND g.reason = 'outage' AND g.during && %(ranges)s::tstzmultirange
"""

# What others did is looked for around a gap, as far to each side as it is long.
_NEAR = """
SELECT coalesce(range_agg(g.during), '{}')
FROM ledger.gap g JOIN ledger.listing l ON l.id = g.listing_id
WHERE l.provider = %(provider)s AND g.expected IS NOT NULL
  AND daterange(ledger.month_of(lower(g.during) - (upper(g.during) - lower(g.during))),
                ledger.month_of(upper(g.during) + (upper(g.during) - lower(g.during))), '[]')
      && %(months)s::datemultirange
"""

_WITNESSES = """
WITH gap AS (
    SELECT g.listing_id, g.during, upper(g.during) - lower(g.during) AS long,
           date_trunc('minute', lower(g.during) + (upper(g.during) - lower(g.during)) / 2, 'UTC')
               AS middle
    FROM ledger.gap g JOIN ledger.listing l ON l.id = g.listing_id
    WHERE l.provider = %(provider)s AND g.expected IS NOT NULL
      AND g.during && %(ranges)s::tstzmultirange
)
SELECT gap.listing_id, gap.during, peer.listing_id AS peer_id, peer.key AS peer,
       CASE WHEN last.bar IS DISTINCT FROM gap.middle THEN peer.observed * tstzrange(
           coalesce(last.bar, lower(gap.during) - gap.long - 2 * minute) + minute,
           coalesce(next.bar, upper(gap.during) + gap.long + minute)) END AS silent
FROM gap CROSS JOIN (SELECT interval '1 minute' AS minute) AS one
CROSS JOIN LATERAL (
    SELECT c.listing_id, l.key,
           (SELECT piece FROM unnest(range_agg(c.answered * c.open)) AS piece
            WHERE piece @> gap.during) AS observed
    FROM ledger.coverage c JOIN ledger.listing l ON l.id = c.listing_id
    WHERE l.provider = %(provider)s AND c.listing_id <> gap.listing_id
      AND c.month BETWEEN ledger.month_of(lower(gap.during)) AND ledger.month_of(upper(gap.during))
    GROUP BY c.listing_id, l.key
    HAVING range_agg(c.answered * c.open) @> gap.during
    ORDER BY sum(c.bars) DESC, l.key LIMIT %(peers)s
) AS peer
CROSS JOIN LATERAL (
    SELECT max(ts) AS bar FROM ledger.bars_1m
    WHERE listing_id = peer.listing_id AND ts <= middle AND ts >= lower(during) - long
) AS last
CROSS JOIN LATERAL (
    SELECT min(ts) AS bar FROM ledger.bars_1m
    WHERE listing_id = peer.listing_id AND ts > middle AND ts < upper(during) + long
) AS next
ORDER BY gap.listing_id, gap.during, peer.key
"""

_COUNT = """
UPDATE ledger.coverage c SET silences = counted.silences
FROM unnest(%s::date[], %s::integer[]) AS counted(month, silences)
WHERE c.listing_id = %s AND c.month = counted.month AND c.silences <> counted.silences
"""


@dataclass(frozen=True, slots=True)
class Gap:
    """A silence that quiet markets do not explain; a row of `ledger.gap`.

    Attributes:
        listing_id: The listing.
        during: From the first minute without a bar to the first with one; UTC.
        expected: How many as long as this its habit has in a month; None when it is within habit.
        habit: That habit, in words; None likewise.
        reason: `halt` or `outage`.
        company: What other listings of the provider did meanwhile, in words.
    """

    listing_id: int
    during: Interval
    expected: float | None
    habit: str | None
    reason: str = "halt"
    company: str = ""


@dataclass(frozen=True, slots=True)
class Witness:
    """What another listing of the provider did in the middle of a silence.

    Attributes:
        listing_id: The listing that is silent beyond its habit.
        during: Its silence; UTC.
        peer_id: The other listing.
        peer: Its key.
        silent: The other's own silence around the middle of `during`, as far as it reaches no
            further to either side than that is long; None when it had a bar there.
    """

    listing_id: int
    during: Interval
    peer_id: int
    peer: str
    silent: Interval | None


def lock(connection: psycopg.Connection, provider: str) -> None:
    """Keep others from judging the provider's listings until the end of the transaction."""
    connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_JUDGING_LOCK, provider])


def unjudged(connection: psycopg.Connection, listing_ids: Collection[int]) -> dict[int, list[date]]:
    """Return the months to be judged, by listing; nobody writes to them meanwhile."""
    rows = connection.execute(
        """
        SELECT listing_id, month FROM ledger.coverage
        WHERE listing_id = ANY(%s) AND NOT judged ORDER BY listing_id, month FOR UPDATE
        """,
        [sorted(listing_ids)],
    ).fetchall()
    months: dict[int, list[date]] = {}
    for listing_id, month in rows:
        months.setdefault(listing_id, []).append(month)
    return months


def mark_judged(connection: psycopg.Connection, listing_id: int, months: Collection[date]) -> None:
    """Note that months were judged as they are now."""
    connection.execute(
        "UPDATE ledger.coverage SET judged = true WHERE listing_id = %s AND month = ANY(%s)",
        [listing_id, list(months)],
    )


def silences(connection: psycopg.Connection, listing_id: int, during: Interval) -> Silences:
    """Return the silences of a listing that touch an interval, whole, and all that was observed."""
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_SILENCES, [listing_id, during.start, during.end])
        starts, ends = cursor.fetchone() or ([], [])
        observed = cursor.execute(_OBSERVED, [listing_id]).fetchall()
    return Silences(
        np.array(starts, np.int64),
        np.array(ends, np.int64),
        np.array(observed, np.int64).reshape(-1, 2),
    )


def count(
    connection: psycopg.Connection, listing_id: int, months: Sequence[date], starts: Minutes
) -> None:
    """Note how many silences begin in each month.

    Args:
        connection: An open connection.
        listing_id: The listing.
        months: First days of months.
        starts: First minutes of silences in minutes since 1970, ascending; all those that begin in
            these months are among them.
    """
    borders = [
        [int(border.timestamp()) // 60 for border in (month.start, month.end)]
        for month in map(Interval.month, months)
    ]
    counts = np.diff(np.searchsorted(starts, np.array(borders))).ravel().tolist()
    connection.execute(_COUNT, [list(months), counts, listing_id])


def remove(
    connection: psycopg.Connection, listing_id: int, during: Iterable[Interval]
) -> list[Interval]:
    """Delete a listing's gaps that touch the intervals; return where outages were among them."""
    return _intervals(
        connection,
        """
        WITH gone AS (
            DELETE FROM ledger.gap
            WHERE listing_id = %(listing)s AND during && %(ranges)s::tstzmultirange RETURNING *
        )
        SELECT range_agg(during) FILTER (WHERE reason = 'outage') FROM gone
        """,
        {"listing": listing_id, "ranges": to_multirange(during)},
    )


def insert(connection: psycopg.Connection, gaps: Iterable[Gap]) -> None:
    """Store gaps; one that touches a gap of its listing that is there already is left out."""
    with connection.cursor() as cursor:
        cursor.executemany(_INSERT, [_values(gap) for gap in gaps])


def outages_near(
    connection: psycopg.Connection,
    provider: str,
    changed: Iterable[Interval],
    months: Collection[date],
) -> list[Interval]:
    """Return where it has to be looked again who was silent together.

    Args:
        connection: An open connection.
        provider: The provider.
        changed: Gaps that came or went.
        months: Months in which bars or answers of some listing of the provider have changed.

    Returns:
        The changed gaps, the silences beyond habit near those months, and, again and again, all
        outages that touch what was found.
    """
    nearby = Multirange([Range(month, month, "[]") for month in sorted(months)])
    found = [
        *changed,
        *_intervals(connection, _NEAR, {"provider": provider, "months": nearby}),
    ]
    while True:
        key = {"provider": provider, "ranges": to_multirange(found)}
        grown = _intervals(connection, _GROW, key)
        if grown == found:
            return grown
        found = grown


def witnesses(
    connection: psycopg.Connection, provider: str, during: Iterable[Interval]
) -> list[Witness]:
    """Return what others did meanwhile, for each silence beyond habit that touches the intervals.

    The others are the busiest listings of the provider that were asked for all of the silence.
    """
    rows = connection.execute(
        _WITNESSES, {"provider": provider, "ranges": to_multirange(during), "peers": _PEERS}
    ).fetchall()
    return [
        Witness(listing_id, from_range(gap), peer_id, peer, silent and from_range(silent))
        for listing_id, gap, peer_id, peer, silent in rows
    ]


def beyond_habit(
    connection: psycopg.Connection, provider: str, during: Iterable[Interval]
) -> list[Gap]:
    """Return the silences beyond habit of a provider's listings that touch the intervals.

    The least expected come first.
    """
    rows = connection.execute(
        """
        SELECT g.listing_id, g.during, g.expected, g.habit, g.reason, g.company
        FROM ledger.gap g JOIN ledger.listing l ON l.id = g.listing_id
        WHERE l.provider = %s AND g.expected IS NOT NULL AND g.during && %s::tstzmultirange
        ORDER BY g.expected, l.key, g.during
        """,
        [provider, to_multirange(during)],
    ).fetchall()
    return [Gap(listing_id, from_range(range_), *rest) for listing_id, range_, *rest in rows]


def forget_company(
    connection: psycopg.Connection, provider: str, during: Iterable[Interval]
) -> None:
    """Delete the gaps in the intervals that only the silence of others explained."""
    connection.execute(
        """
        DELETE FROM ledger.gap g USING ledger.listing l
        WHERE l.id = g.listing_id AND l.provider = %s AND g.expected IS NULL
          AND g.during && %s::tstzmultirange
        """,
        [provider, to_multirange(during)],
    )


def explain(connection: psycopg.Connection, gaps: Iterable[Gap]) -> None:
    """Keep the reason and the company of gaps that are there."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            UPDATE ledger.gap SET reason = %(reason)s, company = %(company)s
            WHERE listing_id = %(listing_id)s AND during = %(during)s
              AND (reason, company) IS DISTINCT FROM (%(reason)s, %(company)s)
            """,
            [_values(gap) for gap in gaps],
        )


def _intervals(
    connection: psycopg.Connection, statement: str, key: Mapping[str, object]
) -> list[Interval]:
    """Return the multirange that a statement selects; none is empty."""
    row = connection.execute(statement.encode(), key).fetchone()
    return from_multirange(row[0]) if row and row[0] is not None else []


def _values(gap: Gap) -> dict[str, object]:
    return asdict(gap) | {"during": to_range(gap.during)}
