"""Methods of consolidating: whose minutes come first, and what is made of several."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.bars import COMBINED_SCHEMA
from pipeline.consolidation import METHODS, Claim, joined
from pipeline.median import median
from pipeline.universe import Universe
from tests.making import at, bar, table

NOON = at("2024-01-10 12:00")
PRICES = st.floats(1e-9, 1e12)


def claim(number: int, **values: int) -> Claim:
    known = {"rank": number, "minutes": 100, "bars": 50, "in_universe": True}
    return Claim(number, f"provider{number}", **{**known, **values})  # type: ignore[arg-type]


def order(method: str, *claims: Claim) -> list[int]:
    return [one.listing_id for one in sorted(claims, key=METHODS[method].order)]


def test_primary_takes_listings_by_their_rank() -> None:
    assert order("primary", claim(1, rank=3), claim(2, rank=1), claim(3, rank=2)) == [2, 3, 1]
    assert order("primary", claim(1, minutes=0), claim(2)) == [1, 2]


def test_a_listing_that_is_no_longer_in_the_universe_comes_last() -> None:
    for method in ("primary", "median"):
        assert order(method, claim(1, in_universe=False), claim(2), claim(3)) == [2, 3, 1]


def test_best_quality_takes_most_minutes_then_most_bars_then_rank() -> None:
    assert order("best_quality", claim(1), claim(2, minutes=101)) == [2, 1]
    assert order("best_quality", claim(1), claim(2, bars=51)) == [2, 1]
    assert order("best_quality", claim(1), claim(2), claim(3, minutes=1)) == [1, 2, 3]


PRICE_TABLES = st.lists(
    st.dictionaries(
        st.integers(0, 5),
        st.tuples(st.tuples(PRICES, PRICES, PRICES, PRICES), st.none() | st.floats(0, 1e9)),
    ),
    max_size=4,
)


@given(PRICE_TABLES)
def test_a_median_is_the_middle_of_those_that_have_the_minute(
    feeds: list[Mapping[int, tuple[tuple[float, ...], float | None]]],
) -> None:
    rows = [
        {NOON + timedelta(minutes=n): _row(n, *values) for n, values in sorted(feed.items())}
        for feed in feeds
    ]
    found = median([(f"p{n}", table(one.values())) for n, one in enumerate(rows)])
    assert found.schema == COMBINED_SCHEMA
    assert found["ts"].to_pylist() == sorted(set().union(*rows))
    for made in found.to_pylist():
        having = {f"p{n}": one[made["ts"]] for n, one in enumerate(rows) if made["ts"] in one}
        assert made["provider"] == "+".join(sorted(having))
        for name in ("open", "high", "low", "close", "volume"):
            values = [row[name] for row in having.values() if row[name] is not None]
            wanted = statistics.median(values) if values else None  # type: ignore[type-var]
            assert made[name] == (None if wanted is None else pytest.approx(wanted, rel=1e-12))
        assert made["high"] >= max(made["open"], made["close"])
        assert made["low"] <= min(made["open"], made["close"])
        assert made["vwap"] is made["trades"] is None


def _row(number: int, prices: tuple[float, ...], volume: float | None) -> dict[str, object]:
    low, first, last, high = sorted(prices)
    ts = NOON + timedelta(minutes=number)
    return bar(ts, open=first, high=high, low=low, close=last, volume=volume)


def test_names_are_joined_once_and_in_order() -> None:
    assert joined(["kraken", "binance+kraken", "bitfinex"]) == "binance+bitfinex+kraken"


def universe(**options: object) -> Universe:
    return Universe.model_validate(
        {
            "start": "2024-01-01",
            "providers": {"bitfinex": {}, "kraken": {}, "binance": {}},
            "selection": [{"providers": ["kraken", "binance"]}],
            "instruments": {
                "BTC-USD": {
                    "class": "crypto_spot",
                    "listings": dict.fromkeys(("binance", "kraken", "bitfinex"), "BTC/USD"),
                }
            },
        }
        | options
    )


def test_primaries_rank_as_they_are_listed_and_standbys_by_turn() -> None:
    ranks = {spec.provider: spec.rank for spec in universe().listings()}
    assert ranks == {"kraken": 1, "bitfinex": 2, "binance": 3}


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="'vwap', which is no method of consolidating; use "):
        universe(consolidate="vwap")
    assert universe(consolidate="median").consolidate == "median"
