"""Alpaca's list of assets, and which of them a symbol names.

What belongs here: spellings, and what the list says of an asset. Not here: when it is loaded
(`alpaca_client`).
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pipeline.providers.errors import MalformedAnswer, UnknownSymbol
from pipeline.providers.protocol import Market

CLASS: Final = "us_equity"
"""Alpaca's class of all stocks and funds."""

_FUND: Final = re.compile(r"\b(ETFs?|ETNs?|Exchange[ -]Traded)\b", re.IGNORECASE)
_SEPARATORS: Final = re.compile(r"[./\s_-]")
_SUGGESTIONS: Final = 5


class AssetList:
    """The stocks and funds of Alpaca, found by any of their spellings.

    The list does not tell funds from stocks. `markets` calls a fund what has ETF or ETN in its
    name, which is a help for people who look for one; a listing is what the universe says it is.

    Args:
        provider: The provider's name in the universe, for errors.
        listed: Alpaca's assets, decoded.

    Raises:
        MalformedAnswer: It is no list of assets.
    """

    def __init__(self, provider: str, listed: object) -> None:
        if not isinstance(listed, list) or not all(map(_is_asset, listed)):
            raise MalformedAnswer(provider, "the answer is no list of assets")
        self._provider = provider
        assets: Iterable[Mapping[str, Any]] = listed
        self.markets = [_to_market(asset) for asset in assets if asset["class"] == CLASS]
        self._exact = {market.symbol: market for market in self.markets}
        self._loose: dict[str, list[Market]] = defaultdict(list)
        for market in self.markets:
            self._loose[_loosened(market.symbol)].append(market)

    def find(self, symbol: str) -> Market | None:
        """Return the asset that `symbol` names, also as `BRK-B` or `brk/b`; None if there is none.

        Raises:
            UnknownSymbol: Several have that spelling, and none is written exactly so.
        """
        if exact := self._exact.get(symbol):
            return exact
        matches = self._loose.get(_loosened(symbol), [])
        if len(matches) > 1:
            names = ", ".join(sorted(market.symbol for market in matches))
            raise UnknownSymbol(
                self._provider, f"{symbol!r} names several assets", f"choose one of {names}"
            )
        return matches[0] if matches else None

    def unknown(self, symbol: str) -> UnknownSymbol:
        """Return the error of a symbol that names nothing, with those that are close."""
        close = difflib.get_close_matches(symbol.upper(), self._exact, _SUGGESTIONS)
        hint = f"close are {', '.join(close)}" if close else "look it up in Alpaca's asset list"
        return UnknownSymbol(self._provider, f"no US stock or fund is called {symbol!r}", hint)


def _is_asset(asset: object) -> bool:
    return isinstance(asset, dict) and {"symbol", "class", "status"} <= asset.keys()


def _to_market(asset: Mapping[str, Any]) -> Market:
    return Market(
        symbol=asset["symbol"],
        asset_class="etf" if _FUND.search(asset.get("name") or "") else "equity",
        base=asset["symbol"],
        quote="USD",
        active=asset["status"] == "active",
        name=asset.get("name") or None,
        id=asset.get("id"),
    )


def _loosened(symbol: str) -> str:
    return _SEPARATORS.sub("", symbol).upper()
