"""Binance, spot `/api/v3` and USD-margined futures `/fapi/v1` (developers.binance.com, "Kline").

Rows have twelve fields, all numbers but times and counts as strings. `startTime` and `endTime` are
inclusive milliseconds; a start before the listing jumps to the first bar. Quiet minutes are flat
bars with volume 0. Requests are counted by weight, shown in `X-MBX-USED-WEIGHT-1M`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from venue.bars import DAY_MS, MINUTE_MS, MONTH_MS, UNIT, WEEK_MS, Bars, Ints
from venue.dialects.base import (
    FOR_EVER_MS,
    HOUR_MS,
    Answer,
    Dialect,
    Json,
    RefusedError,
    answer,
    whole,
)
from venue.limits import Budget
from venue.pages import Page, Window
from venue.render import Lines, Style, integer, lines, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from venue.market import Market, Symbol

_SPOT, _LINEAR, _INVERSE = "/api/v3/", "/fapi/v1/", "/dapi/v1/"
_STEPS = {
    **{f"{n}m": n * MINUTE_MS for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": n * HOUR_MS for n in (1, 2, 4, 6, 8, 12)},
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": WEEK_MS,
    "1M": MONTH_MS,
}
_DEFAULT_ROWS = 500
_MAX_ROWS = {_SPOT: 1000, _LINEAR: 1500}
_WEIGHTS = {"klines": 2, "exchangeInfo": 20}
_WEIGHT_A_MINUTE = 6000
_ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"]


def _error(code: int, text: str, status: int = 400, **headers: str) -> Answer:
    return answer({"code": code, "msg": text}, status, **headers)


class Binance(Dialect):
    """Binance spot and linear perpetual candles. Perpetuals' ids are `fapi:BTCUSDT`."""

    name = "binance"
    fills_quiet = True
    ban_seconds = 120.0
    budget = Budget(_WEIGHT_A_MINUTE, 60.0)
    row_fields: ClassVar = {"ts": 0, "open": 1, "high": 2, "low": 3, "close": 4}

    def market_id(self, symbol: Symbol) -> str:
        """Return `BTCUSDT`, with `fapi:` before it for a perpetual: the two share one name."""
        return ("fapi:" if symbol.perpetual else "") + symbol.base + symbol.quote

    def listed_name(self, market_id: str) -> str:
        """Return the id without the prefix, which is ours."""
        return market_id.removeprefix("fapi:")

    def weight(self, path: str) -> float:
        """Return the documented weight of the endpoint."""
        return _WEIGHTS.get(path.rpartition("/")[2], 1)

    def usage_headers(self, used: float, now_ms: int) -> Mapping[str, str]:
        """Show the weight of the running minute of the clock."""
        del now_ms
        return {"X-MBX-USED-WEIGHT": str(int(used)), "X-MBX-USED-WEIGHT-1M": str(int(used))}

    def window(self, path: str, query: Mapping[str, str], now_ms: int) -> Window | None:
        """Read `/api/v3/klines?symbol&interval&startTime&endTime&limit`."""
        section = next((s for s in _MAX_ROWS if path == s + "klines"), None)
        if section is None:
            return None
        for name in ("symbol", "interval"):
            if name not in query:
                text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
                raise RefusedError(_error(-1102, text))
        if query["interval"] not in _STEPS:
            raise RefusedError(_error(-1120, "Invalid interval."))
        start, end, limit = (
            whole(query, name, _error(-1100, f"Illegal characters found in parameter '{name}'."))
            for name in ("startTime", "endTime", "limit")
        )
        return Window(
            market=("fapi:" if section == _LINEAR else "") + query["symbol"],
            step_ms=_STEPS[query["interval"]],
            start_ms=start or 0,
            stop_ms=FOR_EVER_MS if end is None else end + 1,
            limit=min(limit or _DEFAULT_ROWS, _MAX_ROWS[section]),
            newest=start is None,
            now_ms=now_ms,
        )

    def lines(self, bars: Bars, market: Market, step_ms: int) -> Lines:
        """Render a row; turnover and taker's part, which bars lack, follow from the rest."""
        decimals = market.price_decimals if market.symbol.perpetual else 8
        lots = market.volume_decimals if market.symbol.perpetual else 8
        turnover = _turnover(bars)
        parts: list[Any] = [b"[", integer(bars.ts), b',"']
        for column in (bars.open, bars.high, bars.low, bars.close):
            parts += [number(column, Style.FIXED, decimals), b'","']
        parts += [number(bars.volume, Style.FIXED, lots), b'",', integer(bars.ts + step_ms - 1)]
        parts += [b',"', number(turnover, Style.FIXED), b'",', integer(bars.trades), b',"']
        parts += [number(bars.volume // 2, Style.FIXED, lots), b'","']
        parts += [number(turnover // 2, Style.FIXED), b'","0"]']
        return lines(bars.ts, parts)

    def body(self, page: Page, window: Window) -> bytes:
        """Return a bare array, ascending."""
        del window
        return b"[" + page.text(descending=False) + b"]"

    def rows(self, document: Json) -> list[Json]:
        """Return the answer itself, which is the list."""
        return cast("list[Json]", document)

    def unknown_symbol(self) -> Answer:
        """Answer 400 with code -1121."""
        return _error(-1121, "Invalid symbol.")

    def limited(self, retry_after: float, now_ms: int) -> Answer:
        """Answer 429 with code -1003 and Retry-After."""
        del now_ms
        text = (
            f"Too much request weight used; current limit is {_WEIGHT_A_MINUTE} request weight per"
            " 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
        )
        return _error(-1003, text, 429, Retry_After=str(math.ceil(retry_after)))

    def banned(self, retry_after: float, now_ms: int) -> Answer:
        """Answer 418 with code -1003 and Retry-After."""
        del now_ms
        text = "Way too much request weight used; IP banned. Please use WebSocket Streams."
        return _error(-1003, text, 418, Retry_After=str(math.ceil(retry_after)))

    def catalogue(
        self, path: str, query: Mapping[str, str], markets: Sequence[Market], now_ms: int
    ) -> Answer | None:
        """Answer exchangeInfo, time and ping of the three sections; coin-margined lists nothing."""
        del query
        section = next((s for s in (_SPOT, _LINEAR, _INVERSE) if path.startswith(s)), "")
        endpoint = path.removeprefix(section)
        if endpoint == "ping":
            return answer({})
        if endpoint == "time":
            return answer({"serverTime": now_ms})
        if endpoint != "exchangeInfo":
            return None
        writers = {_SPOT: (_spot, False), _LINEAR: (_linear, True)}
        writer, perpetual = writers.get(section, (_linear, None))
        listed = [writer(m) for m in markets if m.symbol.perpetual is perpetual]
        return answer(_information(listed, now_ms))


def _turnover(bars: Bars) -> Ints:
    """Return volume times a mean price; in floats, because the product overflows 64 bits."""
    mean = (bars.open + bars.high + bars.low + bars.close) / 4 / UNIT
    return np.rint(mean * bars.volume).astype(np.int64)


def _information(symbols: list[dict[str, Any]], now_ms: int) -> dict[str, Any]:
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": [{**weight, "limit": _WEIGHT_A_MINUTE}],
        "exchangeFilters": [],
        "symbols": symbols,
    }


def _filters(market: Market) -> list[dict[str, Any]]:
    tick = f"{10.0**-market.price_decimals:.8f}"
    step = f"{10.0**-market.volume_decimals:.8f}"
    quantity = {"minQty": step, "maxQty": "9000.00000000", "stepSize": step}
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": tick,
            "maxPrice": "1000000.00000000",
            "tickSize": tick,
        },
        {"filterType": "LOT_SIZE", **quantity},
        {"filterType": "MARKET_LOT_SIZE", **quantity},
        {"filterType": "MIN_NOTIONAL", "minNotional": "10.00000000", "applyToMarket": True},
    ]


def _spot(market: Market) -> dict[str, Any]:
    return {
        "symbol": market.symbol.base + market.symbol.quote,
        "status": "TRADING",
        "baseAsset": market.symbol.base,
        "baseAssetPrecision": 8,
        "quoteAsset": market.symbol.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": _ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": True,
        "filters": _filters(market),
        "permissions": ["SPOT", "MARGIN"],
    }


def _linear(market: Market) -> dict[str, Any]:
    pair = market.symbol.base + market.symbol.quote
    return {
        "symbol": pair,
        "pair": pair,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": market.listed_at,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": market.symbol.base,
        "quoteAsset": market.symbol.quote,
        "marginAsset": market.symbol.quote,
        "pricePrecision": market.price_decimals,
        "quantityPrecision": market.volume_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "filters": _filters(market),
        "orderTypes": ["LIMIT", "MARKET", "STOP"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }
