"""One running exchange: its markets, its limiter, its rendered pages."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import orjson

from venue.bars import DECIMALS, MINUTE_MS
from venue.config import MarketConfig
from venue.dialects import DIALECTS
from venue.dialects.base import Answer, Dialect, RefusedError
from venue.dialects.documents import Documents, Subject
from venue.files import Files
from venue.generated import Generated, InHours, key
from venue.hours import Hours
from venue.limits import Budget, SlidingWindow
from venue.market import Market, Symbol
from venue.mischief import Scene, change_bars
from venue.pages import Library, Page, Window
from venue.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from venue.bars import Source
    from venue.config import ExchangeConfig
    from venue.faults import Fault

_REFUSALS_BEFORE_BAN = 10
_SIGNIFICANT_DIGITS = 6
_TRANSCRIBED = ".json"
_RECORDING = ".0"  # lines of `URL -> epoch: body`


class Exchange:
    """Answers what its dialect can read.

    Raises ValueError for a name without a dialect or a symbol that the exchange cannot list.
    """

    def __init__(self, name: str, config: ExchangeConfig, seed: int) -> None:
        if name not in DIALECTS:
            raise ValueError(f"exchanges.{name}: no such exchange; known are {sorted(DIALECTS)}")
        self.dialect = DIALECTS[name]
        self.library = Library(self.dialect)
        self.shelf = _shelf(self.dialect, {**config.companies, **config.coins})
        self._seed = seed
        self._account = config.account
        self._hours = Hours(config.holidays, config.half_days)
        self._outages = config.outages
        self._markets = {
            symbol: self._build(self.dialect.symbol(symbol), options)
            for symbol, options in config.markets.items()
        }
        self._by_id = {
            alias: market
            for market in self._markets.values()
            for alias in self.dialect.aliases(market.symbol)
        }
        self._recorded = {path: _body(path, file) for path, file in config.recorded.items()}
        self._asked = [(urlsplit(url).path, _parameters(url), url) for url in self._recorded]
        self._limit = _limiter(config.requests_per_second, self.dialect.budget)
        self._weighted = config.requests_per_second is None
        self._ban_seconds = config.ban_seconds
        self._used: dict[int, float] = {}  # by the minute of the clock, which is the latest

    def market(self, symbol: str) -> Market:
        """Return a configured market by the venue's symbol; KeyError if there is none."""
        return self._markets[symbol]

    def find(self, market_id: str) -> Market:
        """Return a market by the exchange's own id; RefusedError with the exchange's error."""
        market = self._by_id.get(market_id)
        if market is None:
            name = b'"%s"' % self.dialect.listed_name(market_id).encode()
            if not any(name in found.body for found in self._recorded.values()):
                raise RefusedError(self.dialect.unknown_symbol())
            market = self._build(Symbol(market_id, ""), MarketConfig())
            self._by_id[market_id] = market
        return market

    def check_limit(self, path: str, now_ms: int) -> Mapping[str, str]:
        """Count a request and return the usage headers; RefusedError if it is over the limit."""
        if self._limit is None:
            return {}
        weight = self.dialect.weight(path) if self._weighted else 1
        wait = self._limit.admit(weight)
        if wait is None:
            minute = now_ms // MINUTE_MS
            self._used = {minute: self._used.get(minute, 0) + weight}
            return self.dialect.usage_headers(self._used[minute], now_ms)
        if self._ban_seconds is not None:
            self._limit.shut(self._ban_seconds)
            raise RefusedError(self.dialect.limited(max(wait, self._ban_seconds), now_ms))
        if self._limit.refused > _REFUSALS_BEFORE_BAN and self.dialect.ban_seconds:
            self._limit.shut(self.dialect.ban_seconds)
            raise RefusedError(self.dialect.banned(max(wait, self.dialect.ban_seconds), now_ms))
        raise RefusedError(self.dialect.limited(wait, now_ms))

    def admit(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> None:
        """Check a client's keys; RefusedError with the exchange's own error."""
        self.dialect.admit(path, query, headers, self._account.keys)

    def recorded(self, path: str, query: Mapping[str, str]) -> Answer | None:
        """Return what is recorded for a path, and for parameters where the recording names some."""
        for recorded_path, parameters, url in self._asked:
            if path == recorded_path and parameters.items() <= query.items():
                return self._recorded[url]
        return None

    def other(self, path: str, query: Mapping[str, str], now_ms: int) -> Answer:
        """Answer a request that is not for candles; 404 for an unknown path."""
        found = self.dialect.catalogue(path, query, list(self._markets.values()), now_ms)
        return found or Answer(b'{"error":"not found"}', status=404)

    def subject(self, path: str, query: Mapping[str, str]) -> Subject | None:
        """Return what a request asks for a document about; None if it asks for none."""
        return self.dialect.subject(path, query) if isinstance(self.dialect, Documents) else None

    def candles(
        self,
        path: str,
        query: Mapping[str, str],
        scenes: Sequence[Scene],
        faults: Sequence[Fault],
    ) -> tuple[Answer, int]:
        """Return the answer for some windows and how many rows it has, with faults of the bars."""
        pages = (self._page(scene, faults) for scene in scenes)
        return self.dialect.candles(path, query, scenes, pages)

    def _page(self, scene: Scene, faults: Sequence[Fault]) -> Page:
        page = self.library.page(scene.market, scene.window)
        mine = [fault for fault in faults if fault.symbol in {None, str(scene.market.symbol)}]
        return self._faulty(page, scene, mine) if mine else page

    def _faulty(self, page: Page, scene: Scene, faults: Sequence[Fault]) -> Page:
        market, window = scene.market, scene.window
        ts = page.ts
        start_ms, stop_ms = (int(ts[0]), int(ts[-1]) + 1) if len(ts) else (0, 0)
        bars = market.bars_until(window.step_ms, start_ms, stop_ms, window.now_ms)
        for fault in faults:
            bars = change_bars(bars, fault, scene)
        return self.library.render(market, window, bars)

    def scenes(self, path: str, query: Mapping[str, str], now_ms: int) -> Sequence[Scene] | None:
        """Return the windows of a request with their markets; None if it asks for no candles."""
        windows = self.dialect.windows(path, query, now_ms, self._account.plan)
        if windows is None:
            return None
        if self.dialect.skips_unknown:
            windows = [window for window in windows if window.market in self._by_id]
        return [self._scene(window) for window in windows]

    def _scene(self, window: Window) -> Scene:
        """Return a window with its market, under the market's canonical id."""
        market = self.find(window.market)
        if market.symbol.quote:
            window = replace(window, market=self.dialect.market_id(market.symbol))
        return Scene(market, window)

    def _build(self, symbol: Symbol, options: MarketConfig) -> Market:
        hours = self._hours if (options.hours or self.dialect.hours) == "new_york" else None
        source: Source = Files(options.files, options.order)
        if not options.files:
            invented = self._invented(symbol, options)
            source = InHours(invented, hours, options.quiet_extended) if hours else invented
        return Market(
            symbol=symbol,
            source=source,
            fills_quiet=self.dialect.fills_quiet,
            silent=(*self._outages, *options.halts),
            price_decimals=self._price_decimals(options),
            volume_decimals=DECIMALS
            if options.volume_decimals is None
            else options.volume_decimals,
            hours=hours,
            first_weekday=self.dialect.first_weekday,
            name=options.name,
            listed_on=options.listed_on,
            kind=options.kind,
        )

    def _invented(self, symbol: Symbol, options: MarketConfig) -> Generated:
        generated = Generated(
            own=key(self._seed, self.dialect.name, symbol),
            shared=key(self._seed, symbol.base),
            listed_at=-(-options.listed_at // MINUTE_MS) * MINUTE_MS,
            price=options.price,
            volume=options.volume,
            quiet=options.quiet,
            price_decimals=self._price_decimals(options),
            volume_decimals=self.dialect.volume_decimals
            if options.volume_decimals is None
            else options.volume_decimals,
        )
        if options.delisted_at is None:
            return generated
        return replace(generated, delisted_at=options.delisted_at)

    def _price_decimals(self, options: MarketConfig) -> int:
        if options.price_decimals is not None:
            return options.price_decimals
        if options.files:
            return DECIMALS  # cut no digit of what was recorded
        if self.dialect.price_decimals is not None:
            return self.dialect.price_decimals
        digits = math.floor(math.log10(options.price)) + 1
        return min(8, max(1, _SIGNIFICANT_DIGITS - digits))


def _shelf(dialect: Dialect, known: Mapping[str, object]) -> Shelf | None:
    if isinstance(dialect, Documents):
        return Shelf(dialect, known)
    if known:
        raise ValueError(f"exchanges.{dialect.name}: it has no documents about {min(known)}")
    return None


def _limiter(requests_per_second: float | None, budget: Budget) -> SlidingWindow | None:
    if requests_per_second is None:
        return SlidingWindow(budget)
    if requests_per_second == 0:
        return None
    capacity = max(1.0, requests_per_second)
    return SlidingWindow(Budget(capacity, capacity / requests_per_second))


def _parameters(url: str) -> Mapping[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def _body(path: str, file: Path) -> Answer:
    """Return a recorded body: the file, or the part of a recording whose URL has this path.

    A JSON list of `{"url", "body"}` was written down by hand; its bodies are sent without spaces,
    as are those of `{"request", "response"}`, which keep their status.
    """
    if file.suffix == _TRANSCRIBED:
        document = orjson.loads(file.read_bytes())
        if isinstance(document, dict) and document.keys() == {"request", "response"}:
            response = document["response"]
            return Answer(orjson.dumps(response["bodyJson"]), response["status"])
        for one in document if isinstance(document, list) else []:
            if "url" in one and one["url"].endswith(path):
                return Answer(orjson.dumps(one["body"]))
    if file.suffix != _RECORDING:
        return Answer(file.read_bytes())
    for line in file.read_bytes().splitlines():
        url, _, rest = line.partition(b" -> ")
        if urlsplit(url.decode()).path == path:
            return Answer(rest.partition(b": ")[2])
    raise ValueError(f"{file} holds no answer of {path}")
