"""Consolidated series in the ledger: what is to be worked out anew, and who serves which minutes.

What belongs here: the statements. Which listing comes first is `pipeline.consolidation`'s, the
order of the steps `pipeline.consolidating`'s, reading the series `store.consolidated_series`'s.
Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg.rows import class_row
from psycopg.types.multirange import Multirange

from pipeline.aggregation import NEVER_OPEN, Market, Spans
from pipeline.calendars import SessionDay
from pipeline.consolidation import Claim
from pipeline.intervals import Interval
from pipeline.store.ranges import from_multirange, to_multirange

_INSTRUMENT = """
SELECT i.id, i.key, i.method, l.id AS lead
FROM ledger.instrument i JOIN ledger.listing l ON l.instrument_id = i.id
WHERE i.id = %s ORDER BY NOT l.in_universe, l.rank, l.id LIMIT 1
"""

_CLAIMS = """
SELECT l.id AS listing_id, l.provider, l.rank, l.in_universe, coalesce(c.bars, 0) AS bars,
       coalesce(ledger.minutes(ledger.delivered(l.id, c.month) * c.open), 0) AS minutes
FROM ledger.listing l LEFT JOIN ledger.coverage c ON c.listing_id = l.id AND c.month = %(month)s
WHERE l.instrument_id = %(instrument)s
"""

_SHARE = """
WITH claim AS MATERIALIZED (
    SELECT l.id AS listing_id, place, l.provider, l.key, l.in_universe, l.first_trade,
           ledger.delivered(l.id, %(month)s) AS delivered
    FROM unnest(%(order)s::integer[]) WITH ORDINALITY AS ordered(id, place)
    JOIN ledger.listing l USING (id)
), placed AS (
    SELECT *, coalesce(range_agg(delivered) OVER (
        ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), '{}') AS taken
    FROM claim
), common AS (
    SELECT coalesce(range_agg(delivered * taken) FILTER (WHERE %(combines)s AND in_universe), '{}')
           AS during FROM placed
), market AS (
    SELECT whole AS month, coalesce(m.open, whole) AS open, (
        SELECT CASE WHEN bool_and(first_trade IS NOT NULL) THEN min(first_trade) END FROM claim
    ) AS first_trade
    FROM ledger.instrument i CROSS JOIN tstzmultirange(tstzrange(%(since)s, %(before)s)) AS whole
    LEFT JOIN ledger.session_month m ON (m.session, m.month) = (i.session, %(month)s)
    WHERE i.id = %(instrument)s
), share AS MATERIALIZED (
    SELECT listing_id, place, first_trade, delivered - taken - common.during AS during
    FROM placed, common
    UNION ALL SELECT NULL, NULL, NULL, during FROM common WHERE NOT isempty(during)
), served AS (
    SELECT range_agg(during) AS during FROM share
), now AS MATERIALIZED (
    SELECT share.listing_id, share.during, why.reason,
           market.month - (served.during - share.during + early.during) * market.open AS alone
    FROM share CROSS JOIN served CROSS JOIN market CROSS JOIN LATERAL (
        -- Somebody may have traded before its own first trade: it does not speak for that time.
        SELECT CASE WHEN share.first_trade > market.first_trade
                         OR share.first_trade IS NOT NULL AND market.first_trade IS NULL
                    THEN tstzmultirange(tstzrange(market.first_trade, share.first_trade))
                    ELSE '{}' END AS during
    ) AS early CROSS JOIN LATERAL (
        SELECT CASE WHEN isempty(share.during) THEN 'nothing is left to it'
                    WHEN share.place IS NULL THEN 'several delivered them'
                    WHEN min(other.place) IS NULL THEN 'comes first'
                    ELSE string_agg(other.provider || ' ' || other.key || ': ' || concat_ws(', ',
                        nullif(ledger.minutes(u.failed * share.during), 0) || ' failed',
                        nullif(ledger.minutes(u.outage * share.during), 0) || ' in an outage',
                        nullif(ledger.minutes(u.unavailable * share.during), 0)
                            || ' no longer served',
                        nullif(ledger.minutes(share.during - u.failed - u.outage - u.unavailable),
                               0) || ' not answered'), '; ' ORDER BY other.place) END AS reason
        FROM placed AS other CROSS JOIN LATERAL ledger.undelivered(other.listing_id, %(month)s) AS u
        WHERE other.place < share.place
    ) AS why WHERE NOT isempty(served.during)
), old AS MATERIALIZED (
    SELECT * FROM ledger.segment WHERE (instrument_id, month) = (%(instrument)s, %(month)s)
), gone AS (
    DELETE FROM ledger.segment WHERE (instrument_id, month) = (%(instrument)s, %(month)s)
        AND coalesce(listing_id, 0) NOT IN (SELECT coalesce(listing_id, 0) FROM now)
), kept AS (
    INSERT INTO ledger.segment AS s (instrument_id, month, listing_id, during, alone, reason)
    SELECT %(instrument)s, %(month)s, listing_id, during, alone, reason FROM now
    ON CONFLICT (instrument_id, month, listing_id) DO UPDATE
    SET during = excluded.during, alone = excluded.alone, reason = excluded.reason
    WHERE (s.during, s.alone, s.reason) <> (excluded.during, excluded.alone, excluded.reason)
), differs AS (
    SELECT coalesce(now.during, '{}') AS now, coalesce(old.during, '{}') AS old
    FROM old FULL JOIN now ON coalesce(now.listing_id, 0) = coalesce(old.listing_id, 0)
    UNION ALL
    SELECT now.alone, old.alone
    FROM old JOIN now ON coalesce(now.listing_id, 0) = coalesce(old.listing_id, 0)
)
SELECT coalesce(range_agg((now - old) + (old - now)), '{}') FROM differs
"""

_COMBINED = """
SELECT during FROM ledger.segment WHERE (instrument_id, month) = (%s, %s) AND listing_id IS NULL
"""

# A listing that is not spoken of in a month speaks for none of it.
_SHARED = """
WITH known AS (
    SELECT DISTINCT s.month FROM ledger.segment s
    WHERE s.instrument_id = %(instrument)s
      AND s.month BETWEEN ledger.month_of(%(since)s) AND ledger.month_of(%(before)s)
)
SELECT range_agg(tstzmultirange(tstzrange(
           known.month::timestamp AT TIME ZONE 'UTC',
           (known.month + interval '1 month') AT TIME ZONE 'UTC')) - coalesce(s.alone, '{}'))
FROM ledger.instrument i JOIN ledger.listing l ON l.instrument_id = i.id AND l.session = i.session
CROSS JOIN known
LEFT JOIN ledger.segment s ON s.listing_id = l.id AND s.month = known.month
WHERE i.id = %(instrument)s
GROUP BY l.id
"""

# Nothing is expected before the earliest first trade, once it is known of all listings.
_MARKET = """
SELECT coalesce(range_agg(s.open), '{}'), coalesce(range_agg(s.open * life.ranges), '{}'),
       coalesce(range_agg(s.open * life.ranges * answered.ranges), '{}')
FROM ledger.instrument i JOIN ledger.session_month s ON s.session = i.session
CROSS JOIN LATERAL (
    SELECT tstzmultirange(tstzrange(
        CASE WHEN bool_and(first_trade IS NOT NULL) THEN min(first_trade) END, NULL)) AS ranges
    FROM ledger.listing WHERE instrument_id = i.id
) AS life
CROSS JOIN LATERAL (
    SELECT coalesce(range_agg(c.answered), '{}') AS ranges
    FROM ledger.listing l JOIN ledger.coverage c ON c.listing_id = l.id AND c.month = s.month
    WHERE l.instrument_id = i.id
) AS answered
WHERE i.id = %(instrument)s
  AND s.month BETWEEN ledger.month_of(%(since)s) AND ledger.month_of(%(before)s)
"""


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument whose listings are made one series.

    Attributes:
        id: Its number in the ledger.
        key: Its name in the universe file.
        method: The name of the method.
        lead: Number of its first listing, whose session is the instrument's.
    """

    id: int
    key: str
    method: str
    lead: int


def note_unconsolidated(
    connection: psycopg.Connection, listing_id: int, pieces: Sequence[Interval]
) -> None:
    """Have some minutes of a listing's instrument worked out anew."""
    connection.execute(
        "INSERT INTO ledger.unconsolidated (instrument_id, during)"
        " SELECT instrument_id, %s::tstzmultirange FROM ledger.listing WHERE id = %s",
        [to_multirange(pieces), listing_id],
    )


def instrument_of(connection: psycopg.Connection, instrument_id: int) -> Instrument:
    """Return an instrument that has listings.

    Raises:
        KeyError: There is none of that number.
    """
    with connection.cursor(row_factory=class_row(Instrument)) as cursor:
        found = cursor.execute(_INSTRUMENT, [instrument_id]).fetchone()
    if found is None:
        raise KeyError(f"the ledger has no instrument {instrument_id} with a listing")
    return found


def claims(connection: psycopg.Connection, instrument_id: int, month: date) -> list[Claim]:
    """Return what each listing of an instrument has of a month."""
    with connection.cursor(row_factory=class_row(Claim)) as cursor:
        row = {"instrument": instrument_id, "month": month}
        return cursor.execute(_CLAIMS, row).fetchall()


def share(
    connection: psycopg.Connection,
    instrument_id: int,
    month: date,
    order: Sequence[int],
    *,
    combines: bool,
) -> list[Interval]:
    """Work out who serves which minutes of a month, and keep it; return where that has changed.

    Args:
        connection: An open connection, inside a transaction.
        instrument_id: The instrument.
        month: First day of the month.
        order: Numbers of its listings: each serves what it delivered and none before it did.
        combines: What several delivered is nobody's, but to be combined.
    """
    whole = Interval.month(month)
    row = {
        "instrument": instrument_id,
        "month": month,
        "since": whole.start,
        "before": whole.end,
        "order": list(order),
        "combines": combines,
    }
    found = connection.execute(_SHARE, row).fetchone()
    return from_multirange(found[0]) if found else []


def combined(connection: psycopg.Connection, instrument_id: int, month: date) -> list[Interval]:
    """Return the minutes of a month that are nobody's, but to be combined."""
    row = connection.execute(_COMBINED, [instrument_id, month]).fetchone()
    return [] if row is None else from_multirange(row[0])


def shared(
    connection: psycopg.Connection, instrument_id: int, during: Interval
) -> list[list[Interval]]:
    """Return the minutes for which a listing does not speak alone, of the months of a time.

    One element for each listing with the session of the instrument, whose own bars above a minute
    can be the instrument's: those over none of these minutes.
    """
    row = {"instrument": instrument_id, "since": during.start, "before": during.end}
    return [from_multirange(ranges) for (ranges,) in connection.execute(_SHARED, row)]


def market_of(
    connection: psycopg.Connection, instrument_id: int, days: Sequence[SessionDay]
) -> Market:
    """Return when an instrument should have bars around some days, and somebody has answered."""
    if not days:
        return NEVER_OPEN
    row = {"instrument": instrument_id, "since": days[0].start, "before": days[-1].end}
    found = connection.execute(_MARKET, row).fetchone() or (Multirange(),) * 3
    open_, expected, answered = (Spans(from_multirange(ranges)) for ranges in found)
    return Market(days, open_, expected, answered)
