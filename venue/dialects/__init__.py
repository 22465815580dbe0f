"""One dialect an exchange: how it reads a request and how it writes an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venue.dialects.alpaca import Alpaca
from venue.dialects.alpha_vantage import AlphaVantage
from venue.dialects.binance import Binance
from venue.dialects.bitfinex import Bitfinex
from venue.dialects.coinbase import Coinbase
from venue.dialects.coingecko import CoinGecko
from venue.dialects.fmp import Fmp
from venue.dialects.kraken import Kraken
from venue.dialects.yahoo import Yahoo

if TYPE_CHECKING:
    from venue.dialects.base import Dialect

_ALL: tuple[Dialect, ...] = (
    Alpaca(),
    AlphaVantage(),
    Binance(),
    Bitfinex(),
    Coinbase(),
    CoinGecko(),
    Fmp(),
    Kraken(),
    Yahoo(),
)

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in _ALL}
