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

_UPSERT_INSTRUMENT = """
INSERT INTO ledger.instrument (key, asset_class, name, method) VALUES (%s, %s, %s, %s)
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

_UPSERT_LISTING = """
INSERT INTO ledger.listing
    (instrument_id, provider, key, symbol, session, standby, rank, starts_at, ends_at)
SELECT id, %(provider)s, %(key)s, %(symbol)s, %(session)s, %(standby)s, %(rank)s, %(start)s, %(end)s
FROM ledger.instrument WHERE key = %(instrument)s
ON CONFLICT (provider, key) DO UPDATE
SET symbol = excluded.symbol, session = excluded.session, standby = excluded.standby,
    rank = excluded.rank, in_universe = true,
    starts_at = excluded.starts_at, ends_at = excluded.ends_at,
    first_trade = CASE WHEN listing.symbol = excluded.symbol THEN listing.first_trade END,
    first_trade_checked_at =
        CASE WHEN listing.symbol = excluded.symbol THEN listing.first_trade_checked_at END
"""

_RELABELLED = """
SELECT l.provider, l.key, l.symbol, i.key AS instrument
FROM ledger.listing l JOIN ledger.instrument i ON i.id = l.instrument_id
WHERE (l.provider, l.key) = (%(provider)s, %(key)s)
  AND (l.symbol, i.key) IS DISTINCT FROM (%(symbol)s, %(instrument)s)
  AND EXISTS (SELECT 1 FROM ledger.coverage c WHERE c.listing_id = l.id AND NOT isempty(c.answered))
"""


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
        for key, instrument in universe.instruments.items():
            method = instrument.consolidate or universe.consolidate
            row = [key, instrument.asset_class, instrument.name, method]
            connection.execute(_UPSERT_INSTRUMENT, row)
        for spec in specs:
            _sync_listing(connection, spec)
        connection.execute(
            """
            UPDATE ledger.listing SET in_universe = false
            WHERE in_universe
              AND (provider, key) NOT IN (SELECT * FROM unnest(%s::text[], %s::text[]))
            """,
            [[spec.provider for spec in specs], [spec.key for spec in specs]],
        )
        connection.execute(_SESSIONS)
        follow_sessions(connection)
        sync_timeframes(connection, in_order(universe.timeframes))
        others = sync_subjects(connection, universe.fundamentals())
        if sync_strategy(connection, universe.combine):
            recombinations.note(connection, None)
        elif others:
            recombinations.note(connection, others)


def _sync_listing(connection: psycopg.Connection, spec: ListingSpec) -> None:
    row = {
        "provider": spec.provider,
        "key": spec.key,
        "symbol": spec.symbol,
        "instrument": spec.instrument,
        "session": spec.session,
        "standby": spec.standby,
        "rank": spec.rank,
        "start": spec.start,
        "end": spec.end,
    }
    other = connection.execute(_RELABELLED, row).fetchone()
    if other is not None:
        raise RelabelledListing(
            f"universe: listing {spec.key!r} of {spec.provider} is now {spec.instrument} "
            f"{spec.symbol!r}, but its stored history is of {other[3]} {other[2]!r}; "
            "give the new market another `key:`, the stored history keeps its name"
        )
    connection.execute(_UPSERT_LISTING, row)


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
