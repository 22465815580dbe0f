"""The one series of an instrument, read as that of a provider is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from pipeline.reading import Ledger, UnknownListing, UnknownTimeframe, connect
from tests.making import at, span
from tests.reading.conftest import World, minutes

BOTH = span("2024-01-02T23:00", "2024-01-03T02:00")
"""When kraken has bars, too; bitfinex, which comes first, ends with the day."""


@pytest.fixture(scope="module")
def both(world: World) -> World:
    world.put("kraken", "BTC-USD", BOTH, minutes(BOTH, but_every=5, price=200))
    world.build()
    return world


@pytest.fixture
def ledger(both: World) -> Iterator[Ledger[pd.DataFrame]]:
    with connect(both.database.url()) as opened:
        yield opened


def view(world: World, timeframe: str, columns: list[str]) -> list[dict[str, Any]]:
    rows = world.execute(
        f"SELECT {', '.join(columns)} FROM market.consolidated_{timeframe}"
        " WHERE instrument = 'BTC-USD' ORDER BY ts"
    )
    return [dict(zip(columns, row, strict=True)) for row in rows]


@pytest.mark.parametrize("timeframe", ["1m", "1h", "1d", "1mo"])
def test_it_is_what_the_view_has_and_says_whose_each_bar_is(
    ledger: Ledger[pd.DataFrame], world: World, timeframe: str
) -> None:
    table = ledger.arrow.bars("BTC-USD", timeframe, provider="consolidated")

    assert table.to_pylist() == view(world, timeframe, table.column_names)
    assert len(set(table["provider"].to_pylist())) > 1


def test_ranges_and_limits_are_those_of_a_listing(ledger: Ledger[pd.DataFrame]) -> None:
    midnight = at("2024-01-03")
    newest = ledger.bars("BTC-USD", provider="consolidated", limit=3)
    oldest = ledger.bars("BTC-USD", provider="consolidated", since=midnight, limit=3)
    before = ledger.bars("BTC-USD", provider="consolidated", before=midnight, limit=3)

    assert newest["ts"].is_monotonic_increasing
    assert newest["ts"].iloc[-1] == pd.Timestamp("2024-01-03T01:59Z")
    assert oldest["ts"].iloc[0] >= midnight > before["ts"].iloc[-1]
    assert set(oldest["provider"]) == {"kraken"}
    assert set(before["provider"]) == {"bitfinex"}


def test_an_instrument_without_a_bar_has_none(ledger: Ledger[pd.DataFrame]) -> None:
    assert ledger.bars("ES=F", "1d", provider="consolidated").empty


def test_what_is_not_there_is_named_with_what_is(ledger: Ledger[pd.DataFrame]) -> None:
    with pytest.raises(UnknownListing, match="no instrument BTC; there are BTC-USD"):
        ledger.bars("BTC", provider="consolidated")
    with pytest.raises(UnknownTimeframe, match="7h"):
        ledger.bars("BTC-USD", "7h", provider="consolidated")
