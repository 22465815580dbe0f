"""What is still to be asked: wanted minus covered, for one cell or for all of a provider.

What belongs here: the one query that decides which minutes are open. Extending coverage belongs to
the transaction that writes the bars (`deliveries`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import psycopg

from pipeline.intervals import Interval
from pipeline.settling import Settling
from pipeline.store.cells import Cell
from pipeline.store.ranges import from_multirange, to_range

_ONE_CELL = """
SELECT %(listing)s::integer AS listing_id, %(month)s::date AS month, %(wanted)s::tstzrange AS wanted
"""

_LIFE = """
    SELECT id, tstzrange(start, greatest(start, least(ends_at, %(final)s::timestamptz))) AS wanted
    FROM ledger.listing, greatest(starts_at, first_trade) AS start
    WHERE provider = %(provider)s AND in_universe
      AND key = ANY(coalesce(%(listings)s::text[], ARRAY[key]))
"""

# Of the months that are finished those are looked at in which something has failed.
_BEGUN_CELLS = f"""
SELECT l.id AS listing_id, begun.month,
       l.wanted * tstzrange(begun.month, begun.month + interval '1 month') AS wanted
FROM ({_LIFE}) AS l JOIN (
    SELECT listing_id, month FROM ledger.coverage WHERE NOT finished
    UNION ALL
    SELECT DISTINCT f.listing_id, of.month
    FROM ledger.fetch_failure f, ledger.month_of(lower(f.during)) AS of(month)
    WHERE NOT EXISTS (SELECT FROM ledger.coverage c
                      WHERE (c.listing_id, c.month) = (f.listing_id, of.month) AND NOT finished)
) AS begun ON begun.listing_id = l.id
  AND l.wanted && tstzrange(begun.month, begun.month + interval '1 month')
"""  # noqa: S608 - made of constants

_ALL_CELLS = f"""
SELECT l.id AS listing_id, month::date AS month,
       l.wanted * tstzrange(month, month + interval '1 month') AS wanted
FROM ({_LIFE}) AS l, generate_series(date_trunc('month', lower(l.wanted), 'UTC'),
                        upper(l.wanted) - interval '1 minute', interval '1 month') AS month
"""  # noqa: S608 - made of constants

_NAMED_CELLS = """
SELECT l.id AS listing_id, named.month,
       tstzrange(start, greatest(start, least(ends_at, %(final)s::timestamptz)))
           * tstzrange(named.month, named.month + interval '1 month')
           * tstzrange(%(edge)s::timestamptz, NULL) AS wanted
FROM unnest(%(keys)s::text[], %(months)s::date[]) AS named(key, month)
JOIN ledger.listing l ON l.key = named.key AND l.provider = %(provider)s AND l.in_universe,
     greatest(starts_at, first_trade) AS start
"""

# Of a standby only what it is needed for: `l` is the listing, `s` the month, `n` its need.
ASKED = "CASE WHEN l.standby IS NULL THEN s.asked ELSE coalesce(n.wanted, '{}') END"

# Most cells are settled from end to end: nothing more is looked at of these. A failure lies in one
# month, as every question does.
_WORK = """
WITH cell AS ({cells}), open AS (
    SELECT cell.*, role.asked, s.open AS expected, coalesce(c.answered, '{{}}') AS answered,
           coalesce(c.settled, '{{}}') AS settled, coalesce(c.unavailable, '{{}}') AS unavailable
    FROM cell JOIN ledger.listing l ON l.id = cell.listing_id
    JOIN ledger.session_month s ON (s.session, s.month) = (l.session, cell.month)
    LEFT JOIN ledger.need n ON (n.listing_id, n.month) = (cell.listing_id, cell.month)
    LEFT JOIN ledger.coverage c ON (c.listing_id, c.month) = (cell.listing_id, cell.month)
    CROSS JOIN LATERAL (SELECT {asked} AS asked) AS role
    WHERE %(again)s OR c.listing_id IS NULL
       OR CASE WHEN cell.wanted <@ (c.settled + c.unavailable) THEN false
               ELSE NOT tstzmultirange(cell.wanted) * role.asked <@ (c.settled + c.unavailable) END
       OR (cell.listing_id, cell.month) IN (
            SELECT listing_id, date_trunc('month', lower(during), 'UTC')::date
            FROM ledger.fetch_failure)
), judged AS (
    SELECT open.*, failed, tstzmultirange(wanted) - unavailable - held AS askable,
           (tstzmultirange(wanted) * asked - unavailable - held)
               - CASE WHEN %(again)s THEN '{{}}' ELSE answered - failed - due END AS needed
    FROM open
    CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(during), '{{}}') AS failed,
               coalesce(range_agg(during) FILTER (
                   WHERE %(only_due)s AND coalesce(next_attempt_at, 'infinity') > %(now)s
               ), '{{}}') AS held
        FROM ledger.fetch_failure f
        WHERE f.listing_id = open.listing_id AND f.during && open.wanted
    ) AS failures
    CROSS JOIN LATERAL (
        SELECT coalesce(range_agg((answered - settled - coalesce(s.checked, '{{}}'))
                                  * tstzmultirange(tstzrange(since, greatest(since, step.before)))
                        ), '{{}}') AS due
        FROM CAST(%(reach)s AS timestamptz) AS since
        CROSS JOIN unnest(%(delays)s::interval[], %(due)s::timestamptz[]) AS step(delay, before)
        LEFT JOIN ledger.settling s
          ON (s.listing_id, s.month, s.delay) = (open.listing_id, open.month, step.delay)
        WHERE NOT isempty(answered)
    ) AS checks
)
"""

_EACH = """
SELECT listing_id, month, needed, askable, answered FROM judged WHERE NOT isempty(needed)
"""

# Not what comes after the newest answered minute of a listing that lives, nor, where somebody has
# been at work of late, what is merely left: that will be asked for anyway.
_DUE = """
SELECT l.key, judged.month, lower(needed)
FROM judged JOIN ledger.listing l ON l.id = judged.listing_id
LEFT JOIN ledger.coverage c ON (c.listing_id, c.month) = (judged.listing_id, judged.month)
CROSS JOIN LATERAL (
    SELECT coalesce(max(upper(a.answered)), '-infinity') AS until FROM ledger.coverage a
    WHERE a.listing_id = judged.listing_id AND a.month >= judged.month
) AS known
WHERE NOT isempty(needed) AND (
    needed && (judged.answered + failed)
    OR coalesce(c.updated_at, '-infinity') < %(now)s - %(quiet)s AND NOT needed <@ (
        judged.answered + failed + CASE WHEN l.ends_at <= %(final)s THEN '{}'
                                   ELSE tstzmultirange(tstzrange(known.until, NULL)) END))
ORDER BY 1, 2
"""

# Cells of different listings are mostly alike: few are told apart here, and none in Python.
_ALIKE = """, habit AS (
    SELECT listing_id, sum(bars)::double precision AS bars,
           nullif(sum(answered_minutes), 0)::double precision AS answered
    FROM ledger.coverage
    WHERE listing_id IN (SELECT id FROM ledger.listing WHERE provider = %(provider)s)
    GROUP BY listing_id
)
SELECT needed, askable, needed * expected - judged.answered AS new,
       count(*) AS cells,
       sum(coalesce(bars / habit.answered, (SELECT sum(bars) / sum(answered) FROM habit))) AS habit
FROM judged LEFT JOIN habit USING (listing_id)
WHERE NOT isempty(needed)
GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which minutes count as covered.

    Attributes:
        now: The present, UTC.
        settling: When answered minutes are asked again.
        only_due: Leave out failed ranges whose next attempt is not due, or that were given up.
        again: Count nothing as covered: everything that can be had is asked for again.
        leisure: How much longer than they have to settling checks wait.
    """

    now: datetime
    settling: Settling
    only_due: bool = False
    again: bool = False
    leisure: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be asked of one listing and month.

    Attributes:
        listing_id: The listing.
        month: First day of the month.
        needed: What has to be asked for, in order of time; of open and extended hours.
        askable: What may be asked for along with it, `needed` included, in order of time; closed
            hours too.
        answered: What has been answered before of the month, in order of time.
    """

    listing_id: int
    month: date
    needed: Sequence[Interval]
    askable: Sequence[Interval]
    answered: Sequence[Interval] = ()


@dataclass(frozen=True, slots=True)
class AlikeWork:
    """What is to be asked of several cells of which the same is to be asked.

    Attributes:
        needed: What has to be asked for of each, in order of time.
        askable: What may be asked for along with it, `needed` included, in order of time.
        new: What of `needed` is expected to have bars and was never answered, in order of time.
        cells: How many cells.
        habit: The share of answered minutes that had a bar so far, summed over the cells: that of
            the listing, else of its provider; None while the provider has answered nothing.
    """

    needed: Sequence[Interval]
    askable: Sequence[Interval]
    new: Sequence[Interval]
    cells: int
    habit: float | None


def work_of(
    connection: psycopg.Connection, listing_id: int, wanted: Interval, rules: Rules
) -> Work:
    """Return what is to be asked of the wanted minutes, which are of one calendar month."""
    month = wanted.start.date().replace(day=1)
    cell = {"listing": listing_id, "month": month, "wanted": to_range(wanted)}
    found = _work(connection, _ONE_CELL, cell, rules, reach=None)
    return found[0] if found else Work(listing_id, month, (), ())


def find_work(
    connection: psycopg.Connection,
    provider: str,
    rules: Rules,
    *,
    final: datetime,
    reach: datetime | None,
    listings: Collection[str] | None = None,
    begun: bool = False,
) -> list[Work]:
    """Return every cell of a provider in which something is to be asked, of whatever age.

    Args:
        connection: An open connection.
        provider: The provider.
        rules: Which minutes count as covered.
        final: Minutes before this one are final by the clock.
        reach: Minutes before this one can no longer be asked for; those of them that were never
            answered are returned nevertheless, to be noted as unavailable. None: all history.
        listings: Keys of the listings to look at; None for all in the universe.
        begun: Leave out cells of which nothing was asked yet.
    """
    cells = {
        "provider": provider,
        "final": final,
        "listings": None if listings is None else sorted(listings),
    }
    return _work(connection, _BEGUN_CELLS if begun else _ALL_CELLS, cells, rules, reach)


def find_due_cells(
    connection: psycopg.Connection,
    provider: str,
    rules: Rules,
    *,
    final: datetime,
    reach: datetime | None,
    quiet: timedelta,
) -> dict[Cell, datetime]:
    """Return the cells of a provider in which something that was asked for before is due again.

    That is a failed range, a settling check, or what was left before the newest answered minute.
    Cells of which nothing was asked yet are not among them.

    Args:
        connection: An open connection.
        provider: The provider.
        rules: Which minutes count as covered.
        final: Minutes before this one are final by the clock.
        reach: Minutes before this one can no longer be asked for; None: all history.
        quiet: How long nothing has come of a cell of which something was merely left.

    Returns:
        Each with the first minute of it that is to be asked for, UTC.
    """
    cells = {"provider": provider, "final": final, "listings": None, "quiet": quiet}
    parameters = cells | {"reach": reach}
    found = _execute(connection, _BEGUN_CELLS, _DUE, parameters, rules)
    return {Cell(key, month): since for key, month, since in found}


def alike_work(
    connection: psycopg.Connection,
    provider: str,
    cells: Collection[Cell],
    rules: Rules,
    *,
    final: datetime,
    reach: datetime | None,
) -> list[AlikeWork]:
    """Return what is to be asked of some cells of a provider, cells that are alike together.

    Args:
        connection: An open connection.
        provider: The provider.
        cells: The cells; what is not in the universe counts for nothing.
        rules: Which minutes count as covered.
        final: Minutes before this one are final by the clock.
        reach: Minutes before this one can no longer be asked for; None: all history.
    """
    named = {
        "provider": provider,
        "final": final,
        "edge": reach,
        "reach": None,
        "keys": [cell.listing for cell in cells],
        "months": [cell.month for cell in cells],
    }
    rows = _execute(connection, _NAMED_CELLS, _ALIKE, named, rules)
    return [
        AlikeWork(
            from_multirange(needed), from_multirange(askable), from_multirange(new), count, habit
        )
        for needed, askable, new, count, habit in rows
    ]


def _work(
    connection: psycopg.Connection,
    cells: str,
    parameters: dict[str, object],
    rules: Rules,
    reach: datetime | None,
) -> list[Work]:
    rows = _execute(connection, cells, _EACH, parameters | {"reach": reach}, rules)
    return [
        Work(listing_id, month, *map(from_multirange, ranges))
        for listing_id, month, *ranges in rows
    ]


def _execute(
    connection: psycopg.Connection,
    cells: str,
    select: str,
    parameters: dict[str, object],
    rules: Rules,
) -> psycopg.Cursor[tuple[Any, ...]]:
    return connection.execute(
        (_WORK.format(cells=cells, asked=ASKED) + select).encode(),
        parameters
        | {
            "now": rules.now,
            "delays": list(rules.settling.delays),
            "due": list(rules.settling.due(rules.now - rules.leisure)),
            "only_due": rules.only_due,
            "again": rules.again,
        },
    )
