"""Recorded market lists of four exchanges, read by real ccxt through our client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.providers.ccxt_client import CcxtProvider
from pipeline.providers.limiter import Unlimited
from pipeline.providers.options import ProviderOptions
from pipeline.providers.protocol import Market
from pipeline.symbols.classifier import Classifier
from pipeline.symbols.index import MarketIndex
from pipeline.symbols.rules import by_rules
from pipeline.symbols.verdict import Listed
from pipeline.universe.values import key as checked_key
from venue import VenueProcess

SOURCES = {
    "binance": "binance",
    "bitfinex": "bitfinex",
    "coinbase": "coinbaseexchange",
    "kraken": "kraken",
}
FX = {
    "kraken": {"AUD-JPY", "AUD-USD", "EUR-AUD", "EUR-CAD", "EUR-CHF", "EUR-GBP", "EUR-JPY"}
    | {"EUR-USD", "GBP-USD", "USD-CAD", "USD-CHF", "USD-JPY"},
}
Lists = dict[str, Sequence[Market]]


def body(recording: Path, path: str) -> Any:
    """Return what was answered, decoded."""
    for line in recording.read_bytes().splitlines():
        url, _, answer = line.partition(b" -> ")
        if url.decode().endswith(path):
            return orjson.loads(answer.partition(b": ")[2])
    raise LookupError(f"{recording} has no answer of {path}")


@pytest.fixture(scope="module")
def folder(market_data: Path) -> Path:
    return market_data / "bmoscon_cryptofeed" / "sample_data"


@pytest.fixture(scope="module")
def lists(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lists]:
    """Each exchange's markets, as our client lists them."""
    # Bitfinex was asked for plain lists; today's client asks for the same pairs with their limits.
    pairs = body(folder / "BITFINEX.0", "pub:list:pair:exchange")[0]
    swaps = body(folder / "BITFINEX.0", "pub:list:pair:future")[0]
    limits = [None, None, None, "0.02", "5000.0"]
    document = [[[pair, limits] for pair in names] for names in (pairs, swaps)]
    bitfinex = tmp_path_factory.mktemp("lists") / "bitfinex.json"
    bitfinex.write_bytes(orjson.dumps([*document, [], []]))
    labels = "pub:info:pair,pub:info:pair:futures,pub:list:pair:securities,pub:list:pair:margin"
    recorded = {
        "binance": {"/api/v3/exchangeInfo": folder / "BINANCE.0"},
        "bitfinex": {f"/v2/conf/{labels}": bitfinex},
        "coinbase": {"/products": folder / "COINBASE.0"},
        "kraken": {"/0/public/AssetPairs": folder / "KRAKEN.0"},
    }
    exchanges = {
        name: {"requests_per_second": 0, "recorded": files} for name, files in recorded.items()
    }
    with VenueProcess({"exchanges": exchanges}) as venue:
        yield {name: list(listed(venue.url, name)) for name in SOURCES}


def listed(url: str, name: str) -> Sequence[Market]:
    classes = ["crypto_spot", "fx", *(["crypto_swap"] if name == "bitfinex" else [])]
    options = ProviderOptions(source=SOURCES[name], base_url=f"{url}/{name}", asset_classes=classes)
    provider = CcxtProvider(name, options, limiter=Unlimited())
    try:
        return provider.markets()
    finally:
        provider.close()


@pytest.fixture(scope="module")
def named(lists: Lists) -> Classifier:
    return Classifier(MarketIndex(Listed(name, one) for name in lists for one in lists[name]))


def binance_says(folder: Path) -> dict[str, str]:
    symbols = body(folder / "BINANCE.0", "exchangeInfo")["symbols"]
    return {one["symbol"]: f"{one['baseAsset']}-{one['quoteAsset']}" for one in symbols}


def coinbase_says(folder: Path) -> dict[str, str]:
    return {
        one["id"]: f"{one['base_currency']}-{one['quote_currency']}"
        for one in body(folder / "COINBASE.0", "/products")
    }


def kraken_says(folder: Path) -> dict[str, str]:
    pairs = body(folder / "KRAKEN.0", "AssetPairs")["result"]
    names = {name: pair["wsname"] for name, pair in pairs.items() if "wsname" in pair}
    renamed = {"XBT": "BTC", "XDG": "DOGE"}
    return {
        name: "-".join(renamed.get(code, code) for code in text.split("/"))
        for name, text in names.items()
    }


@pytest.mark.parametrize(
    ("exchange", "says", "known_by_others"),
    [
        # The codes that ccxt makes common; Kraken gave REP to another coin later.
        ("binance", binance_says, {"YOYO": "YOYOW", "BCHSV": "BSV"}),
        ("coinbase", coinbase_says, {"CGLD": "CELO"}),
        ("kraken", kraken_says, {"REPV2": "REP", "REP": "REPV1"}),
    ],
)
def test_every_pair_is_the_one_that_the_exchange_says(
    exchange: str,
    says: Callable[[Path], dict[str, str]],
    known_by_others: dict[str, str],
    lists: Lists,
    folder: Path,
) -> None:
    said = {
        symbol: "-".join(known_by_others.get(code, code) for code in pair.split("-"))
        for symbol, pair in says(folder).items()
    }
    found = {market.symbol: market.key for market in lists[exchange]}
    assert len(found) > 100
    assert found == {symbol: said[symbol] for symbol in found}
    assert len(found) >= 0.98 * len(said)


@pytest.mark.parametrize("exchange", SOURCES)
def test_every_market_has_the_class_that_its_exchange_says(exchange: str, lists: Lists) -> None:
    for market in lists[exchange]:
        if exchange == "bitfinex":
            swap = "F0" in market.symbol
            assert market.asset_class == ("crypto_swap" if swap else "crypto_spot")
    fx = {market.key for market in lists[exchange] if market.asset_class == "fx"}
    assert fx == FX.get(exchange, set())


@pytest.mark.parametrize("exchange", SOURCES)
def test_every_symbol_leads_to_its_normal_form_and_back(
    exchange: str, lists: Lists, named: Classifier
) -> None:
    for market in lists[exchange]:
        assert checked_key(market.key) == market.key
        for name in (market.symbol, *market.spellings, market.key):
            decided = named.classify(name, exchange).decided
            assert decided is not None, named.classify(name, exchange).explain()
            assert (decided.key, decided.asset_class) == (market.key, market.asset_class)
            symbols = {one.market.symbol for one in decided.markets if one.provider == exchange}
            assert symbols == {market.symbol}


def test_the_same_pair_has_the_same_form_at_all_four(lists: Lists) -> None:
    keys = [{market.key for market in lists[name]} for name in SOURCES]
    by_exchange = dict(zip(SOURCES, keys, strict=True))
    at_three = by_exchange["bitfinex"] & by_exchange["coinbase"] & by_exchange["kraken"]
    assert {
        "BTC-USD",
        "ETH-USD",
        "ETH-BTC",
        "LTC-USD",
        "EOS-USD",
        "XLM-USD",
        "ALGO-USD",
    } <= at_three
    assert {"BTC-USDT", "ETH-USDT", "ETH-BTC"} <= by_exchange["binance"] & by_exchange["kraken"]
    assert {"BTC-USDT", "ETH-USDT", "ETH-BTC"} <= by_exchange["binance"] & by_exchange["bitfinex"]


def test_rules_are_seldom_wrong_where_they_call_themselves_likely(lists: Lists) -> None:
    wrong, right = [], 0
    for market in (market for markets in lists.values() for market in markets):
        found = by_rules(market.symbol)
        if len(found) == 1 and found[0].certainty == "likely":
            if (found[0].key, found[0].asset_class) == (market.key, market.asset_class):
                right += 1
            else:
                wrong.append((market.symbol, found[0].key, market.key))
    assert right > 2000
    assert len(wrong) <= 0.01 * right, " ".join(map(str, wrong))


def test_the_open_market_is_listed_and_not_its_dark_pool(named: Classifier) -> None:
    decided = named.classify("BTC-USD").decided
    assert decided
    symbols = {one.provider: one.market.symbol for one in decided.markets}
    assert symbols == {"bitfinex": "tBTCUSD", "coinbase": "BTC-USD", "kraken": "XXBTZUSD"}


@pytest.mark.parametrize(
    "name", ["OPEN", "OPRA", "RENT", "UNIT", "NEOG", "ENSG", "BATRA", "ICPT", "SOLV", "ETHE"]
)
def test_a_stock_is_no_pair_of_any_recorded_list(name: str, named: Classifier) -> None:
    decided = named.classify(name).decided
    assert decided
    assert (decided.key, decided.asset_class) == (name, "equity")
