"""Coinbase Advanced Trade, public market data `/api/v3/brokerage/market`, and its v2 currencies.

Candles are objects of strings, newest first, without a row for a quiet minute. `start` and `end`
are seconds, both inclusive; a span of 350 candles or more is refused, not cut.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

from venue.bars import DAY_MS, MINUTE_MS, Bars
from venue.dialects.base import HOUR_MS, Answer, Dialect, Json, RefusedError, answer, whole
from venue.limits import Budget
from venue.pages import Page, Window
from venue.render import Lines, Style, integer, lines, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from venue.market import Market, Symbol

_PRODUCTS = "/api/v3/brokerage/market/products"
_CANDLES = re.compile(rf"^{_PRODUCTS}/([^/]+)/candles$")
_STEPS = {
    "ONE_MINUTE": MINUTE_MS,
    "FIVE_MINUTE": 5 * MINUTE_MS,
    "FIFTEEN_MINUTE": 15 * MINUTE_MS,
    "THIRTY_MINUTE": 30 * MINUTE_MS,
    "ONE_HOUR": HOUR_MS,
    "TWO_HOUR": 2 * HOUR_MS,
    "SIX_HOUR": 6 * HOUR_MS,
    "ONE_DAY": DAY_MS,
}
_MAX_ROWS = 350
_FIAT = {"USD": "US Dollar", "EUR": "Euro", "GBP": "British Pound"}


def _error(kind: str, text: str, status: int) -> Answer:
    return answer({"error": kind, "error_details": text, "message": text}, status)


class Coinbase(Dialect):
    """Coinbase spot candles."""

    name = "coinbase"
    fills_quiet = False
    budget = Budget(10, 1.0)
    row_fields: ClassVar = {
        "ts": "start",
        "open": "open",
        "high": "high",
        "low": "low",
        "close": "close",
    }

    def market_id(self, symbol: Symbol) -> str:
        """Return `BTC-USD`."""
        if symbol.perpetual:
            raise ValueError(f"{symbol}: perpetuals are not part of this Coinbase")
        return str(symbol)

    def window(self, path: str, query: Mapping[str, str], now_ms: int) -> Window | None:
        """Read `.../products/BTC-USD/candles?start&end&granularity&limit`."""
        match = _CANDLES.match(path)
        if match is None:
            return None
        step_ms = _STEPS.get(query.get("granularity", ""))
        if step_ms is None:
            raise RefusedError(_error("INVALID_ARGUMENT", "granularity is not valid", 400))
        invalid = _error("INVALID_ARGUMENT", "start and end must be unix timestamps", 400)
        start, end = whole(query, "start", invalid), whole(query, "end", invalid)
        if start is None or end is None:
            raise RefusedError(invalid)
        if (end - start) * 1000 >= _MAX_ROWS * step_ms:
            text = f"number of candles requested should be less than {_MAX_ROWS} "
            raise RefusedError(_error("INVALID_ARGUMENT", text, 400))
        return Window(
            market=match[1],
            step_ms=step_ms,
            start_ms=start * 1000,
            stop_ms=end * 1000 + 1,
            limit=min(whole(query, "limit", invalid) or _MAX_ROWS, _MAX_ROWS),
            newest=True,
            now_ms=now_ms,
            descending=True,
        )

    def lines(self, bars: Bars, market: Market, step_ms: int) -> Lines:
        """Render an object of strings without trailing zeros."""
        del market, step_ms
        parts: list[Any] = [b'{"start":"', integer(bars.ts // 1000)]
        for name in ("low", "high", "open", "close", "volume"):
            parts += [b'","%s":"' % name.encode(), number(getattr(bars, name), Style.TRIMMED)]
        return lines(bars.ts, [*parts, b'"}'])

    def body(self, page: Page, window: Window) -> bytes:
        """Wrap the rows."""
        return b'{"candles":[' + page.text(descending=window.descending) + b"]}"

    def rows(self, document: Json) -> list[Json]:
        """Return the list of candles."""
        return cast("list[Json]", document["candles"])

    def unknown_symbol(self) -> Answer:
        """Answer 404 `NOT_FOUND`."""
        return _error("NOT_FOUND", "valid product_id is required", 404)

    def limited(self, retry_after: float, now_ms: int) -> Answer:
        """Answer 429 in the shape that all Coinbase APIs share."""
        del retry_after, now_ms
        message = {"id": "rate_limit_exceeded", "message": "Too many requests"}
        return answer({"errors": [message]}, 429)

    def catalogue(
        self, path: str, query: Mapping[str, str], markets: Sequence[Market], now_ms: int
    ) -> Answer | None:
        """Answer the products, the server's time, and the v2 currency lists."""
        if path == _PRODUCTS:
            listed = [] if query.get("product_type") == "FUTURE" else [_product(m) for m in markets]
            return answer({"products": listed, "num_products": len(listed), "pagination": None})
        codes = sorted({code for m in markets for code in (m.symbol.base, m.symbol.quote)})
        coins = [code for code in codes if code not in _FIAT]
        iso = datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        documents: dict[str, object] = {
            "/v2/currencies": [_fiat(code) for code in codes if code in _FIAT],
            "/v2/currencies/crypto": [_coin(code) for code in coins],
            "/v2/exchange-rates": {"currency": "USD", "rates": dict.fromkeys(codes, "1.0")},
            "/v2/time": {"iso": iso, "epoch": now_ms // 1000},
        }
        return answer({"data": documents[path]}) if path in documents else None


def _fiat(code: str) -> dict[str, str]:
    return {"id": code, "name": _FIAT[code], "min_size": "0.01"}


def _coin(code: str) -> dict[str, Any]:
    return {
        "asset_id": f"asset-{code}",
        "code": code,
        "name": code,
        "exponent": 8,
        "type": "crypto",
    }


def _product(market: Market) -> dict[str, Any]:
    base, quote = market.symbol.base, market.symbol.quote
    tick = f"{10.0**-market.price_decimals:.{market.price_decimals}f}"
    return {
        "product_id": str(market.symbol),
        "price": "",
        "base_increment": "0.00000001",
        "quote_increment": tick,
        "quote_min_size": "1",
        "quote_max_size": "150000000",
        "base_min_size": "0.00000001",
        "base_max_size": "3400",
        "base_name": base,
        "quote_name": _FIAT.get(quote, quote),
        "watched": False,
        "is_disabled": False,
        "new": False,
        "status": "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": False,
        "auction_mode": False,
        "product_type": "SPOT",
        "quote_currency_id": quote,
        "base_currency_id": base,
        "fcm_trading_session_details": None,
        "mid_market_price": "",
        "alias": "",
        "alias_to": [],
        "base_display_symbol": base,
        "quote_display_symbol": quote,
        "view_only": False,
        "price_increment": tick,
        "display_name": str(market.symbol),
        "product_venue": "CBE",
    }
