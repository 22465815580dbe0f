"""What other listings of a provider did during a silence, in SQL.

What belongs here: the statements. Who was silent together, and what that says, is decided in
`pipeline.company`. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from pipeline.intervals import Interval
from pipeline.store.gaps import Gap
from pipeline.store.ranges import from_multirange, from_range, to_multirange

_PEERS = 20
"""An outage shows in the busiest of a provider's listings; asking a thousand shows no more."""

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


def near(
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


def _intervals(
    connection: psycopg.Connection, statement: str, key: Mapping[str, object]
) -> list[Interval]:
    """Return the multirange that a statement selects."""
    row = connection.execute(statement.encode(), key).fetchone()
    return from_multirange(row[0]) if row else []
