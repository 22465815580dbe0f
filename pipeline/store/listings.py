"""Instruments and listings in the ledger: kept in step with the universe file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from pipeline.listing import Listing
from pipeline.store import recombinations
from pipeline.store.recombinations import sync_strategy
from pipeline.store.sessions import follow_sessions, sync_sessions
from pipeline.store.subjects import sync_subjects
from pipeline.timeframes import in_order
from pipeline.universe import ListingSpec, Universe

_SELECT = """
SELECT l.id, l.provider, l.key, l.symbol, i.asset_class, l.starts_at, l.ends_at, l.first_trade,
       l.first_trade_checked_at, l.in_universe, l.standby
FROM ledger.listing l JOIN ledger.instrument i ON i.id = l.instrument_id
"""

_UPSERT_INSTRUMENTS = """
INSERT INTO ledger.instrument (key, asset_class, name, method)
SELECT key, asset_class, name, method
FROM unnest(%(keys)s::text[], %(classes)s::text[], %(names)s::text[], %(methods)s::text[])
     WITH ORDINALITY AS wanted(key, asset_class, name, method, place)
ORDER BY place
ON CONFLICT (key) DO UPDATE
SET asset_class = excluded.asset_class, name = excluded.name, method = excluded.method
WHERE (instrument.asset_class, instrument.name, instrument.method)
      IS DISTINCT FROM (excluded.asset_class, excluded.name, excluded.method)
"""

_UPSERT_PROVIDER = """
INSERT INTO ledger.provider AS p (name, lag, refresh) VALUES (%s, %s, %s)
ON CONFLICT (name) DO UPDATE SET lag = excluded.lag, refresh = excluded.refresh
WHERE (p.lag, p.refresh) <> (excluded.lag, excluded.refresh)
"""

_SESSIONS = """
UPDATE ledger.instrument i SET session = lead.session
FROM (SELECT DISTINCT ON (instrument_id) instrument_id AS id, session FROM ledger.listing
      ORDER BY instrument_id, NOT in_universe, rank, id) AS lead
WHERE lead.id = i.id AND i.session IS DISTINCT FROM lead.session
"""

_WANTED = """
WITH wanted AS (
    SELECT w.*, i.id AS instrument_id
    FROM unnest(%(instruments)s::text[], %(providers)s::text[], %(keys)s::text[],
                %(symbols)s::text[], %(sessions)s::text[], %(standbys)s::integer[],
                %(ranks)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
         WITH ORDINALITY AS w(instrument, provider, key, symbol, session, standby, rank, starts_at,
                              ends_at, place)
    JOIN ledger.instrument i ON i.key = w.instrument
)
"""

_UPSERT_LISTINGS = f"""
{_WANTED}
INSERT INTO ledger.listing AS l
    (instrument_id, provider, key, symbol, session, standby, rank, starts_at, ends_at)
SELECT instrument_id, provider, key, symbol, session, standby, rank, starts_at, ends_at
FROM wanted ORDER BY place
ON CONFLICT (provider, key) DO UPDATE
SET instrument_id = excluded.instrument_id, symbol = excluded.symbol, session = excluded.session,
    standby = excluded.standby, rank = excluded.rank, in_universe = true,
    starts_at = excluded.starts_at, ends_at = excluded.ends_at,
    first_trade = CASE WHEN l.symbol = excluded.symbol THEN l.first_trade END,
    first_trade_checked_at =
        CASE WHEN l.symbol = excluded.symbol THEN l.first_trade_checked_at END
WHERE (l.instrument_id, l.symbol, l.session, l.standby, l.rank, l.in_universe, l.starts_at,
       l.ends_at)
      IS DISTINCT FROM (excluded.instrument_id, excluded.symbol, excluded.session, excluded.standby,
                        excluded.rank, true, excluded.starts_at, excluded.ends_at)
"""  # noqa: S608 - made of constants

_NO_LONGER = """
UPDATE ledger.listing SET in_universe = false
WHERE in_universe AND (provider, key) NOT IN (
    SELECT * FROM unnest(%(providers)s::text[], %(keys)s::text[]))
"""

_RELABELLED = f"""
{_WANTED}
SELECT w.provider, w.key, w.instrument, w.symbol, i.key, l.symbol
FROM wanted w JOIN ledger.listing l ON (l.provider, l.key) = (w.provider, w.key)
JOIN ledger.instrument i ON i.id = l.instrument_id
WHERE (l.symbol, l.instrument_id) IS DISTINCT FROM (w.symbol, w.instrument_id)
  AND EXISTS (SELECT 1 FROM ledger.coverage c WHERE c.listing_id = l.id AND NOT isempty(c.answered))
ORDER BY w.place LIMIT 1
"""  # noqa: S608 - made of constants


class RelabelledListing(Exception):
    """The universe gives the key of a listing with stored history to another market."""


def sync_universe(connection: psycopg.Connection, universe: Universe) -> None:
    """Bring the ledger's listings in step with the universe, in one transaction.

    Listings that the universe no longer names keep their history and are only marked.

    Raises:
        ValueError: A session is not known for as far back as a listing starts.
        RelabelledListing: A key with stored history now means another market; nothing is changed.
        TimeframeInUse: A timeframe that is no longer wanted is being read; nothing is changed.
    """
    # Who only reads listings should not wait for Arrow.
    from pipeline.store.timeframes import sync_timeframes

    specs = universe.listings()
    with connection.transaction():
        first = min((spec.start for spec in specs), default=universe.start)
        sync_sessions(connection, universe.sessions_used(), first.date())
        for provider in universe.bar_providers:
            connection.execute(_UPSERT_PROVIDER, [provider, *universe.pace(provider)])
        connection.execute(_UPSERT_INSTRUMENTS, _instruments(universe))
        wanted = _columns(specs)
        _require_same_markets(connection, wanted)
        connection.execute(_UPSERT_LISTINGS, wanted)
        connection.execute(_NO_LONGER, wanted)
        connection.execute(_SESSIONS)
        follow_sessions(connection)
        sync_timeframes(connection, in_order(universe.timeframes))
        others = sync_subjects(connection, universe.fundamentals())
        if sync_strategy(connection, universe.combine):
            recombinations.note(connection, None)
        elif others:
            recombinations.note(connection, others)


def _instruments(universe: Universe) -> dict[str, Sequence[object]]:
    found = universe.instruments.values()
    return {
        "keys": list(universe.instruments),
        "classes": [instrument.asset_class for instrument in found],
        "names": [instrument.name for instrument in found],
        "methods": [instrument.consolidate or universe.consolidate for instrument in found],
    }


def _columns(specs: Sequence[ListingSpec]) -> dict[str, Sequence[object]]:
    return {
        "instruments": [spec.instrument for spec in specs],
        "providers": [spec.provider for spec in specs],
        "keys": [spec.key for spec in specs],
        "symbols": [spec.symbol for spec in specs],
        "sessions": [spec.session for spec in specs],
        "standbys": [spec.standby for spec in specs],
        "ranks": [spec.rank for spec in specs],
        "starts": [spec.start for spec in specs],
        "ends": [spec.end for spec in specs],
    }


def _require_same_markets(
    connection: psycopg.Connection, wanted: dict[str, Sequence[object]]
) -> None:
    other = connection.execute(_RELABELLED, wanted).fetchone()
    if other is not None:
        provider, key, instrument, symbol, stored_instrument, stored_symbol = other
        raise RelabelledListing(
            f"universe: listing {key!r} of {provider} is now {instrument} {symbol!r}, but its "
            f"stored history is of {stored_instrument} {stored_symbol!r}; give the new market "
            "another `key:`, the stored history keeps its name"
        )


def listings(
    connection: psycopg.Connection, provider: str, keys: Iterable[str] | None = None
) -> Sequence[Listing]:
    """Return a provider's listings, sorted by key: those named, or all that the universe has.

    Raises:
        KeyError: A named key is not in the ledger.
    """
    with connection.cursor(row_factory=class_row(Listing)) as cursor:
        if keys is None:
            cursor.execute(
                _SELECT + "WHERE provider = %s AND in_universe ORDER BY l.key", [provider]
            )
            return cursor.fetchall()
        wanted = sorted(set(keys))
        cursor.execute(
            _SELECT + "WHERE provider = %s AND l.key = ANY(%s) ORDER BY l.key", [provider, wanted]
        )
        found = cursor.fetchall()
    missing = set(wanted) - {listing.key for listing in found}
    if missing:
        raise KeyError(
            f"{provider} has no listing {', '.join(sorted(missing))} in the ledger; "
            "add it to the universe file and run `minuteledger migrate`"
        )
    return found


def listings_named(
    connection: psycopg.Connection, key: str | None = None, provider: str | None = None
) -> Sequence[tuple[int, str, str]]:
    """Return number, provider and key of listings, also of those no longer in the universe.

    Args:
        connection: An open connection.
        key: The listing's key; None for any.
        provider: Its provider; None for any.
    """
    return connection.execute(
        """
        SELECT id, provider, key FROM ledger.listing
        WHERE key = coalesce(%s::text, key) AND provider = coalesce(%s::text, provider)
        ORDER BY provider, key
        """,
        [key, provider],
    ).fetchall()


def save_first_trade(
    connection: psycopg.Connection,
    listing: Listing,
    first_trade: datetime | None,
    evidence: str | None,
    checked_at: datetime,
) -> None:
    """Keep what the provider said about a listing's first trade (None: it could not be found)."""
    connection.execute(
        """
        UPDATE ledger.listing
        SET first_trade = %s, first_trade_evidence = %s, first_trade_checked_at = %s WHERE id = %s
        """,
        [first_trade, evidence, checked_at, listing.id],
    )
