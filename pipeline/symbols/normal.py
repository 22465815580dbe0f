"""The normal form of an instrument: one name, whatever its providers call it.

`BTC-USD` is a pair; `BTC-USDT:USDT` a perpetual swap settled in USDT, `BTC-USDT:USDT-241227` the
future that ends on that day: ccxt's unified symbols, with a dash where a key may have no slash.
Stocks have a dot before their class (`BRK.B`); indices keep their `^`, continuous futures `=F`.
"""

from __future__ import annotations

import re
from typing import Final

from pipeline.symbols.codes import safe

PAIRS: Final = frozenset({"crypto_spot", "crypto_swap", "crypto_future", "fx"})
"""The asset classes whose instruments are a pair of currencies."""

_SEPARATORS: Final = re.compile(r"[./\s_-]+")
_PREFERRED: Final = re.compile(r"-P-([A-Z])$")
_MARK: Final = re.compile(r"^(\^?)(.+?)((?:=F)?)$")


def pair_key(base: str, quote: str, contract: str = "") -> str:
    """Return the normal form of a pair.

    Args:
        base: What is traded, in its common code.
        quote: What it is paid in.
        contract: What tells contracts of one pair apart, as in ccxt's symbols after the colon.
    """
    pair = f"{safe(base)}-{safe(quote)}"
    if not contract:
        return pair
    return f"{pair}:{'-'.join(safe(part) for part in contract.split('-'))}"


def stock_key(symbol: str) -> str:
    """Return the normal form of a stock, fund, index or continuous future .

    `BRK/B` is `BRK.B`, and `BAC-P-L` `BAC.PRL`.
    """
    found = _MARK.match(_PREFERRED.sub(r".PR\1", symbol.strip()))
    if found is None:
        return safe(symbol)
    front, name, end = found.groups()
    return front + ".".join(safe(part) for part in _SEPARATORS.split(name) if part) + end


def normal_key(asset_class: str, symbol: str, base: str, quote: str, contract: str = "") -> str:
    """Return the normal form of what a provider lists; safe as a key of the universe."""
    if asset_class in PAIRS:
        return pair_key(base, quote, contract)
    return stock_key(symbol)
