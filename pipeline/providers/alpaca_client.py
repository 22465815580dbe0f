"""1-minute bars of US stocks and funds from Alpaca, through alpaca-py.

What belongs here: `BarProvider` for Alpaca, as the sum of its parts: what happens inside alpaca-py
(`alpaca_session`), what makes an answer whole (`alpaca_pages`), which asset a symbol names
(`alpaca_assets`) and what an error means (`alpaca_errors`).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from string import ascii_letters
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow as pa

from pipeline.intervals import Interval, floor_minute
from pipeline.providers import first_trade
from pipeline.providers.alpaca_assets import CLASS, AssetList
from pipeline.providers.alpaca_errors import translate
from pipeline.providers.alpaca_pages import whole_answer
from pipeline.providers.alpaca_session import Watched, open_clients
from pipeline.providers.errors import (
    AuthenticationFailed,
    MalformedAnswer,
    ProviderError,
    UnknownSymbol,
    Unsupported,
)
from pipeline.providers.limiter import Limiter
from pipeline.providers.options import ProviderOptions
from pipeline.providers.protocol import FirstTrade, Market, NativeSeries
from pipeline.providers.watched import WatchedProvider
from pipeline.timeframes import Timeframe

if TYPE_CHECKING:
    from alpaca.data.timeframe import TimeFrame

_PAGE: Final = 10_000
_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = "1Min"

_NATIVE: Final[Mapping[Timeframe, str]] = {
    Timeframe.named(name): theirs
    for name, theirs in {
        **{f"{length}m": f"{length}Min" for length in (2, 3, 5, 10, 15, 20, 30)},
        **{f"{length}h": f"{length}Hour" for length in (1, 2, 3, 4, 6, 8, 12)},
        "1d": "1Day",
        "1w": "1Week",
        "1mo": "1Month",
    }.items()
}
"""Alpaca's own names of longer bars, of those that we may have as well."""


def open_client(name: str, options: ProviderOptions, limiter: Limiter) -> AlpacaProvider:
    """Return a client for a configured provider; see `registry.open_provider`."""
    return AlpacaProvider(name, options, limiter=limiter)


class AlpacaProvider(WatchedProvider):
    """A `BarProvider` for Alpaca's bars as they were traded (`adjustment=raw`), thread-safe.

    Args:
        name: The provider's name in the universe.
        options: How it is configured; `keys` holds both keys.
        limiter: Shared by everything that sends with these keys.

    Raises:
        Unsupported: An asset class or feed is none of Alpaca's.
    """

    def __init__(
        self,
        name: str,
        options: ProviderOptions,
        *,
        limiter: Limiter,
    ) -> None:
        keys = [options.keys[key].get_secret_value() for key in options.capabilities(name).keys]
        super().__init__(
            name,
            options,
            limiter,
            # Not functools.partial, which shows its arguments to whoever prints it.
            lambda provider, error: translate(provider, error, keys),
        )
        self._serve(self.capabilities.asset_classes, "Alpaca serves no {} here")
        self._feed = options.feed or self.capabilities.feeds[0]
        if self._feed not in self.capabilities.feeds:
            raise Unsupported(name, f"Alpaca has no feed {self._feed!r}")
        self._data, self._hosts = open_clients(
            self._watch, keys, base_url=options.base_url, timeout_seconds=options.timeout_seconds
        )
        self._lists: dict[str, AssetList] = {}
        self._loading = threading.Lock()

    def markets(self) -> Sequence[Market]:
        """Return the stocks and funds that trade now, as listed when first asked for.

        Raises:
            ProviderError: The list could not be had; the next call asks again.
        """
        return self._listed("active").markets

    def find_market(self, symbol: str, asset_class: str) -> Market:
        """Return the market that `symbol` names.

        Args:
            symbol: Alpaca's own symbol (`BRK.B`), or another spelling of it (`BRK-B`).
            asset_class: `equity` or `etf`: the universe knows which, Alpaca's list does not say.

        Raises:
            UnknownSymbol: Nothing that trades or has traded is called so.
            Unsupported: The client was opened without that asset class.
        """
        self._check_class(asset_class)
        for status in ("active", "inactive"):  # the list of what is gone is long, and seldom needed
            if found := self._listed(status).find(symbol):
                return replace(found, asset_class=asset_class)
        raise self._listed("active").unknown(symbol)

    def first_trade(self, symbol: str, asset_class: str) -> FirstTrade | None:
        """Return the first minute of the market; None if no answer about it can be believed."""
        name = self.find_market(symbol, asset_class).symbol

        def ask(timeframe: Literal["1m", "1d"], window: Interval, limit: int) -> pa.Table:
            del timeframe
            return self._ask([name], window, limit)[name]

        return first_trade.from_the_beginning(
            ask, floor_minute(self._clock() - self.capabilities.lag)
        )

    def fetch_bars(self, symbol: str, asset_class: str, window: Interval) -> pa.Table:
        """Ask once for the bars of `window`.

        Args:
            symbol: Any spelling that `find_market` takes.
            asset_class: The market's asset class.
            window: At most `capabilities.bars_per_request` minutes.

        Returns:
            A table with `BAR_SCHEMA` in the order in which the bars came, from as many pages as
            Alpaca made of the answer.

        Raises:
            ProviderError: There is no answer to this question. That Alpaca's clock has not reached
                the end is a `MalformedAnswer`: plan again.
            ValueError: The window is empty or too long.
        """
        self._check_length(window)
        name = self.find_market(symbol, asset_class).symbol
        bars = self._ask([name], window)[name]
        self._watch.check_over(window)
        return bars

    def fetch_shared(
        self, markets: Sequence[tuple[str, str]], window: Interval
    ) -> Sequence[pa.Table | ProviderError]:
        """Ask once for the bars that several markets have in `window`; see `SharingProvider`."""
        found = [self._found(symbol, asset_class) for symbol, asset_class in markets]
        names = sorted({one for one in found if isinstance(one, str)})
        bars = self._ask(names, window) if names else {}
        self._watch.check_over(window)
        return [bars[one] if isinstance(one, str) else one for one in found]

    def native_series(self) -> Mapping[str, NativeSeries]:
        """Return Alpaca's own timeframes: parts of a day on New York's clock, days, and longer."""
        page = self.capabilities.bars_per_request
        return {one.name: NativeSeries(page * one.shortest) for one in _NATIVE}

    def fetch_native(
        self, symbol: str, asset_class: str, timeframe: str, window: Interval
    ) -> pa.Table:
        """Ask once for Alpaca's own longer bars, of all hours; see `NativeProvider`."""
        self._check_native(self.native_series(), timeframe, window)
        name = self.find_market(symbol, asset_class).symbol
        return self._ask([name], window, timeframe=Timeframe.named(timeframe))[name]

    def close(self) -> None:
        """Give back connections."""
        for client in (self._data, *self._hosts):
            client.close()

    def _found(self, symbol: str, asset_class: str) -> str | UnknownSymbol | Unsupported:
        try:
            return self.find_market(symbol, asset_class).symbol
        except (UnknownSymbol, Unsupported) as error:
            return error

    def _ask(
        self,
        symbols: Sequence[str],
        window: Interval,
        limit: int | None = None,
        timeframe: Timeframe | None = None,
    ) -> Mapping[str, pa.Table]:
        """Ask for the bars of some symbols: all of them, or the first page of so many.

        They are bars of a minute, or of another timeframe.
        """
        from alpaca.data.enums import Adjustment
        from alpaca.data.requests import StockBarsRequest

        request: dict[str, Any] = StockBarsRequest(
            symbol_or_symbols=list(symbols),
            timeframe=_to_theirs(_NATIVE[timeframe] if timeframe else _MINUTE),
            start=window.start,
            # The end is included. A second less means the same whether it is or not.
            end=window.end - _SECOND,
            limit=limit or _PAGE,
            adjustment=Adjustment.RAW,
            feed=self._feed,
        ).to_request_fields()

        def page(token: str | None) -> object:
            document = self._data.get("/stocks/bars", {**request, "page_token": token})
            if limit is not None and isinstance(document, dict):
                document |= {"next_page_token": None}
            return document

        most = math.ceil(window.minutes / timeframe.shortest) if timeframe else window.minutes
        with self._watch.exchanging(self.capabilities.request_weight):
            return whole_answer(self.name, symbols, most, page)

    def _listed(self, status: str) -> AssetList:
        with self._loading:
            if status not in self._lists:
                self._lists[status] = self._load(status)
            return self._lists[status]

    def _load(self, status: str) -> AssetList:
        listed = AssetList(self.name, self._first_host({"status": status, "asset_class": CLASS}))
        if status == "active" and not listed.markets:
            raise MalformedAnswer(self.name, "the list of assets is empty")
        return listed

    def _first_host(self, query: Mapping[str, str]) -> object:
        """Ask the trading host of the account; the keys say by their looks which it is."""
        *others, last = self._hosts
        for host in others:
            try:
                return self._assets(host, query)
            except AuthenticationFailed:
                continue  # the looks have deceived
        return self._assets(last, query)

    def _assets(self, host: Watched, query: Mapping[str, str]) -> object:
        with self._watch.exchanging(self.capabilities.list_weight):
            return host.get("/assets", dict(query))


def _to_theirs(name: str) -> TimeFrame:
    """Return alpaca-py's timeframe of a name of Alpaca's."""
    from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

    digits = len(name.rstrip(ascii_letters))
    return TimeFrame(int(name[:digits]), TimeFrameUnit(name[digits:]))
