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

ASSET_CLASSES: Final[Mapping[str, str]] = {
    "spot": "crypto_spot",
    "swap": "crypto_swap",
    "future": "crypto_future",
}
"""Asset classes by ccxt's type of market. Options have none, and are left out."""

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
            if asset_class := ASSET_CLASSES.get(market["type"]):
                self._add(asset_class, dict(market))

    def _add(self, asset_class: str, market: dict[str, Any]) -> None:
        self.markets[asset_class].append(to_market(market))
        spellings = {market["id"], market["symbol"], market.get("altname")} - {None}
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


def to_market(market: Mapping[str, Any]) -> Market:
    """Return what the domain knows of a ccxt market."""
    return Market(
        symbol=market["id"],
        asset_class=ASSET_CLASSES[market["type"]],
        base=market["base"],
        quote=market["quote"],
        active=market["active"],
    )


def _loosened(symbol: str) -> str:
    return _SEPARATORS.sub("", symbol).upper()
