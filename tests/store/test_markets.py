"""Market lists in the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pipeline.market_lists import SuspiciousList
from pipeline.providers.protocol import Market
from pipeline.store.database import Database
from pipeline.store.listings import sync_universe
from pipeline.store.markets import keep_list, known_markets, listing_states, market_index
from pipeline.universe import Universe

DAY = timedelta(days=1)
FIRST = datetime(2030, 1, 1, tzinfo=UTC)  # after the listings were made
BTC = Market("tBTCUSD", "crypto_spot", "BTC", "USD", active=True, spellings=("BTCUSD",))
ETH = Market("tETHUSD", "crypto_spot", "ETH", "USD", active=True)
SWAP = Market("tBTCF0:USTF0", "crypto_swap", "BTC", "USDT", active=None, contract="USDT")
META = Market("META", "equity", "META", "USD", active=True, name="Meta", id="9")
LISTINGS = {"BTC-USD": "BTC/USD", "ETH-USD": "tETHUSD", "NEO-USD": "tNEOUSD"}
UNIVERSE = Universe.model_validate(
    {
        "start": "2024-01-01",
        "providers": {"bitfinex": {}, "alpaca": {}},
        "instruments": {
            **{
                key: {"class": "crypto_spot", "listings": {"bitfinex": symbol}}
                for key, symbol in LISTINGS.items()
            },
            "META": {"class": "etf", "listings": {"alpaca": "META"}},
        },
    }
)


def rows(connection: psycopg.Connection, sql: str) -> list[Any]:
    return [row[0] if len(row) == 1 else row for row in connection.execute(sql)]


def states(connection: psycopg.Connection, provider: str) -> dict[str, str]:
    index = market_index(connection, [provider])
    found = listing_states(connection, UNIVERSE, provider, index)
    return {one.listing: one.state for one in found}


def test_a_list_is_kept_as_it_came(database: Database) -> None:
    with database.connect() as connection:
        assert keep_list(connection, "bitfinex", [BTC, SWAP], FIRST) == []
        known = known_markets(connection, ["bitfinex", "kraken"])
        assert [one.market for one in known["bitfinex"]] == [BTC, SWAP]
        assert known.keys() == {"bitfinex"}
        assert rows(connection, "SELECT instrument FROM market.markets ORDER BY 1") == [
            "BTC-USD",
            "BTC-USDT:USDT",
        ]


def test_what_changes_is_told_and_dated(database: Database) -> None:
    with database.connect() as connection:
        keep_list(connection, "bitfinex", [BTC, ETH], FIRST)
        keep_list(connection, "bitfinex", [BTC, SWAP], FIRST + DAY)
        keep_list(connection, "bitfinex", [BTC, ETH], FIRST + 2 * DAY)
        told = rows(
            connection,
            "SELECT change, symbol, at FROM market.market_changes ORDER BY at, change",
        )
        assert told == [
            ("new", "tBTCF0:USTF0", FIRST + DAY),
            ("vanished", "tETHUSD", FIRST + DAY),
            ("returned", "tETHUSD", FIRST + 2 * DAY),
            ("vanished", "tBTCF0:USTF0", FIRST + 2 * DAY),
        ]
        dates = "SELECT first_seen, last_seen, vanished_at FROM market.markets WHERE symbol = "
        assert rows(connection, dates + "'tETHUSD'") == [(FIRST, FIRST + 2 * DAY, None)]
        swap = (FIRST + DAY, FIRST + DAY, FIRST + 2 * DAY)
        assert rows(connection, dates + "'tBTCF0:USTF0'") == [swap]


def test_a_short_list_is_refused_whole_unless_it_is_accepted(database: Database) -> None:
    with database.connect() as connection:
        keep_list(connection, "bitfinex", [BTC, ETH, SWAP], FIRST)
        for short in ([BTC], []):
            with pytest.raises(SuspiciousList):
                keep_list(connection, "bitfinex", short, FIRST + DAY)
        known = known_markets(connection, ["bitfinex"])["bitfinex"]
        assert {one.last_seen for one in known} == {FIRST}
        assert not any(one.vanished_at for one in known)
        assert rows(connection, "SELECT count(*) FROM market.market_changes") == [0]
        keep_list(connection, "bitfinex", [BTC], FIRST + DAY, accept_short=True)
        assert rows(connection, "SELECT count(*) FROM market.market_changes") == [2]


def test_keeping_a_list_twice_changes_nothing_and_an_older_one_is_refused(
    database: Database,
) -> None:
    with database.connect() as connection:
        keep_list(connection, "bitfinex", [BTC, ETH], FIRST)
        keep_list(connection, "bitfinex", [BTC], FIRST + DAY)
        before = known_markets(connection, ["bitfinex"])
        assert keep_list(connection, "bitfinex", [BTC], FIRST + DAY) == []
        with pytest.raises(SuspiciousList, match="later"):
            keep_list(connection, "bitfinex", [BTC, ETH], FIRST)
        assert known_markets(connection, ["bitfinex"]) == before


def test_lists_of_two_providers_are_kept_apart(database: Database) -> None:
    with database.connect() as connection:
        keep_list(connection, "bitfinex", [BTC, ETH], FIRST)
        keep_list(connection, "mirror", [BTC], FIRST + DAY)
        assert len(known_markets(connection, ["bitfinex"])["bitfinex"]) == 2
        assert rows(
            connection, "SELECT count(*) FROM market.markets WHERE vanished_at > '-infinity'"
        ) == [0]


def test_each_listing_is_found_in_its_providers_list_or_named(database: Database) -> None:
    with database.connect() as connection:
        sync_universe(connection, UNIVERSE)
        assert set(states(connection, "bitfinex").values()) == {"no_list"}
        keep_list(connection, "bitfinex", [BTC, ETH], FIRST)
        expected = {"BTC-USD": "listed", "ETH-USD": "listed", "NEO-USD": "unknown"}
        assert states(connection, "bitfinex") == expected
        keep_list(connection, "bitfinex", [replace(BTC, active=False)], FIRST + DAY)
        expected |= {"BTC-USD": "inactive", "ETH-USD": "vanished"}
        assert states(connection, "bitfinex") == expected


def test_a_symbol_that_names_another_company_is_no_longer_that_listing(database: Database) -> None:
    facebook = Market("FB", "equity", "FB", "USD", active=True, id="7")
    with database.connect() as connection:
        sync_universe(connection, UNIVERSE)
        keep_list(connection, "alpaca", [META, facebook], FIRST)
        assert states(connection, "alpaca") == {"META": "listed"}  # no list tells funds surely
        metv = replace(META, symbol="METV", base="METV")
        keep_list(connection, "alpaca", [replace(META, id="7"), metv], FIRST + DAY)
        assert states(connection, "alpaca") == {"META": "replaced"}
        keep_list(connection, "alpaca", [metv], FIRST + 2 * DAY)
        assert states(connection, "alpaca") == {"META": "vanished"}


def test_a_renamed_listing_is_told_its_new_symbol(database: Database) -> None:
    with database.connect() as connection:
        sync_universe(connection, UNIVERSE)
        keep_list(connection, "alpaca", [META], FIRST)
        keep_list(connection, "alpaca", [replace(META, symbol="FB", base="FB")], FIRST + DAY)
        index = market_index(connection, ["alpaca"])
        (state,) = listing_states(connection, UNIVERSE, "alpaca", index)
        assert state.state == "vanished"
        assert "renamed to FB (the provider's number stayed 9)" in state.text


def test_a_large_list_is_kept_in_seconds(database: Database) -> None:
    markets = [replace(META, symbol=f"S{n}", id=str(n)) for n in range(12_000)]
    with database.connect() as connection:
        keep_list(connection, "alpaca", markets, FIRST)
        changed = keep_list(connection, "alpaca", markets[:11_000], FIRST + DAY)
        assert {one.kind for one in changed} == {"vanished"}
        assert len(changed) == 1000
