"""What names mean: by the universe, by market lists, by rules; and when nobody is sure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.providers.protocol import Market
from pipeline.symbols.classifier import Classifier
from pipeline.symbols.index import MarketIndex
from pipeline.symbols.normal import pair_key, stock_key
from pipeline.symbols.rules import by_rules
from pipeline.symbols.verdict import Listed, Verdict
from pipeline.universe import Universe
from pipeline.universe.values import key as checked_key

TRAPS = ["OPEN", "OPRA", "RENT", "UNIT", "NEOG", "ENSG", "BATRA", "ICPT", "SOLV", "ETHE"]
ALSO_COINS = ["LINK", "COMP", "UNI", "SAND", "ONE", "T", "APE", "DASH", "GRT"]


def coin(
    provider: str, symbol: str, base: str, quote: str, contract: str = "", *spellings: str
) -> Listed:
    kind = "crypto_spot" if not contract else "crypto_swap"
    market = Market(symbol, kind, base, quote, active=True, contract=contract, spellings=spellings)
    return Listed(provider, market)


def stock(symbol: str, name: str = "") -> Listed:
    return Listed("alpaca", Market(symbol, "equity", symbol, "USD", active=True, name=name or None))


STOCKS = [stock(symbol) for symbol in [*TRAPS, *ALSO_COINS, "BRK.B", "ABTC", "GBTC", "AB", "AUSD"]]
COINS = [
    coin("bitfinex", "tBTCUSD", "BTC", "USD"),
    coin("bitfinex", "tBTCUST", "BTC", "USDT"),
    coin("bitfinex", "tBTCF0:USTF0", "BTC", "USDT", "USDT"),
    coin("kraken", "XXBTZUSD", "BTC", "USD", "", "XBTUSD", "XBT/USD"),
    coin("kraken", "TBTCUSD", "TBTC", "USD", "", "TBTC/USD"),
    coin("binance", "BTCUSDT", "BTC", "USDT"),
    coin("binance", "ETHBTC", "ETH", "BTC"),
    coin("binance", "ABTC", "A", "BTC"),
    coin("binance", "1000SHIBUSDT", "1000SHIB", "USDT"),
    *(coin("binance", f"{base}USDT", base, "USDT") for base in [*ALSO_COINS, "OP", "ETH", "SOL"]),
]


def classifier(*listed: Listed, universe: Universe | None = None) -> Classifier:
    return Classifier(MarketIndex(listed), universe)


def meant(verdict: Verdict) -> set[tuple[str | None, str]]:
    return {(one.key, one.asset_class) for one in verdict.candidates}


@pytest.mark.parametrize("ticker", TRAPS)
def test_a_stock_that_begins_or_ends_like_a_coin_is_a_stock_by_the_list(ticker: str) -> None:
    decided = classifier(*STOCKS, *COINS).classify(ticker).decided
    assert decided
    assert (decided.key, decided.asset_class, decided.source) == (ticker, "equity", "list")


@pytest.mark.parametrize("ticker", TRAPS)
def test_without_any_list_it_is_still_no_coin(ticker: str) -> None:
    assert meant(classifier().classify(ticker)) == {(ticker, "equity")}
    assert meant(classifier(*COINS).classify(ticker)) == {(ticker, "equity")}


@pytest.mark.parametrize(
    ("name", "key", "asset_class"),
    [
        ("BRK-B", "BRK.B", "equity"),
        ("^VIX", "^VIX", "index"),
        ("ES=F", "ES=F", "future"),
        ("EURUSD=X", "EUR-USD", "fx"),
        ("JPY=X", "USD-JPY", "fx"),
        ("EUR/USD", "EUR-USD", "fx"),
        ("BRK.B", "BRK.B", "equity"),
        ("BRK/B", "BRK.B", "equity"),
        ("BRK B", "BRK.B", "equity"),
        ("BF.B", "BF.B", "equity"),
        ("BAC-PL", "BAC.PRL", "equity"),
        ("BAC.PRL", "BAC.PRL", "equity"),
        ("ABC-WT", "ABC.WS", "equity"),
        ("BTC/USD", "BTC-USD", "crypto_spot"),
        ("btc-usd", "BTC-USD", "crypto_spot"),
        ("tBTCUSD", "BTC-USD", "crypto_spot"),
        ("tAAVE:UST", "AAVE-USDT", "crypto_spot"),
        ("XBTUSD", "BTC-USD", "crypto_spot"),
        ("XXBTZUSD", "BTC-USD", "crypto_spot"),
        ("XETHXXBT", "ETH-BTC", "crypto_spot"),
        ("XDGUSD", "DOGE-USD", "crypto_spot"),
        ("BTCUSDT", "BTC-USDT", "crypto_spot"),
        ("1000SHIBUSDT", "1000SHIB-USDT", "crypto_spot"),
        ("1INCH/USDT", "1INCH-USDT", "crypto_spot"),
        ("ETH/BTC", "ETH-BTC", "crypto_spot"),
        ("UNI7083-USD", "UNI-USD", "crypto_spot"),
        ("BTC/USDT:USDT", "BTC-USDT:USDT", "crypto_swap"),
        ("tBTCF0:USTF0", "BTC-USDT:USDT", "crypto_swap"),
        ("BTC-USDT-SWAP", "BTC-USDT:USDT", "crypto_swap"),
        ("BTC/USD:BTC-241227", "BTC-USD:BTC-241227", "crypto_future"),
        ("DOTUSDT_241227", "DOT-USDT:USDT-241227", "crypto_future"),
    ],
)
def test_vendors_spellings_have_one_normal_form_without_any_list(
    name: str, key: str, asset_class: str
) -> None:
    decided = classifier().classify(name).decided
    assert decided
    assert (decided.key, decided.asset_class) == (key, asset_class)
    assert (decided.source, decided.certainty) == ("rule", "likely")


def test_a_pair_ends_in_the_quote_that_leaves_a_known_coin() -> None:
    assert meant(classifier().classify("DOTUSD")) == {("DOT-USD", "crypto_spot")}
    assert meant(classifier().classify("BTCBUSD")) == {("BTC-BUSD", "crypto_spot")}
    assert classifier().classify("USDTUSD").ambiguous
    assert classifier().classify("NEWTUSD").ambiguous


@pytest.mark.parametrize("ticker", ALSO_COINS)
def test_a_ticker_that_is_also_a_coin_is_ambiguous_whatever_lists_there_are(ticker: str) -> None:
    both = {(ticker, "equity"), (f"{ticker}-USDT", "crypto_spot")}
    assert meant(classifier(*STOCKS, *COINS).classify(ticker)) == both
    assert meant(classifier(*COINS).classify(ticker)) == both
    for lists in ([], STOCKS):
        verdict = classifier(*lists).classify(ticker)
        assert verdict.ambiguous
        assert verdict.decided is None
        assert {kind for _, kind in meant(verdict)} == {"equity", "crypto_spot"}


def test_with_its_provider_a_ticker_is_what_that_provider_lists() -> None:
    named = classifier(*STOCKS, *COINS)
    assert meant(named.classify("LINK", "alpaca")) == {("LINK", "equity")}
    assert meant(named.classify("LINKUSDT", "binance")) == {("LINK-USDT", "crypto_spot")}


def test_a_ticker_that_ends_in_a_quote_is_no_pair_in_silence() -> None:
    assert classifier(*STOCKS).classify("GBTC").ambiguous  # no list here would have G/BTC
    assert meant(classifier(*STOCKS, *COINS).classify("GBTC")) == {("GBTC", "equity")}
    both = {("ABTC", "equity"), ("A-BTC", "crypto_spot")}
    assert meant(classifier(*STOCKS, *COINS).classify("ABTC")) == both
    assert meant(classifier(*COINS).classify("ABTC")) == both
    for ticker in ("PUSD", "AUSD", "KEUR", "OPBTC"):
        assert "equity" in {kind for _, kind in meant(classifier().classify(ticker))}, ticker
        assert classifier().classify(ticker).decided is None


def test_a_bare_coin_is_no_market() -> None:
    verdict = classifier(*STOCKS, *COINS).classify("BTC")
    assert verdict.decided is None
    assert meant(verdict) == {
        ("BTC-USD", "crypto_spot"),
        ("BTC-USDT", "crypto_spot"),
        ("BTC-USDT:USDT", "crypto_swap"),
    }
    assert classifier(coin("x", "OPENUSDT", "OPEN", "USDT")).classify("OPEN").ambiguous


def test_one_instrument_has_many_listings() -> None:
    for name in ("BTC-USD", "BTC/USD", "XBTUSD", "XXBTZUSD", "tBTCUSD", "BTCUSD"):
        decided = classifier(*STOCKS, *COINS).classify(name).decided
        assert decided, name
        assert {(one.provider, one.market.symbol) for one in decided.markets} == {
            ("bitfinex", "tBTCUSD"),
            ("kraken", "XXBTZUSD"),
        }


def test_a_spelling_of_elsewhere_is_looked_up_in_the_lists_there_are() -> None:
    bitfinex = coin("bitfinex", "tBTCUSD", "BTC", "USD")
    fund = Listed("alpaca", Market("ABC.WS", "etf", "ABC.WS", "USD", active=True))
    for name, found in [("XXBTZUSD", bitfinex), ("XBTUSD", bitfinex), ("ABC-WT", fund)]:
        decided = classifier(bitfinex, fund).classify(name).decided
        assert decided, name
        assert decided.markets == (found,)
        assert (decided.source, decided.asset_class) == ("list", found.market.asset_class)


def test_capitals_tell_bitfinexs_mark_from_a_coin() -> None:
    named = classifier(*COINS)
    assert meant(named.classify("tBTCUSD")) == {("BTC-USD", "crypto_spot")}
    assert meant(named.classify("TBTC/USD")) == {("TBTC-USD", "crypto_spot")}
    assert ("TBTC-USD", "crypto_spot") in meant(named.classify("TBTCUSD"))


def test_one_id_for_spot_and_swap_is_ambiguous_and_the_common_symbol_is_not() -> None:
    named = classifier(*COINS, coin("binance", "BTCUSDT", "BTC", "USDT", "USDT"))
    both = {("BTC-USDT", "crypto_spot"), ("BTC-USDT:USDT", "crypto_swap")}
    assert meant(named.classify("BTCUSDT")) == both
    assert meant(named.classify("BTC/USDT")) == {("BTC-USDT", "crypto_spot")}
    assert meant(named.classify("BTC/USDT:USDT")) == {("BTC-USDT:USDT", "crypto_swap")}


def test_separators_count() -> None:
    assert meant(classifier(*STOCKS, *COINS).classify("A-B")) == {("A.B", "equity")}
    assert meant(classifier(*STOCKS, *COINS).classify("brk/b")) == {("BRK.B", "equity")}


def test_the_universe_has_the_last_word() -> None:
    universe = Universe.model_validate(
        {
            "start": "2024-01-01",
            "providers": {"binance": {}, "kraken": {}},
            "instruments": {
                "LINK": {"class": "etf", "listings": {}},
                "BRK.B": {"class": "index", "listings": {}},
                "MINE": {"class": "crypto_spot", "listings": {"kraken": "XXBTZUSD"}},
            },
        }
    )
    named = classifier(*STOCKS, *COINS, universe=universe)
    for name, key, kind in [
        ("LINK", "LINK", "etf"),
        ("brk-b", "BRK.B", "index"),
        ("XXBTZUSD", "MINE", "crypto_spot"),
    ]:
        decided = named.classify(name).decided
        assert decided, name
        assert (decided.key, decided.asset_class, decided.source) == (key, kind, "universe")
    assert meant(named.classify("XXBTZUSD", "binance")) == {("BTC-USD", "crypto_spot")}


def test_a_verdict_says_by_what_it_was_decided_and_how_sure() -> None:
    named = classifier(*STOCKS, *COINS)
    assert "certain: alpaca lists it as BRK.B" in named.classify("BRK-B").explain()
    assert "likely: ^ marks an index" in named.classify("^VIX").explain()
    assert "is ambiguous: " in named.classify("LINK").explain()
    assert "names nothing" in named.classify("???").explain()


@given(st.text(), st.text(), st.text(max_size=8))
def test_any_normal_form_can_be_a_key_and_means_one_pair(base: str, quote: str, end: str) -> None:
    base, quote = base or "A", quote or "B"
    key = pair_key(base, quote, end)
    assert checked_key(key) == key
    assert key != pair_key(quote + "x", base, end)
    assert key != pair_key(base, quote, end + "x")


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9./ _-]{0,8}", fullmatch=True))
def test_any_stock_has_a_key_that_is_its_own_normal_form(symbol: str) -> None:
    key = stock_key(symbol)
    assert checked_key(key) == key
    assert stock_key(key) == key


@given(st.text(max_size=20))
def test_any_text_has_a_verdict_and_no_rule_is_certain(name: str) -> None:
    for one in by_rules(name):
        assert one.certainty != "certain"
        assert one.key is None or checked_key(one.key) == one.key
