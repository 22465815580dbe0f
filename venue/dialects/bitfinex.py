"""Bitfinex, REST v2 (docs.bitfinex.com, "Candles" and "Configs"; recorded bodies of 2013-2016).

Rows are JSON numbers in the order time, open, CLOSE, HIGH, LOW, volume, written as JavaScript
writes them. `start` and `end` are inclusive milliseconds. A minute without trades has no row.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, cast

import orjson

from venue.bars import DAY_MS, MINUTE_MS, MONTH_MS, WEEK_MS, Bars
from venue.dialects.base import HOUR_MS, Answer, Dialect, Json, RefusedError, answer, whole
from venue.limits import Budget
from venue.pages import Page, Window
from venue.render import Lines, Style, integer, lines, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from venue.market import Market, Symbol

_CANDLES = re.compile(r"^/v2/candles/trade:(\w+):([^/]+)/(hist|last)$")
_STEPS = {
    **{f"{n}m": n * MINUTE_MS for n in (1, 5, 15, 30)},
    **{f"{n}h": n * HOUR_MS for n in (1, 3, 4, 6, 12)},
    "1D": DAY_MS,
    "7D": WEEK_MS,
    "1M": MONTH_MS,
}
_OWN_CODES = {"USDT": "UST", "USDC": "UDC", "DASH": "DSH", "IOTA": "IOT"}
_PLAIN_CODE = 3  # pairs of three-letter codes are written together, others with a colon
_MAX_ROWS, _DEFAULT_ROWS = 10_000, 100


def _error(code: int, text: str) -> Answer:
    return answer(["error", code, text], 500)


class Bitfinex(Dialect):
    """Bitfinex spot and perpetual candles."""

    name = "bitfinex"
    fills_quiet = False
    budget = Budget(30, 60.0)
    row_fields: ClassVar = {"ts": 0, "open": 1, "close": 2, "high": 3, "low": 4}

    def market_id(self, symbol: Symbol) -> str:
        """Return `tBTCUSD`, `tAVAX:USD`, or `tBTCF0:USTF0` for a perpetual."""
        return "t" + _pair(symbol)

    def listed_name(self, market_id: str) -> str:
        """Return the pair: lists leave out the `t`."""
        return market_id.removeprefix("t")

    def weight(self, path: str) -> float:
        """Count candles only: the configuration has an allowance of its own."""
        return 1 if "/candles/" in path else 0

    def window(self, path: str, query: Mapping[str, str], now_ms: int) -> Window | None:
        """Read `/v2/candles/trade:1m:tBTCUSD/hist?start&end&limit&sort`."""
        match = _CANDLES.match(path)
        if match is None:
            return None
        timeframe, market, section = match.groups()
        if timeframe not in _STEPS:
            raise RefusedError(_error(10020, "timeframe: invalid"))
        start, end, limit, sort = (
            whole(query, name, _error(10020, f"{name}: invalid"))
            for name in ("start", "end", "limit", "sort")
        )
        limit = 1 if section == "last" else _DEFAULT_ROWS if limit is None else limit
        if not 1 <= limit <= _MAX_ROWS:
            raise RefusedError(_error(10020, "limit: invalid"))
        return Window(
            market=market,
            step_ms=_STEPS[timeframe],
            start_ms=start or 0,
            stop_ms=now_ms + 1 if end is None else end + 1,
            limit=limit,
            newest=sort != 1,
            now_ms=now_ms,
            descending=sort != 1,
        )

    def lines(self, bars: Bars, market: Market, step_ms: int) -> Lines:
        """Render `[mts,open,close,high,low,volume]`."""
        del market, step_ms
        columns = (bars.open, bars.close, bars.high, bars.low, bars.volume)
        parts: list[Any] = [b"[", integer(bars.ts)]
        for column in columns:
            parts += [b",", number(column, Style.JAVASCRIPT)]
        return lines(bars.ts, [*parts, b"]"])

    def body(self, page: Page, window: Window) -> bytes:
        """Return a bare array; `[]` for a window without trades."""
        return b"[" + page.text(descending=window.descending) + b"]"

    def rows(self, document: Json) -> list[Json]:
        """Return the answer itself, which is the list."""
        return cast("list[Json]", document)

    def unknown_symbol(self) -> Answer:
        """Answer 500 `["error",10020,"symbol: invalid"]`."""
        return _error(10020, "symbol: invalid")

    def limited(self, retry_after: float, now_ms: int) -> Answer:
        """Answer 429 `["error",11010,"ratelimit: error"]`, without saying for how long."""
        del retry_after, now_ms
        return answer(["error", 11010, "ratelimit: error"], 429)

    def catalogue(
        self, path: str, query: Mapping[str, str], markets: Sequence[Market], now_ms: int
    ) -> Answer | None:
        """Answer `/v2/platform/status` and `/v2/conf/pub:...,pub:...`, a list a label."""
        del query, now_ms
        if path == "/v2/platform/status":
            return answer([1])
        if not path.startswith("/v2/conf/"):
            return None
        known = _configuration([market.symbol for market in markets])
        labels = path.removeprefix("/v2/conf/").split(",")
        return Answer(orjson.dumps([known.get(label, []) for label in labels]))


def _pair(symbol: Symbol) -> str:
    base, quote = (_OWN_CODES.get(code, code) for code in (symbol.base, symbol.quote))
    if symbol.perpetual:
        return f"{base}F0:{quote}F0"
    together = len(base) == len(quote) == _PLAIN_CODE
    return base + quote if together else f"{base}:{quote}"


def _configuration(symbols: Sequence[Symbol]) -> dict[str, list[Any]]:
    spot = [_pair(symbol) for symbol in symbols if not symbol.perpetual]
    perpetual = [_pair(symbol) for symbol in symbols if symbol.perpetual]
    codes = sorted({_OWN_CODES.get(c, c) for s in symbols for c in (s.base, s.quote)})
    limits = [None, None, None, "0.00004", "2000.0", None, None, None]
    return {
        "pub:list:pair:exchange": spot,
        "pub:list:pair:futures": perpetual,
        "pub:info:pair": [[pair, [*limits, None, None, None, None]] for pair in spot],
        "pub:info:pair:futures": [[pair, [*limits, 0.01, 0.005]] for pair in perpetual],
        "pub:list:currency": codes,
        "pub:map:currency:sym": [[own, code] for code, own in _OWN_CODES.items() if own in codes],
    }
