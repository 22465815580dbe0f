"""Yahoo Finance: charts of stocks, indices, currencies and coins, `/v8/finance/chart/AAPL`.

A chart holds columns. `period1` and `period2` are seconds, both inclusive; of minutes there are
seven days a request, and 30 in all. Prices are single-precision numbers. A quiet minute has no row,
or one of nulls; extended hours have no volume, nor has the first row of an answer. While the day
lasts, the latest price is the last row of whatever was asked: stamped with its second while the
market is open, with the minute of the close afterwards.

Documents about companies are `/v10/finance/quoteSummary/AAPL`, and series of fiscal years. Cookies
(`/` of another host) and a crumb are given to whoever asks; quoteSummary wants the crumb.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote

import numpy as np
import orjson

from venue.bars import DAY_MS, MINUTE_MS, Bars
from venue.dialects.base import HOUR_MS, Answer, Dialect, Json, RefusedError, answer, whole
from venue.dialects.documents import Documents, Subject
from venue.dialects.yahoo_chart import chart_of
from venue.dialects.yahoo_documents import series, summary
from venue.hours import Phase
from venue.limits import Budget
from venue.market import Symbol
from venue.pages import Window
from venue.render import Lines, Style, integer, lines, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from venue.companies import Company
    from venue.market import Market
    from venue.mischief import Scene
    from venue.pages import Page

_CHART = re.compile(r"^/v8/finance/chart/([^/]+)$")
_SUMMARY = re.compile(r"^/v10/finance/quoteSummary/([^/]+)$")
_SERIES = re.compile(r"^/ws/fundamentals-timeseries/v1/finance/timeseries/([^/]+)$")
_CRUMB = "u7cO3bWvLdE"
_STEPS = {
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "1h": HOUR_MS,
    "1d": DAY_MS,
}
_RANGES = {"30m": 30 * MINUTE_MS, "1d": DAY_MS, "5d": 5 * DAY_MS, "1mo": 30 * DAY_MS}
_DAYS_A_REQUEST, _DAYS_IN_ALL = 7, 30
_MANY = 1_000_000
_COOKIE = (
    "A3=d=AQABBA&S=AQAAAg; Expires=Sun, 21 Nov 2027 00:00:00 GMT; Max-Age=31557600; "
    "Domain=.yahoo.com; Path=/; SameSite=None; Secure; HttpOnly"
)


def _error(code: str, text: str, status: int) -> Answer:
    error = {"code": code, "description": text}
    return answer({"chart": {"result": None, "error": error}}, status)


def _finance_error(code: str, text: str, status: int) -> Answer:
    return answer(
        {"finance": {"result": None, "error": {"code": code, "description": text}}}, status
    )


def _not_found(text: str) -> Answer:
    error = {"code": "Not Found", "description": text}
    return answer({"quoteSummary": {"result": None, "error": error}}, 404)


class Yahoo(Documents, Dialect):
    """Yahoo's charts and documents."""

    name = "yahoo"
    fills_quiet = False
    hours = "new_york"
    price_decimals = 2
    volume_decimals = 0
    budget = Budget(360, 3600.0)
    row_fields: ClassVar = {name: name for name in ("ts", "open", "high", "low", "close")}
    yields: ClassVar[frozenset[str]] = frozenset({"dividendYield"})

    def symbol(self, name: str) -> Symbol:
        """Read Yahoo's own symbol: `AAPL`, `BRK-B`, `^VIX`, `ES=F`, `EURUSD=X`, `BTC-USD`."""
        if not re.fullmatch(r"[\^]?[A-Z0-9.=-]+", name):
            raise ValueError(f"{name!r} is no symbol of Yahoo: write BRK-B, ^VIX or EURUSD=X")
        return Symbol(name)

    def market_id(self, symbol: Symbol) -> str:
        """Return the symbol as it is."""
        return str(symbol)

    def window(self, path: str, query: Mapping[str, str], now_ms: int) -> Window | None:
        """Read `/v8/finance/chart/AAPL?interval&period1&period2`, or `&range`."""
        match = _CHART.match(path)
        if match is None:
            return None
        interval = query.get("interval", "1d")
        if interval not in _STEPS:
            raise RefusedError(_error("Bad Request", f"Invalid input - interval={interval}", 400))
        invalid = _error("Bad Request", "Invalid input - period1, period2 or range", 400)
        first, last = whole(query, "period1", invalid), whole(query, "period2", invalid)
        if first is None or last is None:
            if (asked := query.get("range", "1d")) not in _RANGES:
                raise RefusedError(invalid)
            first, last = (now_ms - _RANGES[asked]) // 1000, now_ms // 1000
        elif first >= last:
            text = f"Invalid input - start date cannot be after end date. startDate = {first}, "
            raise RefusedError(_error("Bad Request", f"{text}endDate = {last}", 400))
        elif interval == "1m":
            _check_reach(first, last, now_ms)
        return Window(
            market=unquote(match[1]).upper(),
            step_ms=_STEPS[interval],
            start_ms=first * 1000,
            stop_ms=last * 1000 + 1,
            limit=_MANY,
            newest=False,
            now_ms=now_ms,
        )

    def lines(self, bars: Bars, market: Market, step_ms: int) -> Lines:
        """Render rows, of which `candles` makes columns: seconds, prices, volume, phase."""
        phases = np.full(len(bars), Phase.REGULAR, np.int64)
        if market.hours and step_ms < DAY_MS:
            phases = market.hours.phases(bars.ts)
        parts: list[Any] = [b"[", integer(bars.ts // 1000)]
        for column in bars.numbers()[1:]:
            parts += [b",", number(column, Style.TRIMMED)]
        return lines(bars.ts, [*parts, b",", integer(phases), b"]"])

    def candles(
        self, path: str, query: Mapping[str, str], scenes: Sequence[Scene], pages: Iterator[Page]
    ) -> tuple[Answer, int]:
        """Make a chart of the rows."""
        del path
        decoded = orjson.loads(b"[" + next(pages).text(descending=False) + b"]")
        chart, count = chart_of(decoded, scenes[0].market, scenes[0].window, query)
        return answer({"chart": {"result": [chart], "error": None}}), count

    def rows(self, document: Json) -> list[Json]:
        """Return the rows of a chart, that know which columns their values are in."""
        chart = document["chart"]["result"][0]
        columns = {"ts": chart.get("timestamp", []), **chart["indicators"]["quote"][0]}
        return [_Row(columns, at) for at in range(len(columns["ts"]))]

    def unknown_symbol(self) -> Answer:
        """Answer a request for a symbol that nobody knows."""
        return _error("Not Found", "No data found, symbol may be delisted", 404)

    def limited(self, retry_after: float, now_ms: int) -> Answer:
        """Answer 429 in plain words, which do not say for how long."""
        del retry_after, now_ms
        return Answer(b"Too Many Requests\r\n", 429, "text/plain")

    def catalogue(
        self, path: str, query: Mapping[str, str], markets: Sequence[Market], now_ms: int
    ) -> Answer | None:
        """Answer the requests for cookies and for a crumb."""
        del query, markets, now_ms
        if path == "/":
            return Answer(b"", 404, "text/html", {"Set-Cookie": _COOKIE})
        return Answer(_CRUMB.encode(), 200, "text/plain") if path == "/v1/test/getcrumb" else None

    def subject(self, path: str, query: Mapping[str, str]) -> Subject | None:
        """Read a request for modules, or for series."""
        del query
        for document, pattern in (("quoteSummary", _SUMMARY), ("timeseries", _SERIES)):
            if match := pattern.match(path):
                return Subject(unquote(match[1]).upper(), document)
        return None

    def document(
        self,
        subject: Subject,
        about: Any,  # noqa: ANN401 - a Company
        query: Mapping[str, str],
        now_ms: int,
    ) -> Answer:
        """Return the modules, or the series, that are asked for."""
        if subject.document == "timeseries":
            return _series_of(subject.name, about, query, now_ms)
        if query.get("crumb") != _CRUMB:
            raise RefusedError(_finance_error("Unauthorized", "Invalid Crumb", 401))
        modules = query.get("modules", "")
        found = summary(subject.name, about, modules.split(","), now_ms)
        if not found:
            text = f"No fundamentals data found for any of the summaryTypes={modules}"
            return _not_found(text)
        return answer({"quoteSummary": {"result": [found], "error": None}})

    def unknown_subject(self, subject: Subject, query: Mapping[str, str]) -> Answer:
        """Answer 404 about modules, and with empty series."""
        if subject.document == "timeseries":
            return _series_of(subject.name, None, query, 0)
        return _not_found(f"Quote not found for symbol: {subject.name}")

    def refusal_in_a_body(self) -> Answer:
        """Say with status 200 that there were too many."""
        return _finance_error("Too Many Requests", "Rate limited. Try after a while.", 200)


def _series_of(
    symbol: str, company: Company | None, query: Mapping[str, str], now_ms: int
) -> Answer:
    between = int(query.get("period1", 0)), int(query.get("period2", now_ms // 1000))
    made = series(symbol, company, query.get("type", "").split(","), between, now_ms)
    return answer({"timeseries": {"result": made, "error": None}})


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of columns, to be changed in place."""

    columns: Mapping[str, list[Any]]
    at: int

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        return self.columns[name][self.at]

    def __setitem__(self, name: str, value: Any) -> None:  # noqa: ANN401
        self.columns[name][self.at] = value


def _check_reach(first: int, last: int, now_ms: int) -> None:
    text = f"1m data not available for startTime={first} and endTime={last}. "
    if last - first > _DAYS_A_REQUEST * DAY_MS // 1000:
        text += f"Only {_DAYS_A_REQUEST} days worth of 1m granularity data are allowed to be "
        raise RefusedError(_error("Unprocessable Entity", f"{text}fetched per request.", 422))
    if first * 1000 < now_ms - _DAYS_IN_ALL * DAY_MS:
        text += f"The requested range must be within the last {_DAYS_IN_ALL} days."
        raise RefusedError(_error("Unprocessable Entity", text, 422))
