"""Searching for what to write into the universe."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pipeline.providers.protocol import Market
from pipeline.symbols.finding import Match, find
from pipeline.symbols.index import MarketIndex
from pipeline.symbols.spelling import yahoo_symbol
from pipeline.symbols.verdict import Listed
from pipeline.universe import Universe

PROVIDERS = ("alpaca", "binance", "kraken", "yahoo")


def universe(instruments: dict[str, Any] | None = None) -> Universe:
    providers: dict[str, Any] = {name: {} for name in PROVIDERS}
    return Universe.model_validate(
        {"start": "2024-01-01", "providers": providers, "instruments": instruments or {}}
    )


def listed(provider: str, symbol: str, kind: str, base: str, quote: str, **more: Any) -> Listed:
    gone = more.pop("vanished", False)
    more = {"active": True, **more}
    return Listed(provider, Market(symbol, kind, base, quote, **more), gone)


INDEX = MarketIndex(
    [
        listed("alpaca", "LINK", "equity", "LINK", "USD", name="Interlink Electronics"),
        listed("alpaca", "BRK.B", "equity", "BRK.B", "USD", name="Berkshire Hathaway: Class B"),
        listed("alpaca", "NO", "equity", "NO", "USD"),
        listed("binance", "LINKUSDT", "crypto_spot", "LINK", "USDT"),
        listed("binance", "BTCUSDT", "crypto_spot", "BTC", "USDT"),
        listed("binance", "BTCUSDT", "crypto_swap", "BTC", "USDT", contract="USDT"),
        listed("binance", "OLDUSDT", "crypto_spot", "OLD", "USDT", vanished=True),
        listed("binance", "HALTUSDT", "crypto_spot", "HALT", "USDT", active=False),
        listed("kraken", "LINKUSDT", "crypto_spot", "LINK", "USDT"),
        listed("kraken", "ZEURZUSD", "fx", "EUR", "USD", spellings=("EURUSD", "EUR/USD")),
    ]
)


def pasted(*matches: Match) -> dict[tuple[str, str], str]:
    """Return what the universe makes of snippets: provider and key to class and symbol."""
    text = "".join(match.snippet() for match in matches)
    document = yaml.load(f"instruments:\n{text}", Loader=yaml.BaseLoader)["instruments"]
    return {
        (spec.provider, spec.key): f"{spec.asset_class} {spec.symbol} {spec.session}"
        for spec in universe(document).listings()
    }


def test_all_that_a_name_may_mean_can_be_pasted_at_once() -> None:
    verdict, matches = find(INDEX, universe(), "BTCUSDT")
    assert verdict.ambiguous
    assert pasted(*matches) == {
        ("binance", "BTC-USDT"): "crypto_spot BTCUSDT 24x7",
        ("binance", "BTC-USDT:USDT"): "crypto_swap BTC/USDT:USDT 24x7",
    }


def test_one_instrument_comes_with_all_its_listings() -> None:
    _, (match,) = find(INDEX, universe(), "EURUSD=X")
    assert pasted(match) == {
        ("kraken", "EUR-USD"): "fx ZEURZUSD 24x7",
        ("yahoo", "EUR-USD"): "fx EURUSD=X 24x5",
    }
    _, (stock,) = find(INDEX, universe(), "brk-b")
    assert pasted(stock) == {
        ("alpaca", "BRK.B"): "equity BRK.B XNYS",
        ("yahoo", "BRK.B"): "equity BRK-B XNYS",
    }


@pytest.mark.parametrize("words", ["interlink", "ELECTRONICS interlink"])
def test_words_of_a_name_are_searched_for(words: str) -> None:
    verdict, (match,) = find(INDEX, universe(), words)
    assert verdict.decided is None or verdict.decided.source == "rule"
    assert match.candidate.key == "LINK"


def test_the_universe_is_heard_first_and_the_others_are_still_shown() -> None:
    mine = universe({"LINK": {"class": "equity", "listings": {"alpaca": "LINK"}}})
    verdict, matches = find(INDEX, mine, "link")
    assert verdict.decided is not None
    assert [(one.candidate.key, one.candidate.source) for one in matches] == [
        ("LINK", "universe"),
        ("LINK-USDT", "list"),
    ]
    assert matches[0].collected == {("alpaca", "LINK"): "LINK"}
    assert [one.provider for one in matches[1].markets] == ["binance", "kraken"]


@pytest.mark.parametrize("name", ["OLD/USDT", "HALT/USDT"])
def test_what_does_not_trade_is_shown_and_not_offered(name: str) -> None:
    _, (match,) = find(INDEX, universe(), name)
    assert match.markets
    assert match.snippet() == ""


def test_a_symbol_that_yaml_would_misread_is_quoted() -> None:
    _, (match, *_) = find(INDEX, universe(), "NO")
    assert yaml.safe_load(match.snippet())["NO"]["listings"]["alpaca"] == "NO"


@pytest.mark.parametrize(
    ("key", "asset_class", "symbol"),
    [
        ("BRK.B", "equity", "BRK-B"),
        ("BAC.PRL", "equity", "BAC-PL"),
        ("ABC.WS", "equity", "ABC-WT"),
        ("VOD.L", "equity", "VOD.L"),
        ("^VIX", "index", "^VIX"),
        ("EUR-USD", "fx", "EURUSD=X"),
        ("BTC-USD", "crypto_spot", "BTC-USD"),
        ("BTC-USDT:USDT", "crypto_swap", None),
    ],
)
def test_yahoos_spelling_follows_a_rule(key: str, asset_class: str, symbol: str | None) -> None:
    assert yahoo_symbol(key, asset_class) == symbol
