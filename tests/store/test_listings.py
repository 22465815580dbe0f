"""Listings kept in step with the universe, on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pipeline.store.database import Database
from pipeline.store.listings import RelabelledListing, sync_universe
from pipeline.universe import Universe

BITFINEX, KRAKEN = "bitfinex", "kraken"


class Counting(psycopg.Connection[tuple[Any, ...]]):
    """A connection that counts what is executed on it."""

    executed = 0

    def execute(self, *arguments: Any, **options: Any) -> psycopg.Cursor[tuple[Any, ...]]:
        self.executed += 1
        return super().execute(*arguments, **options)


@pytest.fixture
def connection(database: Database) -> Iterator[Counting]:
    with Counting.connect(database.url(), autocommit=True) as connection:
        yield connection


def universe(**instruments: dict[str, Any]) -> Universe:
    """Return a universe of instruments, each with its listings."""
    return Universe.model_validate(
        {
            "start": "2024-01-01",
            "providers": {BITFINEX: {}, KRAKEN: {}},
            "instruments": {
                name: {"class": "crypto_spot", "listings": listed}
                for name, listed in instruments.items()
            },
        }
    )


def stored(connection: psycopg.Connection) -> dict[tuple[str, str], tuple[str, str, bool]]:
    """Return instrument, symbol and whether it is in the universe of all listings."""
    rows = connection.execute(
        "SELECT provider, l.key, i.key, symbol, in_universe FROM ledger.listing l"
        " JOIN ledger.instrument i ON i.id = instrument_id"
    )
    return {(provider, key): (name, symbol, is_in) for provider, key, name, symbol, is_in in rows}


def versions(connection: psycopg.Connection) -> list[str]:
    """Return by which transaction each listing was last written."""
    rows = connection.execute("SELECT xmin::text FROM ledger.listing ORDER BY id").fetchall()
    return [version for (version,) in rows]


def test_many_listings_take_as_few_statements_as_one(connection: Counting) -> None:
    taken = []
    for number in (1, 300):
        listed = {f"C{n:03}": {BITFINEX: f"C{n}/USD", KRAKEN: f"C{n}/USD"} for n in range(number)}
        wanted = universe(**listed)
        sync_universe(connection, wanted)  # the months of a session are worked out once
        connection.executed = 0
        sync_universe(connection, wanted)
        taken.append(connection.executed)
    assert len(stored(connection)) == 600
    assert taken[0] == taken[1]


def test_listings_come_change_go_and_come_back(connection: Counting) -> None:
    both = universe(BTC={BITFINEX: "BTC/USD"}, ETH={BITFINEX: "ETH/USD", KRAKEN: "ETH/USD"})
    sync_universe(connection, both)
    connection.execute("UPDATE ledger.listing SET first_trade = '2024-02-01'")
    before = versions(connection)
    sync_universe(connection, both)
    assert versions(connection) == before, "what has not changed is not written"

    sync_universe(connection, universe(ETH={BITFINEX: "ETH/USDT", KRAKEN: "ETH/USD"}))
    assert stored(connection) == {
        (BITFINEX, "BTC"): ("BTC", "BTC/USD", False),
        (BITFINEX, "ETH"): ("ETH", "ETH/USDT", True),
        (KRAKEN, "ETH"): ("ETH", "ETH/USD", True),
    }
    (known,) = connection.execute(
        "SELECT array_agg(symbol ORDER BY symbol) FROM ledger.listing WHERE first_trade IS NOT NULL"
    ).fetchall()
    assert known == (["BTC/USD", "ETH/USD"],), "another market has another first trade"

    sync_universe(connection, both)
    assert all(is_in for _, _, is_in in stored(connection).values())


def test_a_key_may_move_to_another_instrument_until_it_has_history(connection: Counting) -> None:
    sync_universe(connection, universe(XBT={BITFINEX: {"symbol": "BTC/USD", "key": "B"}}))
    moved = universe(BTC={BITFINEX: {"symbol": "BTC/USD", "key": "B"}})
    sync_universe(connection, moved)
    assert stored(connection) == {(BITFINEX, "B"): ("BTC", "BTC/USD", True)}

    connection.execute(
        "INSERT INTO ledger.coverage (listing_id, month, answered) SELECT id, '2024-01-01',"
        " '{[2024-01-01, 2024-01-02)}' FROM ledger.listing"
    )
    again = universe(XBT={BITFINEX: {"symbol": "BTC/USD", "key": "B"}}, ETH={KRAKEN: "ETH/USD"})
    with pytest.raises(RelabelledListing, match=r"'B' of bitfinex is now XBT .* of BTC 'BTC/USD'"):
        sync_universe(connection, again)
    assert stored(connection) == {(BITFINEX, "B"): ("BTC", "BTC/USD", True)}
