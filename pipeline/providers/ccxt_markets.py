"""A ccxt exchange's markets, and which of them a symbol names.

What belongs here: asset classes and spellings. Not here: when the list is loaded (`ccxt_client`).
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pipeline.providers.errors import UnknownSymbol
from pipeline.providers.protocol import Market
from pipeline.symbols.codes import is_fx

TYPES: Final[Mapping[str, str]] = {
    "crypto_spot": "spot",
    "crypto_swap": "swap",
    "crypto_future": "future",
    "fx": "spot",
}
"""ccxt's type of market for each asset class. Options have none, and are left out."""
_CLASSES: Final = {kind: name for name, kind in TYPES.items() if name != "fx"}

_SEPARATORS: Final = re.compile(r"[/:_.\s-]")
_SUGGESTIONS: Final = 5


class MarketList:
    """The markets of an exchange, found by any of their spellings.

    Args:
        provider: The provider's name in the universe, for errors.
        listed: ccxt's markets.
    """

    def __init__(self, provider: str, listed: Iterable[Mapping[str, Any]]) -> None:
        self._provider = provider
        self._exact: dict[tuple[str, str], dict[str, Any]] = {}
        self._loose: dict[tuple[str, str], dict[str, dict[str, Any]]] = defaultdict(dict)
        self.markets: dict[str, list[Market]] = defaultdict(list)
        for market in listed:
            if market["type"] in _CLASSES:
                self._add(to_market(market), dict(market))

    def _add(self, listed: Market, market: dict[str, Any]) -> None:
        asset_class = listed.asset_class
        self.markets[asset_class].append(listed)
        spellings = {listed.symbol, market["symbol"], *listed.spellings}
        for spelling in spellings:
            self._exact.setdefault((asset_class, spelling), market)
        for spelling in spellings | {f"{market['base']}{market['quote']}"}:
            self._loose[asset_class, _loosened(spelling)][market["symbol"]] = market

    def find(self, symbol: str, asset_class: str) -> dict[str, Any]:
        """Return ccxt's market that `symbol` names.

        The provider's own id and ccxt's unified symbol are taken as they are; other spellings of
        base and quote (`BTC-USD`, `btcusd`) where only one market fits.

        Raises:
            UnknownSymbol: No market of that asset class fits, or several do; the message names the
                close ones.
        """
        if exact := self._exact.get((asset_class, symbol)):
            return exact
        matches = self._loose.get((asset_class, _loosened(symbol)), {})
        if len(matches) == 1:
            return next(iter(matches.values()))
        if matches:
            raise UnknownSymbol(
                self._provider,
                f"{symbol!r} names several {asset_class} markets",
                f"choose one of {', '.join(sorted(matches))}",
            )
        raise UnknownSymbol(
            self._provider, f"no {asset_class} market is called {symbol!r}", self._hint(symbol)
        )

    def _hint(self, symbol: str) -> str:
        names = {name.upper(): f"{name} ({kind})" for kind, name in self._exact}
        close = difflib.get_close_matches(symbol.upper(), names, _SUGGESTIONS)
        return f"close are {', '.join(names[name] for name in close)}" if close else ""


def listed_markets(client: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401 - ccxt is untyped
    """Return what a ccxt client has listed, one market a common symbol.

    ccxt keeps the last one of a symbol, and asks that for bars: Kraken's dark pools (`XXBTZUSD.d`)
    would be taken for its markets. The one with the plainest id is kept here, and by ccxt.
    """
    kept: dict[str, Mapping[str, Any]] = {}
    for market in (one for same in client.markets_by_id.values() for one in same):
        rival = kept.setdefault(market["symbol"], market)
        if len(market["id"]) < len(rival["id"]):
            kept[market["symbol"]] = market
    client.markets.update(kept)
    return list(kept.values())


def to_market(market: Mapping[str, Any]) -> Market:
    """Return what the domain knows of a ccxt market.

    A spot market of two currencies of states is foreign exchange, though it never closes.
    """
    base, quote, kind = market["base"], market["quote"], market["type"]
    details = market["info"] if isinstance(market["info"], dict) else {}
    others = (market.get("altname"), details.get("altname"), details.get("wsname"))
    return Market(
        symbol=market["id"],
        asset_class="fx" if kind == "spot" and is_fx(base, quote) else _CLASSES[kind],
        base=base,
        quote=quote,
        active=market["active"],
        contract=_contract(market),
        spellings=tuple(sorted({str(other) for other in others if other})),
    )


def _contract(market: Mapping[str, Any]) -> str:
    """Return what a market's common symbol says beyond its pair (`BTC/USDT:USDT`, `ETHXBT.d`)."""
    symbol = str(market["symbol"])
    pair = f"{market['base']}/{market['quote']}"
    return symbol.removeprefix(pair).removeprefix(":")


def _loosened(symbol: str) -> str:
    return _SEPARATORS.sub("", symbol).upper()
