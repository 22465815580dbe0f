"""Kraken, REST `/0/public` (docs.kraken.com, "Get OHLC Data"; a recorded body of 721 rows).

Whatever `since` says, OHLC knows only the newest 720 bars and the one in progress. Rows are
`[seconds,"open","high","low","close","vwap","volume",count]`; quiet minutes are there, flat and
with volume 0. Errors arrive with status 200.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import orjson

from venue.bars import MINUTE_MS, Bars
from venue.dialects.base import FOR_EVER_MS, Answer, Dialect, Json, RefusedError, answer, whole
from venue.limits import Budget
from venue.pages import Page, Window
from venue.render import Lines, Style, integer, lines, number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from venue.market import Market, Symbol

_PUBLIC = "/0/public/"
_STEP_MINUTES = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
_COMMITTED = 720
_OWN_CODES = {"BTC": "XBT", "DOGE": "XDG"}
_CRYPTO, _FIAT = {"XBT", "ETH", "LTC", "XRP", "XDG", "XMR", "ETC", "ZEC"}, {"USD", "EUR", "GBP"}
_FEES = [[0, 0.4], [10000, 0.35], [50000, 0.24], [10000000, 0.1]]
_MAKER_FEES = [[0, 0.25], [10000, 0.2], [50000, 0.14], [10000000, 0.0]]


def _error(text: str) -> Answer:
    return answer({"error": [text]})


class Kraken(Dialect):
    """Kraken spot candles."""

    name = "kraken"
    fills_quiet = True
    first_weekday = 3  # its weeks are counted from 1970-01-01, a Thursday
    budget = Budget(15, 15.0)
    row_fields: ClassVar = {"ts": 0, "open": 1, "high": 2, "low": 3, "close": 4}

    def market_id(self, symbol: Symbol) -> str:
        """Return `XXBTZUSD` where both sides have an old long code, else `XBTUSDT`."""
        if symbol.perpetual:
            raise ValueError(f"{symbol}: Kraken's spot API lists no perpetuals")
        base, quote = _asset(symbol.base), _asset(symbol.quote)
        legacy = base[0] == "X" and quote[0] == "Z" and len(base) == len(quote) == len("XXBT")
        return base + quote if legacy else _alternative(symbol)

    def aliases(self, symbol: Symbol) -> Sequence[str]:
        """Return the id and the alternative name, `XBTUSD`."""
        return (self.market_id(symbol), _alternative(symbol))

    def window(self, path: str, query: Mapping[str, str], now_ms: int) -> Window | None:
        """Read `/0/public/OHLC?pair&interval&since`; `since` is exclusive, in seconds."""
        if path != _PUBLIC + "OHLC":
            return None
        invalid = _error("EGeneral:Invalid arguments")
        interval = whole(query, "interval", invalid) or 1
        since = whole(query, "since", invalid)
        if interval not in _STEP_MINUTES:
            raise RefusedError(_error("EGeneral:Invalid arguments:interval"))
        step_ms = interval * MINUTE_MS
        oldest_ms = (now_ms // step_ms - _COMMITTED) * step_ms
        return Window(
            market=query.get("pair", ""),
            step_ms=step_ms,
            start_ms=oldest_ms if since is None else max(oldest_ms, since * 1000 + 1),
            stop_ms=FOR_EVER_MS,
            limit=_COMMITTED + 1,
            newest=True,
            now_ms=now_ms,
        )

    def lines(self, bars: Bars, market: Market, step_ms: int) -> Lines:
        """Render a row; vwap, which bars do not have, follows from the others."""
        del step_ms
        traded = bars.volume > 0
        vwap = (bars.open + bars.high + bars.low + bars.close) // 4 * traded
        parts: list[Any] = [b"[", integer(bars.ts // 1000), b',"']
        for column in (bars.open, bars.high, bars.low, bars.close):
            parts += [number(column, Style.FIXED, market.price_decimals), b'","']
        unpriced = number(vwap, Style.FIXED, market.price_decimals)
        parts += [
            unpriced,
            b'","',
            number(bars.volume, Style.FIXED),
            b'",',
            integer(bars.trades),
            b"]",
        ]
        return lines(bars.ts, parts)

    def body(self, page: Page, window: Window) -> bytes:
        """Wrap the rows; `last` is the last bar that is over."""
        over = page.ts[page.ts <= window.now_ms - window.step_ms]
        last = int(np.max(over, initial=window.start_ms)) // 1000
        rows = page.text(descending=False)
        head = b'{"error":[],"result":{"%s":[' % window.market.encode()
        return head + rows + b'],"last":%d}}' % last

    def rows(self, document: Json) -> list[Json]:
        """Return the one list in the result."""
        result = cast("dict[str, Any]", document["result"])
        return next(value for value in result.values() if isinstance(value, list))

    def unknown_symbol(self) -> Answer:
        """Answer 200 with `EQuery:Unknown asset pair`."""
        return _error("EQuery:Unknown asset pair")

    def limited(self, retry_after: float, now_ms: int) -> Answer:
        """Answer 200 with `EGeneral:Too many requests`."""
        del retry_after, now_ms
        return _error("EGeneral:Too many requests")

    def catalogue(
        self, path: str, query: Mapping[str, str], markets: Sequence[Market], now_ms: int
    ) -> Answer | None:
        """Answer AssetPairs, Assets, Time and SystemStatus."""
        del query
        now = datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        writers: dict[str, Callable[[], dict[str, Any]]] = {
            "AssetPairs": lambda: {self.market_id(m.symbol): _listing(m) for m in markets},
            "Assets": lambda: _assets(markets),
            "Time": lambda: {"unixtime": now_ms // 1000, "rfc1123": now},
            "SystemStatus": lambda: {"status": "online", "timestamp": now},
        }
        writer = writers.get(path.removeprefix(_PUBLIC))
        return writer and Answer(orjson.dumps({"error": [], "result": writer()}))


def _alternative(symbol: Symbol) -> str:
    return "".join(_OWN_CODES.get(code, code) for code in (symbol.base, symbol.quote))


def _asset(code: str) -> str:
    own = _OWN_CODES.get(code, code)
    return f"X{own}" if own in _CRYPTO else f"Z{own}" if own in _FIAT else own


def _assets(markets: Sequence[Market]) -> dict[str, dict[str, Any]]:
    codes = sorted({code for m in markets for code in (m.symbol.base, m.symbol.quote)})
    shape = {"decimals": 10, "display_decimals": 5, "status": "enabled"}
    return {
        _asset(code): {"aclass": "currency", "altname": _OWN_CODES.get(code, code), **shape}
        for code in codes
    }


def _listing(market: Market) -> dict[str, Any]:
    symbol = market.symbol
    return {
        "altname": _alternative(symbol),
        "wsname": "/".join(_OWN_CODES.get(c, c) for c in (symbol.base, symbol.quote)),
        "aclass_base": "currency",
        "base": _asset(symbol.base),
        "aclass_quote": "currency",
        "quote": _asset(symbol.quote),
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": market.price_decimals,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [2, 3],
        "leverage_sell": [2, 3],
        "fees": _FEES,
        "fees_maker": _MAKER_FEES,
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.00005",
        "costmin": "0.5",
        "tick_size": f"{10.0**-market.price_decimals:.{market.price_decimals}f}",
        "status": "online",
    }
