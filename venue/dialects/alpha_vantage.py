"""Alpha Vantage: minutes of US stocks by the month, `/query?function=TIME_SERIES_INTRADAY`.

Its documents about companies are in `alpha_vantage_documents`.

Everything is one path, and nearly everything is status 200. Rows are newest first, stamped with the
END of their minute in New York's time, and all values are text. Refusals, too, come as documents:
`Note`, `Information` or `Error Message`, some of which repeat the key that was sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import orjson

from venue.bars import DAY_MS, MINUTE_MS, Bars
from venue.dialects.alpha_vantage_documents import AlphaVantageDocuments
from venue.dialects.base import Answer, Dialect, Json, RefusedError
from venue.hours import NEW_YORK, Phase, to_local
from venue.limits import Budget
from venue.market import Symbol
from venue.pages import Window
from venue.render import Lines, Style, lines, number, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping, Sequence

    from venue.market import Market
    from venue.mischief import Scene
    from venue.pages import Page

_PATH = "/query"
_SERIES = "TIME_SERIES_INTRADAY"
_STEPS = {f"{minutes}min": minutes * MINUTE_MS for minutes in (1, 5, 15, 30, 60)}
_COMPACT, _MANY = 100, 1_000_000
_FIRST_YEAR = 2000
_DAYS_WITHOUT_MONTH = 30
_LONG_SECONDS = 120  # a refusal that lasts longer is about the day
_COLUMNS = ("1. open", "2. high", "3. low", "4. close", "5. volume")
_FREE = "Please claim your free API key on (https://www.alphavantage.co/support/#api-key). "
_MINUTE_LIMIT = (
    "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per minute and "
    "500 calls per day. Please visit https://www.alphavantage.co/premium/ if you would like to "
    "target a higher API call frequency."
)
_DAY_LIMIT = (
    "We have detected your API key as %s and our standard API rate limit is 25 requests per day. "
    "Please subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to "
    "instantly remove all daily rate limits."
)
_PREMIUM = (
    "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of "
    "the premium plans at https://www.alphavantage.co/premium/ to instantly unlock all premium "
    "endpoints"
)
_DEMO = (
    "The **demo** API key is for demo purposes only. Please claim your free API key at "
    "(https://www.alphavantage.co/support/#api-key) to explore our full API offerings. It takes "
    "fewer than 20 seconds."
)
_YOUR_KEY = "%s"


def _refusal(message: str, kind: str = "Error Message") -> Answer:
    return Answer(orjson.dumps({kind: message}, option=orjson.OPT_INDENT_2))


def _invalid_call(function: str = _SERIES) -> Answer:
    return _refusal(
        "Invalid API call. Please retry or visit the documentation "
        f"(https://www.alphavantage.co/documentation/) for {function}."
    )


class AlphaVantage(AlphaVantageDocuments, Dialect):
    """Alpha Vantage's intraday series, its list of stocks, and its documents."""

    name = "alpha_vantage"
    fills_quiet = False
    hours = "new_york"
    price_decimals = 4
    volume_decimals = 0
    budget = Budget(25, 86_400.0)
    row_fields: ClassVar = {
        "ts": "ts",
        **{name[3:]: name for name in _COLUMNS if name != "5. volume"},
    }

    def symbol(self, name: str) -> Symbol:
        """Read `MSFT` or `BRK-B`."""
        if not re.fullmatch(r"[A-Z]{1,6}(-[A-Z]{1,2})?", name):
            raise ValueError(f"{name!r} is no symbol of Alpha Vantage: write BRK-B")
        return Symbol(name)

    def market_id(self, symbol: Symbol) -> str:
        """Return the symbol as it is."""
        return str(symbol)

    def admit(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], keys: Sequence[str]
    ) -> None:
        """Want a key in the query; that of the documentation's examples opens little."""
        del path, headers
        key = query.get("apikey", "")
        if key == "demo":
            raise RefusedError(_refusal(_DEMO, "Information"))
        if not key or (keys and key not in keys):
            message = f"the parameter apikey is invalid or missing. {_FREE}It should take less than"
            raise RefusedError(_refusal(f"{message} 20 seconds."))

    def window(self, path: str, query: Mapping[str, str], now_ms: int) -> Window | None:
        """Read `function=TIME_SERIES_INTRADAY&symbol&interval&month&outputsize`."""
        if path != _PATH or query.get("function") != _SERIES:
            return None
        step_ms = _STEPS.get(query.get("interval", ""))
        if step_ms is None or not query.get("symbol"):
            raise RefusedError(_invalid_call())
        start_ms, stop_ms = now_ms - _DAYS_WITHOUT_MONTH * DAY_MS, now_ms
        if month := query.get("month"):
            start_ms, stop_ms = _month(month)
        if start_ms > now_ms:
            raise RefusedError(_invalid_call())
        full = query.get("outputsize", "compact") == "full"
        return Window(
            market=query["symbol"].upper(),
            step_ms=step_ms,
            start_ms=start_ms,
            stop_ms=min(stop_ms, now_ms // step_ms * step_ms),
            limit=_MANY if full else _COMPACT,
            newest=True,
            now_ms=now_ms,
            descending=True,
        )

    def lines(self, bars: Bars, market: Market, step_ms: int) -> Lines:
        """Render the members of a JSON object, each from a new line on."""
        ends = to_local(bars.ts) + step_ms
        stamps = np.datetime_as_string(ends.astype("datetime64[ms]"), unit="s")
        parts: list[Any] = [b'\n        "', text(np.char.replace(stamps, "T", " ").astype("S19"))]
        parts.append(b'": {')
        values = zip(_COLUMNS, bars.numbers()[1:], strict=True)
        for place, (name, column) in enumerate(values):
            style = Style.TRIMMED if name == "5. volume" else Style.FIXED
            comma = b"," if place else b""
            parts += [comma + b'\n            "%s": "' % name.encode()]
            parts += [number(column, style, market.price_decimals), b'"']
        return lines(bars.ts, [*parts, b"\n        }"])

    def candles(
        self, path: str, query: Mapping[str, str], scenes: Sequence[Scene], pages: Iterator[Page]
    ) -> tuple[Answer, int]:
        """Put the rows, newest first, into a document or a table."""
        del path
        scene, page = scenes[0], next(pages)
        if query.get("extended_hours", "true") == "false" and scene.market.hours:
            regular = scene.market.hours.phases(page.ts) == Phase.REGULAR
            rows = [row for piece in page.pieces for row in piece.rows()]
            kept = [row for row, keep in zip(rows, regular, strict=True) if keep]
            series = b",".join(reversed(kept))
        else:
            series = page.text(descending=True)
        interval = query["interval"]
        newest = series[10:29].decode() if series else ""
        meta = {
            "1. Information": f"Intraday ({interval}) open, high, low, close prices and volume",
            "2. Symbol": str(scene.market.symbol),
            "3. Last Refreshed": newest,
            "4. Interval": interval,
            "5. Output Size": "Full size" if query.get("outputsize") == "full" else "Compact",
            "6. Time Zone": "US/Eastern",
        }
        named = [b'        "%s": "%s"' % (k.encode(), v.encode()) for k, v in meta.items()]
        body = b'{\n    "Meta Data": {\n' + b",\n".join(named) + b"\n    },\n"
        body += b'    "Time Series (%s)": {' % interval.encode() + series + b"\n    }\n}"
        if query.get("datatype") == "csv":
            return Answer(_table(body), 200, "application/x-download"), len(page)
        return Answer(body), len(page)

    def rows(self, document: Json) -> list[Json]:
        """Return the rows of a series, newest first."""
        series = next(value for name, value in document.items() if name.startswith("Time Series"))
        return [_Row(series, stamp) for stamp in list(series)]

    def unknown_symbol(self) -> Answer:
        """Answer a request for a symbol that nobody knows."""
        return _invalid_call()

    def limited(self, retry_after: float, now_ms: int) -> Answer:
        """Answer with a `Note` about the minute, or `Information` about the day and the key."""
        del now_ms
        if retry_after <= _LONG_SECONDS:
            return _refusal(_MINUTE_LIMIT, "Note")
        return _refusal(_DAY_LIMIT, "Information")

    def not_paid(self) -> Answer:
        """Answer a request for what only paying clients have."""
        return _refusal(_PREMIUM, "Information")

    def addressed(self, found: Answer, query: Mapping[str, str]) -> Answer:
        """Put the client's key into an answer that repeats it."""
        if _YOUR_KEY.encode() not in found.body:
            return found
        body = found.body.replace(_YOUR_KEY.encode(), query.get("apikey", "").encode())
        return Answer(body, found.status, found.content_type, found.headers)

    def catalogue(
        self, path: str, query: Mapping[str, str], markets: Sequence[Market], now_ms: int
    ) -> Answer | None:
        """Answer `function=LISTING_STATUS`, a table of what trades, or with `state=delisted`."""
        if path != _PATH:
            return None
        if query.get("function") != "LISTING_STATUS":
            return _refusal("This API function () does not exist.")
        wanted = query.get("state", "active")
        head = "symbol,name,exchange,assetType,ipoDate,delistingDate,status"
        rows = [row for market in markets if (row := _listed(market, now_ms, wanted))]
        table = "".join(f"{line}\r\n" for line in [head, *rows])
        return Answer(table.encode(), 200, "application/x-download")

    def refusal_in_a_body(self) -> Answer:
        """Say that there were too many, which is always said with status 200."""
        return _refusal(_MINUTE_LIMIT, "Note")


@dataclass(frozen=True, slots=True)
class _Row:
    """A member of a series, to be changed in place; its stamp is told with a Z, as others do."""

    series: MutableMapping[str, Any]
    stamp: str

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        return f"{self.stamp}Z" if name == "ts" else self.series[self.stamp][name]

    def __setitem__(self, name: str, value: Any) -> None:  # noqa: ANN401
        if name == "ts":
            self.series[value.removesuffix("Z")] = self.series.pop(self.stamp)
        else:
            self.series[self.stamp][name] = value


def _month(month: str) -> tuple[int, int]:
    """Return when a month begins and ends in New York."""
    match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", month)
    if match is None or int(match[1]) < _FIRST_YEAR:
        raise RefusedError(_invalid_call())
    first = date(int(match[1]), int(match[2]), 1)
    after = (first + timedelta(days=32)).replace(day=1)
    start, stop = (
        int(datetime.combine(day, time(), NEW_YORK).timestamp() * 1000) for day in (first, after)
    )
    return start, stop


def _table(body: bytes) -> bytes:
    """Return a document's series as a table, its prices as short as can be."""
    document = orjson.loads(body)
    series = next(value for name, value in document.items() if name.startswith("Time Series"))
    table = ["timestamp,open,high,low,close,volume"]
    for stamp, row in series.items():
        prices = [str(float(row[name])) for name in _COLUMNS[:-1]]
        table.append(",".join([stamp, *prices, row["5. volume"]]))
    return "".join(f"{line}\r\n" for line in table).encode()


def _listed(market: Market, now_ms: int, wanted: str) -> str | None:
    first, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in market.source.span)
    gone = now_ms >= market.source.span[1]
    if gone != (wanted == "delisted"):
        return None
    kind = "ETF" if market.kind == "etf" else "Stock"
    name = market.name or f"{market.symbol} Inc"
    until, status = (f"{end:%Y-%m-%d}", "Delisted") if gone else ("null", "Active")
    listed = f"{market.symbol},{name},{market.listed_on},{kind}"
    return f"{listed},{first:%Y-%m-%d},{until},{status}"
