"""How providers without a market list spell an instrument: by rule, for a person to check."""

from __future__ import annotations

import re
from typing import Final

_SHARES: Final = {"WS": "WT", "U": "UN", "RT": "RI"}
_CLASS: Final = re.compile(r"[ABCDEGHIJK]|WS|U|RT")
"""Suffixes of American tickers. Others are exchanges: `VOD.L` is London's."""


def yahoo_symbol(key: str, asset_class: str) -> str | None:
    """Return how Yahoo spells an instrument; None if it has none of the kind."""
    if asset_class == "crypto_spot":
        return key if re.fullmatch(r"[A-Z0-9]+-(USD|EUR|BTC)", key) else None
    if asset_class == "fx":
        return f"{key.replace('-', '')}=X"
    if asset_class.startswith("crypto"):
        return None
    ticker, _, suffix = key.partition(".")
    if re.fullmatch("PR[A-Z]", suffix):
        return f"{ticker}-P{suffix[2]}"
    return f"{ticker}-{_SHARES.get(suffix, suffix)}" if _CLASS.fullmatch(suffix) else key


SPELLINGS: Final = {"yahoo": yahoo_symbol}
"""The rule of each kind of client that has one."""
