"""Alpaca: bars of US stocks, `/v2/stocks` of the data host, and the trading host's `/v2/assets`.

Bars are objects, ascending unless asked otherwise; a minute without a trade has none. `start` and
`end` are RFC 3339, both inclusive. A request for many symbols is answered symbol by symbol, in the
order of the alphabet: a page may end inside one, and `next_page_token` says where. A symbol that
nobody knows has no bars. The feed `iex` is another market, configured as `AAPL@iex`. The free plan
sees no `sip` of the last 15 minutes.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import orjson

from venue.bars import DAY_MS, MINUTE_MS, Bars
from venue.dialects.alpaca_query import (
    SYMBOL,
    limit_of,
    names_of,
    one_of,
    read_token,
    refusal,
    step_of,
    time_of,
    token_after,
)
from venue.dialects.base import Answer, Dialect, Json, RefusedError, answer
from venue.limits import Budget
from venue.market import Symbol
from venue.pages import Window
from venue.render import Lines, Style, integer, lines, number, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from venue.market import Market
    from venue.mischief import Scene
    from venue.pages import Page

_BARS = re.compile(r"^/v2/stocks/(?:([^/]+)/)?bars$")
_ASSETS = "/v2/assets"
_FEEDS = frozenset({"sip", "iex"})
_ADJUSTMENTS = frozenset({"raw", "split", "dividend", "all"})
_RECENT_MS = 15 * MINUTE_MS
_NOT_PAID = "subscription does not permit querying recent SIP data"


class Alpaca(Dialect):
    """Alpaca's bars of stocks and its list of assets."""

    name = "alpaca"
    fills_quiet = False
    hours = "new_york"
    price_decimals = 2
    volume_decimals = 0
    skips_unknown = True
    budget = Budget(200, 60.0)
    row_fields: ClassVar = {"ts": "t", "open": "o", "high": "h", "low": "l", "close": "c"}

    def symbol(self, name: str) -> Symbol:
        """Read `AAPL` or `AAPL@iex`."""
        symbol = Symbol.stock(name)
        if not SYMBOL.match(symbol.base) or symbol.feed not in {"", "iex"}:
            raise ValueError(f"{name!r} is no stock of Alpaca: write BRK.B, or BRK.B@iex")
        return symbol

    def market_id(self, symbol: Symbol) -> str:
        """Return `AAPL`, or `AAPL@iex` for that feed: the two share one name."""
        return str(symbol)

    def admit(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], keys: Sequence[str]
    ) -> None:
        """Want both headers: 401 of the trading host, 403 of the data host if a key is unknown."""
        del query
        given = [headers.get(name) for name in ("APCA-API-KEY-ID", "APCA-API-SECRET-KEY")]
        if all(given) and (not keys or set(given) <= set(keys)):
            return
        if path.startswith(_ASSETS):
            raise RefusedError(refusal("request is not authorized", 401, 40110000))
        raise RefusedError(refusal("forbidden.", 403))

    def windows(
        self, path: str, query: Mapping[str, str], now_ms: int, plan: str
    ) -> Sequence[Window] | None:
        """Read `/v2/stocks/bars?symbols&timeframe&start&end&limit&feed&sort&page_token`.

        One window for each symbol, from where the page before has ended; each of them may hold one
        row more than the page, which shows that there is a next one.
        """
        match = _BARS.match(path)
        if match is None:
            return None
        feed = one_of(query, "feed", _FEEDS, "sip")
        one_of(query, "adjustment", _ADJUSTMENTS, "raw")
        descending = one_of(query, "sort", {"asc", "desc"}, "asc") == "desc"
        paid = plan != "free" or feed != "sip"
        start = time_of(query, "start", now_ms // DAY_MS * DAY_MS)
        end = time_of(query, "end", now_ms if paid else now_ms - _RECENT_MS)
        if end < start:
            raise RefusedError(refusal("end should not be before start"))
        if not paid and end > now_ms - _RECENT_MS:
            raise RefusedError(self.not_paid())
        token = query.get("page_token")
        seen, last = read_token(token) if token else ("", 0)
        names = [match[1]] if match[1] else names_of(query)
        step_ms, limit = step_of(query), limit_of(query)
        # A bar of minutes comes when it is over.
        over_ms = now_ms if step_ms >= DAY_MS else now_ms // step_ms * step_ms
        stop_ms = min(end + 1, over_ms)
        windows = []
        for name in sorted(names):
            first, stop = start, stop_ms
            if name == seen:
                first, stop = (first, last) if descending else (last + 1, stop)
            if name >= seen:
                market = name if feed == "sip" else f"{name}@{feed}"
                order = {"newest": descending, "descending": descending}
                windows.append(
                    Window(market, step_ms, first, stop, limit + 1, now_ms=now_ms, **order)
                )
        return windows

    def candles(
        self, path: str, query: Mapping[str, str], scenes: Sequence[Scene], pages: Iterator[Page]
    ) -> tuple[Answer, int]:
        """Fill one page, symbol by symbol."""
        del query
        windows = [scene.window for scene in scenes]
        left = windows[0].limit - 1 if windows else 0
        filled: dict[str, orjson.Fragment] = {}
        count, token = 0, None
        for window, page in zip(windows, pages, strict=False):
            name = window.market.partition("@")[0]
            if left and len(page):
                part = page.cut(left, newest=window.descending)
                rows = b"[" + part.text(descending=window.descending) + b"]"
                filled[name] = orjson.Fragment(rows)
                left, count = left - len(part), count + len(part)
                last = name, int(part.ts[0 if window.descending else -1]), window
                if len(page) > len(part):
                    token = token_after(*last)
                    break
            elif len(page):
                token = token_after(*last)
                break
        single = _BARS.match(path)
        if single and single[1]:
            bars = filled.get(single[1])
            document = {"bars": bars, "next_page_token": token, "symbol": single[1]}
        else:
            document = {"bars": filled, "next_page_token": token}
        return answer(document), count

    def lines(self, bars: Bars, market: Market, step_ms: int) -> Lines:
        """Render an object; the mean price, which bars lack, follows from the rest."""
        del market, step_ms
        mean = (bars.open + bars.high + bars.low + bars.close) // 4
        stamps = np.datetime_as_string(bars.ts.astype("datetime64[ms]"), unit="s").astype("S19")
        parts: list[Any] = []
        for name, column in (("c", bars.close), ("h", bars.high), ("l", bars.low)):
            parts += [b'%s"%s":' % (b"," if parts else b"{", name.encode())]
            parts += [number(column, Style.TRIMMED)]
        parts += [b',"n":', integer(bars.trades), b',"o":', number(bars.open, Style.TRIMMED)]
        parts += [b',"t":"', text(stamps), b'Z","v":', number(bars.volume, Style.TRIMMED)]
        parts += [b',"vw":', number(mean, Style.TRIMMED, 6)]
        return lines(bars.ts, [*parts, b"}"])

    def rows(self, document: Json) -> list[Json]:
        """Return all bars of an answer."""
        bars = document["bars"] or []
        return [bar for part in bars.values() for bar in part] if isinstance(bars, dict) else bars

    def rows_of(self, document: Json, symbol: str | None) -> list[Json]:
        """Return the bars of one symbol, or of all."""
        bars = document["bars"]
        if symbol is None or not isinstance(bars, dict):
            return self.rows(document)
        rows: list[Json] = bars.get(symbol.partition("@")[0], [])
        return rows

    def spoil_token(self, document: Json, variant: str, query: Mapping[str, str]) -> None:
        """Send the token again that was asked with, or none."""
        if variant == "dropped":
            document["next_page_token"] = None
        elif "page_token" in query:
            document["next_page_token"] = query["page_token"]

    def unknown_symbol(self) -> Answer:
        """Answer a request for an asset that is not listed."""
        return refusal("asset not found", 404, 40410000)

    def limited(self, retry_after: float, now_ms: int) -> Answer:
        """Answer 429; the headers say when the limit begins anew."""
        reset = -(-(now_ms + int(retry_after * 1000)) // 1000)
        return answer({"message": "too many requests."}, 429, **_limits(0, reset))

    def not_paid(self) -> Answer:
        """Answer 403 about recent data of the feed `sip`."""
        return refusal(_NOT_PAID, 403)

    def usage_headers(self, used: float, now_ms: int) -> Mapping[str, str]:
        """Tell what is left of the running minute."""
        left = max(0, int(self.budget.capacity - used))
        named = _limits(left, (now_ms // MINUTE_MS + 1) * MINUTE_MS // 1000)
        return {name.replace("_", "-"): value for name, value in named.items()}

    def catalogue(
        self, path: str, query: Mapping[str, str], markets: Sequence[Market], now_ms: int
    ) -> Answer | None:
        """Answer `/v2/assets?status&asset_class&exchange` and `/v2/assets/AAPL`."""
        if not path.startswith(_ASSETS):
            return None
        wanted = query.get("asset_class", "us_equity")
        listed = [_asset(market, now_ms) for market in markets if not market.symbol.feed]
        name = path.removeprefix(_ASSETS).strip("/")
        if name:
            found = [asset for asset in listed if asset["symbol"] == name]
            return answer(found[0]) if found else self.unknown_symbol()
        filters = {key: query[key] for key in ("status", "exchange") if key in query}
        chosen = [one for one in listed if wanted == "us_equity" and filters.items() <= one.items()]
        return answer(chosen)


def _limits(left: int, reset: int) -> dict[str, str]:
    return {
        "X_RateLimit_Limit": str(int(Alpaca.budget.capacity)),
        "X_RateLimit_Remaining": str(left),
        "X_RateLimit_Reset": str(reset),
    }


def _asset(market: Market, now_ms: int) -> dict[str, Any]:
    active = now_ms < market.source.span[1]
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, str(market.symbol))),
        "class": "us_equity",
        "exchange": market.listed_on,
        "symbol": str(market.symbol),
        "name": market.name or f"{market.symbol} Common Stock",
        "status": "active" if active else "inactive",
        "tradable": active,
        "marginable": active,
        "maintenance_margin_requirement": 30,
        "margin_requirement_long": "30",
        "margin_requirement_short": "30",
        "shortable": active,
        "easy_to_borrow": active,
        "fractionable": active,
        "attributes": ["fractional_eh_enabled", "has_options"] if active else [],
    }
