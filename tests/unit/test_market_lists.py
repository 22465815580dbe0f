"""What is new in a market list, and which lists are not believed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.market_lists import KnownMarket, SuspiciousList, changes, check_whole
from pipeline.providers.protocol import Market

THEN = datetime(2024, 1, 1, tzinfo=UTC)


def pair(symbol: str, base: str, quote: str = "USD", contract: str = "") -> Market:
    kind = "crypto_future" if contract else "crypto_spot"
    return Market(symbol, kind, base, quote, active=True, contract=contract)


def stock(symbol: str, number: str | None = None, name: str | None = None) -> Market:
    return Market(symbol, "equity", symbol, "USD", active=True, id=number, name=name)


def known(markets: Iterable[Market], vanished: Iterable[Market] = ()) -> list[KnownMarket]:
    return [
        *(KnownMarket(market, THEN, THEN) for market in markets),
        *(KnownMarket(market, THEN, THEN, THEN) for market in vanished),
    ]


def told(before: list[KnownMarket], now: list[Market]) -> list[tuple[str, str, str | None, bool]]:
    return [(one.kind, one.market.symbol, one.old_symbol, one.sure) for one in changes(before, now)]


BTC, ETH, OLD = pair("tBTCUSD", "BTC"), pair("tETHUSD", "ETH"), pair("tOLDUSD", "OLD")


def test_the_first_list_is_no_change() -> None:
    assert told([], [BTC, ETH]) == []


def test_new_vanished_and_returned_markets_are_told() -> None:
    before = known([BTC, OLD], vanished=[ETH])
    new = pair("tNEWUSD", "NEW")
    assert told(before, [BTC, ETH, new]) == [
        ("new", "tNEWUSD", None, True),
        ("returned", "tETHUSD", None, True),
        ("vanished", "tOLDUSD", None, True),
    ]


def test_the_providers_number_shows_a_new_symbol() -> None:
    before = known([stock("FB", "7", "Facebook"), stock("AAPL", "1")])
    now = [stock("META", "7", "Meta Platforms"), stock("AAPL", "1")]
    assert told(before, now) == [("renamed", "META", "FB", True)]


def test_a_symbol_that_was_given_to_another_company_is_told() -> None:
    before = known([stock("FB", "7"), stock("META", "9")])
    assert told(before, [stock("META", "7"), stock("METV", "9")]) == [
        ("renamed", "META", "FB", True),
        ("renamed", "METV", "META", True),
        ("replaced", "META", None, True),
    ]
    assert told(known([stock("X", "1")]), [stock("X", "2")]) == [("replaced", "X", None, True)]
    gone = known([], vanished=[stock("X", "1")])
    assert told(gone, [stock("X", "2")]) == [("replaced", "X", None, True)]


def test_without_numbers_equal_looks_are_a_guess_and_called_one() -> None:
    before = known([BTC, pair("tAABUSD", "AAVE")])
    (found,) = changes(before, [BTC, pair("tAAVE:USD", "AAVE")])
    assert (found.kind, found.old_symbol, found.sure) == ("renamed", "tAABUSD", False)
    assert "a guess" in found.evidence
    named = known([stock("OLD", None, "Acme Corp")])
    assert told(named, [stock("NEW", None, "ACME Corp")]) == [("renamed", "NEW", "OLD", False)]


def test_what_looks_alike_only_in_part_is_not_guessed() -> None:
    future, next_one = (pair(f"BTC{day}", "BTC", "USDT", f"USDT-{day}") for day in (240628, 240927))
    assert [kind for kind, *_ in told(known([future]), [next_one])] == ["new", "vanished"]
    twins = [stock("A", None, "Trust"), stock("B", None, "Trust")]
    assert [kind for kind, *_ in told(known(twins), [stock("C", None, "Trust")])] == [
        "new",
        "vanished",
        "vanished",
    ]
    other_number = told(known([stock("A", "1", "Acme")]), [stock("B", "2", "Acme")])
    assert [kind for kind, *_ in other_number] == ["new", "vanished"]


def test_another_asset_class_under_one_number_is_no_disappearance() -> None:
    fund = replace(stock("SPY", "1"), asset_class="etf")
    (found,) = changes(known([stock("SPY", "1")]), [fund])
    assert (found.kind, found.old_symbol) == ("renamed", "SPY")
    assert "it was equity, and is etf" in found.evidence


def test_a_spot_market_and_a_swap_of_one_symbol_are_two() -> None:
    swap = replace(pair("BTCUSDT", "BTC", "USDT"), asset_class="crypto_swap", contract="USDT")
    spot = pair("BTCUSDT", "BTC", "USDT")
    assert told(known([spot, swap]), [spot]) == [("vanished", "BTCUSDT", None, True)]


@pytest.mark.parametrize("left", range(5))
def test_less_than_half_of_the_known_markets_is_no_list(left: int) -> None:
    markets = [pair(f"t{n}", f"C{n}") for n in range(9)]
    gone = known(markets, vanished=[pair(f"v{n}", f"V{n}") for n in range(50)])
    with pytest.raises(SuspiciousList, match=f"the list has {left} markets, the one before had 9"):
        check_whole(gone, markets[:left])
    check_whole(gone, markets[: left + 5])


def test_a_whole_asset_class_does_not_vanish_at_once() -> None:
    spot = [pair(f"t{n}", f"C{n}") for n in range(30)]
    futures = [pair(f"f{n}", "BTC", "USDT", f"USDT-{n}") for n in range(10)]
    with pytest.raises(SuspiciousList, match="no crypto_future, the one before had 10"):
        check_whole(known([*spot, *futures]), spot)
    check_whole(known([*spot, *futures[:2]]), spot)  # the last two have expired


_MARKETS = st.lists(
    st.builds(stock, st.sampled_from("ABCDE"), st.sampled_from([None, "1", "2", "3"])), max_size=6
)


@given(_MARKETS, _MARKETS)
def test_every_market_that_came_or_went_is_told_once(
    before: list[Market], now: list[Market]
) -> None:
    old = {market.symbol: market for market in before}
    new: dict[str, Market] = {}
    for market in now:
        new.setdefault(market.symbol, market)
    found = changes(known(old.values()), list(new.values()))
    if not old:
        assert not found
        return
    told_new = {one.market.symbol for one in found if one.kind != "vanished"}
    told_gone = {one.market.symbol for one in found if one.kind == "vanished"} | {
        one.old_symbol for one in found if one.kind == "renamed"
    }
    assert new.keys() - old.keys() <= told_new
    assert old.keys() - new.keys() <= told_gone
    assert told_gone <= old.keys()
    assert told_new <= new.keys()
