"""Codes of currencies and coins: which are which, and how exchanges disguise them.

What belongs here: tables. They serve names that no market list knows; a list always says more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

_FIAT = """
AED ARS AUD BRL CAD CHF CLP CNH CNY COP CZK DKK EUR GBP HKD HUF IDR ILS INR JPY KES KRW KZT MXN
MYR NGN NOK NZD PHP PLN QAR RUB SAR SEK SGD THB TRY TWD UAH USD VND ZAR
"""
_STABLE = """
BIDR BKRW BUSD BVND DAI EURC EURI EURS EURT FDUSD FRAX GUSD LUSD PAX PYUSD RLUSD SUSD TUSD USD1
USDC USDD USDE USDP USDS USDT UST USTC XSGD
"""
_COINS = """
1INCH AAVE ADA AERO AGIX AI ALGO ANKR ANT APE API3 APT AR ARB ARKM ATOM AUDIO AVAX AXL AXS BAL
BAND BAT BCH BICO BLUR BNB BNT BONK BSV BTC BTT CAKE CELO CELR CFX CHR CHZ COMP COTI CRO CRV
CTSI CVC CVX DASH DCR DENT DGB DIA DOGE DOT DYDX EGLD EIGEN ENA ENJ ENS EOS ETC ETH FET FIL
FLOKI FLOW FLR FTM FTT FXS GALA GAS GLM GMT GMX GNO GRT GTC HBAR HNT HOT HYPE ICP ICX ID ILV IMX
INJ IO IOTA IOTX JASMY JOE JTO JUP KAS KAVA KDA KNC KSM LDO LINK LIT LPT LRC LSK LTC LUNA LUNC
MAGIC MANA MASK MATIC MINA MKR MNT MOVE NEAR NEO NEXO NKN NMR OCEAN OKB OM OMG ONDO ONE ONT OP
ORDI OSMO PAXG PENDLE PEOPLE PEPE POL POWR PYTH QNT QTUM RAD RARE RDNT REN REP REQ RLC RNDR ROSE
RPL RSR RUNE RVN S SAFE SAND SC SEI SHIB SKL SLP SNT SNX SOL SPELL SSV STORJ STRK STX SUI SUN
SUPER SUSHI SXP SYN T TAO TIA TON TRB TRUMP TRX TURBO TWT UMA UNI VET W WAVES WBTC WIF WLD WOO
XEC XEM XLM XMR XRP XTZ XVS YFI ZEC ZEN ZIL ZK ZRO ZRX
"""

FIAT: Final = frozenset(_FIAT.split())
"""Currencies of states with a market of their own. Those whose code is also a coin's at some
exchange (MNT, GEL, RON ...) are left out: a pair of two of these is foreign exchange."""

STABLE: Final = frozenset(_STABLE.split())
"""Coins that follow a currency."""

COINS: Final = frozenset(_COINS.split())
"""Well-known coins: a bare name of these may be a coin, whatever else it is."""

QUOTES: Final = FIAT | STABLE | {"BNB", "BTC", "DOGE", "DOT", "ETH", "SOL", "TRX", "XRP"}
"""What markets are quoted in."""


@cache
def common_codes(exchange: str) -> Mapping[str, str]:
    """Return ccxt's table from an exchange's codes to the common ones (`XBT`: `BTC`).

    Args:
        exchange: ccxt's id.
    """
    import ccxt

    client: Any = getattr(ccxt, exchange)()
    return dict(client.commonCurrencies)


def is_fx(base: str, quote: str) -> bool:
    """Whether a pair is foreign exchange, wherever it is traded."""
    return base in FIAT and quote in FIAT


_UNSAFE: Final = re.compile(r"(?<![A-Za-z0-9])[._]|[^A-Za-z0-9._]")


def safe(code: str) -> str:
    """Return a code in letters that a key may have; others become `^` and their bytes in hex.

    Different codes stay different: some exchanges have coins like `$WIF`, or in Chinese letters.
    """
    return _UNSAFE.sub(lambda found: "".join(f"^{b:02X}" for b in found[0].encode()), code)
