"""Providers' market lists in the ledger: each market that was ever listed, and what changed.

What belongs here: reading and writing. What is new in a list is `pipeline.market_lists`' business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from pipeline.market_lists import (
    Change,
    KnownMarket,
    SuspiciousList,
    changes,
    check_whole,
    distinct,
)
from pipeline.providers.protocol import Market
from pipeline.symbols.index import MarketIndex
from pipeline.symbols.listings import ListingState, Move, state_of
from pipeline.symbols.verdict import Listed
from pipeline.universe import Universe

_KNOWN = """
SELECT provider, asset_class, symbol, base, quote, contract, name, native_id, spellings, active,
       first_seen, last_seen, vanished_at
FROM ledger.market WHERE provider = ANY(%s) ORDER BY provider, asset_class, symbol
"""

_UPSERT = """
INSERT INTO ledger.market (provider, asset_class, symbol, instrument, base, quote, contract, name,
                           native_id, spellings, active, first_seen, last_seen)
SELECT %(provider)s, asset_class, symbol, key, base, quote, contract, name, id, spellings, active,
       %(now)s, %(now)s
FROM jsonb_to_recordset(%(markets)s) AS listed(
    asset_class text, symbol text, key text, base text, quote text, contract text, name text,
    id text, spellings text[], active boolean)
ON CONFLICT (provider, asset_class, symbol) DO UPDATE
SET instrument = excluded.instrument, base = excluded.base, quote = excluded.quote,
    contract = excluded.contract, name = excluded.name, native_id = excluded.native_id,
    spellings = excluded.spellings, active = excluded.active, last_seen = excluded.last_seen,
    vanished_at = NULL,
    first_seen = CASE WHEN market.native_id <> excluded.native_id THEN excluded.first_seen
                      ELSE market.first_seen END
"""

_VANISH = """
UPDATE ledger.market SET vanished_at = %(now)s
WHERE provider = %(provider)s AND vanished_at IS NULL AND last_seen < %(now)s
"""

_CHANGE = """
INSERT INTO ledger.market_change
    (provider, at, change, asset_class, symbol, instrument, old_symbol, sure, evidence)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

_RENAMED = """
SELECT DISTINCT ON (asset_class, coalesce(old_symbol, symbol))
       asset_class, coalesce(old_symbol, symbol) AS symbol, change, at, sure, evidence,
       CASE WHEN change = 'renamed' THEN symbol END AS new_symbol
FROM ledger.market_change
WHERE provider = %s AND change IN ('renamed', 'replaced')
ORDER BY asset_class, coalesce(old_symbol, symbol), at DESC, change DESC
"""


def known_markets(
    connection: psycopg.Connection, providers: Iterable[str]
) -> Mapping[str, Sequence[KnownMarket]]:
    """Return all that the ledger knows of the markets of providers; nothing of the others."""
    found: dict[str, list[KnownMarket]] = {}
    with connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(_KNOWN, [list(providers)]):
            found.setdefault(row.pop("provider"), []).append(_known(row))
    return found


def keep_list(
    connection: psycopg.Connection,
    provider: str,
    listed: Sequence[Market],
    now: datetime,
    *,
    accept_short: bool = False,
) -> Sequence[Change]:
    """Keep a provider's list, in one transaction, and return what changed.

    Harmless when done twice with the same time.

    Args:
        connection: An open connection.
        provider: The provider's name in the universe.
        listed: All its markets.
        now: When they were listed; UTC.
        accept_short: Believe the list however short it is.

    Raises:
        SuspiciousList: It cannot be whole; nothing is changed.
    """
    with connection.transaction():
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('market list of ' || %s, 0))", [provider]
        )
        known = known_markets(connection, [provider]).get(provider, [])
        latest = max((one.last_seen for one in known), default=None)
        if latest is not None and now < latest:
            raise SuspiciousList(
                f"a list of {latest:%Y-%m-%d %H:%M:%S} UTC, which is later, is kept"
            )
        if not accept_short:
            check_whole(known, listed)
        found = changes(known, listed)
        _write(connection, provider, distinct(listed).values(), found, now)
    return found


def market_index(connection: psycopg.Connection, providers: Iterable[str]) -> MarketIndex:
    """Return the kept lists of providers, to be searched by name."""
    return MarketIndex(
        Listed(provider, one.market, one.vanished_at is not None)
        for provider, known in known_markets(connection, providers).items()
        for one in known
    )


def listing_states(
    connection: psycopg.Connection, universe: Universe, provider: str, index: MarketIndex
) -> Sequence[ListingState]:
    """Return what a provider's kept list says of each of its listings."""
    moves = _moves(connection, provider)
    rows = connection.execute(
        "SELECT key, created_at FROM ledger.listing WHERE provider = %s", [provider]
    )
    since = {str(key): created_at for key, created_at in rows}
    specs = universe.listings(provider)
    return [state_of(spec, index, moves, since.get(spec.key)) for spec in specs]


def _moves(connection: psycopg.Connection, provider: str) -> Mapping[tuple[str, str], Move]:
    """Return what became of symbols that were renamed or given away, by asset class and symbol."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return {
            (row["asset_class"], row["symbol"]): Move(
                row["at"], row["new_symbol"], row["sure"], row["evidence"]
            )
            for row in cursor.execute(_RENAMED, [provider])
        }


def _write(
    connection: psycopg.Connection,
    provider: str,
    listed: Iterable[Market],
    found: Iterable[Change],
    now: datetime,
) -> None:
    markets = Jsonb([asdict(market) | {"key": market.key} for market in listed])
    row: dict[str, Any] = {"provider": provider, "now": now, "markets": markets}
    connection.execute(_UPSERT, row)
    connection.execute(_VANISH, row)
    with connection.cursor() as cursor:
        cursor.executemany(_CHANGE, [_row_of(provider, now, change) for change in found])


def _row_of(provider: str, now: datetime, change: Change) -> Sequence[object]:
    market = change.market
    return (
        provider,
        now,
        change.kind,
        market.asset_class,
        market.symbol,
        market.key,
        change.old_symbol,
        change.sure,
        change.evidence or None,
    )


def _known(row: dict[str, Any]) -> KnownMarket:
    times = {name: row.pop(name) for name in ("first_seen", "last_seen", "vanished_at")}
    row["id"], row["spellings"] = row.pop("native_id"), tuple(row["spellings"])
    return KnownMarket(Market(**row), **times)
