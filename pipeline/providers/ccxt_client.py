"""1-minute bars of any exchange that ccxt knows.

What belongs here: `BarProvider` for ccxt, as the sum of its parts: what happens inside ccxt
(`ccxt_session`), how rows become columns (`ccxt_rows`), which market a symbol names
(`ccxt_markets`), what an error means (`ccxt_errors`) and how a first minute is found
(`first_trade`).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.intervals import Interval, floor_minute
from pipeline.providers import first_trade
from pipeline.providers.ccxt_errors import translate
from pipeline.providers.ccxt_markets import TYPES, MarketList, listed_markets, to_market
from pipeline.providers.ccxt_rows import EXTRA_CELLS, Row, to_bars
from pipeline.providers.ccxt_session import open_exchange, raw_candles
from pipeline.providers.errors import MalformedAnswer
from pipeline.providers.limiter import Limiter
from pipeline.providers.options import ProviderOptions
from pipeline.providers.protocol import FirstTrade, Market, NativeSeries
from pipeline.providers.watched import WatchedProvider
from pipeline.timeframes import Timeframe

_CLOCK_TOLERANCE = timedelta(minutes=2)
"""How far a provider's clock may be ahead of ours."""

_MONTH: Final = "1M"
"""What ccxt calls a month."""


def open_client(name: str, options: ProviderOptions, limiter: Limiter) -> CcxtProvider:
    """Return a client for a configured exchange; see `registry.open_provider`."""
    return CcxtProvider(name, options, limiter=limiter)


class CcxtProvider(WatchedProvider):
    """A `BarProvider` for one exchange, without keys, safe to call from many threads.

    Args:
        name: The provider's name in the universe.
        options: How it is configured; `source` is ccxt's id of the exchange.
        limiter: Shared by everything that sends to the exchange.

    Raises:
        Unsupported: ccxt cannot ask the exchange for 1-minute bars, or an asset class is none of
            ccxt's.
    """

    def __init__(
        self,
        name: str,
        options: ProviderOptions,
        *,
        limiter: Limiter,
    ) -> None:
        super().__init__(name, options, limiter, translate)
        self._serve(TYPES, "ccxt serves no {}")
        self._exchange = open_exchange(
            options.source,
            self._watch,
            base_url=options.base_url,
            timeout_seconds=options.timeout_seconds,
            types={TYPES[name] for name in self._asset_classes},
        )
        self._native = _named(self._exchange.timeframes)
        self._list: MarketList | None = None
        self._loading = threading.Lock()

    def markets(self) -> Sequence[Market]:
        """Return the markets of the configured asset classes, as listed when first asked for.

        Raises:
            ProviderError: The list could not be had; the next call asks again.
        """
        listed = self._markets().markets
        return [market for name in sorted(self._asset_classes) for market in listed[name]]

    def find_market(self, symbol: str, asset_class: str) -> Market:
        """Return the market that `symbol` names.

        Args:
            symbol: The provider's own id (`tBTCUSD`), ccxt's unified symbol (`BTC/USD`), or another
                spelling of base and quote (`BTC-USD`) where only one market fits.
            asset_class: What kind of market it is.

        Raises:
            UnknownSymbol: No market of that asset class fits, or several do.
            Unsupported: The client was opened without that asset class.
        """
        return to_market(self._market(symbol, asset_class))

    def first_trade(self, symbol: str, asset_class: str) -> FirstTrade | None:
        """Return the first minute of the market; None if no answer about it can be believed."""
        if self.capabilities.first_trade == "unknown":
            return None
        market = self._market(symbol, asset_class)

        def ask(timeframe: Literal["1m", "1d"], window: Interval, limit: int) -> pa.Table:
            return self._cut(self._ask(market, timeframe, window, limit), window)

        now = floor_minute(self._clock())
        found = None
        if self.capabilities.first_trade == "earliest":
            found = first_trade.from_the_beginning(ask, now)
        return found or first_trade.by_daily_bars(ask, now, self.capabilities.bars_per_request)

    def fetch_bars(self, symbol: str, asset_class: str, window: Interval) -> pa.Table:
        """Ask once for the bars of `window`.

        Args:
            symbol: Any spelling that `find_market` takes.
            asset_class: The market's asset class.
            window: At most `capabilities.bars_per_request` minutes.

        Returns:
            A table with `BAR_SCHEMA` in the provider's own order. Later rows are cut off where the
            API knows no end of a window; early, repeated and unbelievable rows are left in.

        Raises:
            ProviderError: There is no answer to this question. That the API's reach has moved past
                the start of the window, or that its clock has not reached the end, is a
                `MalformedAnswer`: plan again.
            ValueError: The window is empty or too long.
        """
        self._check_length(window)
        bars = self._ask(self._market(symbol, asset_class), "1m", window, window.minutes)
        self._check_reach(bars, window)
        self._watch.check_over(window)
        return self._cut(bars, window)

    def native_series(self) -> Mapping[str, NativeSeries]:
        """Return the timeframes that ccxt knows of the exchange, and that are ours as well.

        A page, and the reach of a short history, are as many bars as there are of minutes.
        """
        page, reach = self.capabilities.bars_per_request, self.capabilities.history_minutes
        return {
            one.name: NativeSeries(page * one.shortest, reach and reach * one.shortest)
            for one in self._native
        }

    def fetch_native(
        self, symbol: str, asset_class: str, timeframe: str, window: Interval
    ) -> pa.Table:
        """Ask once for the exchange's own longer bars; see `NativeProvider`."""
        self._check_native(self.native_series(), timeframe, window)
        length = Timeframe.named(timeframe)
        limit = math.ceil(window.minutes / length.shortest)
        market = self._market(symbol, asset_class)
        bars = self._ask(market, self._native[length], window, limit)
        self._check_reach(bars, window)
        return self._cut(bars, window)

    def close(self) -> None:
        """Give back connections."""
        self._exchange.session.close()

    def _ask(
        self, market: dict[str, Any], timeframe: str, window: Interval, limit: int
    ) -> pa.Table:
        """Send one question and return the whole answer."""
        start_ms, end_ms = (int(bound.timestamp()) * 1000 for bound in (window.start, window.end))
        # One millisecond less than the end means the same whether an API counts its end in or not.
        params = {"until": end_ms - 1} if self.capabilities.ends_window else {}

        def parse_row(row: Row) -> Sequence[Any]:
            parsed: Sequence[Any] = self._exchange.parse_ohlcv(row, market)
            return parsed

        with self._watch.exchanging(self.capabilities.request_weight) as exchanged:
            returned = self._exchange.fetch_ohlcv(
                market["symbol"], timeframe, start_ms, limit, params
            )
            rows = raw_candles(self._exchange, exchanged, returned)
            if exchanged.rows is None:
                return to_bars(rows, list)
            return to_bars(rows, parse_row, EXTRA_CELLS.get(self._exchange.id))

    def _cut(self, bars: pa.Table, window: Interval) -> pa.Table:
        """Cut off what lies after the window, where the API cannot be told its end.

        What lies in the future is not cut off in silence: it shows that the stamps are wrong.
        """
        if self.capabilities.ends_window:
            return bars
        latest = pc.max(bars["ts"]).as_py()
        if latest is not None and latest > self._clock() + _CLOCK_TOLERANCE:
            raise MalformedAnswer(
                self.name,
                f"asked for {window}, a bar came from the future, {latest:%Y-%m-%d %H:%M}",
                "compare the clocks of this machine and of the provider",
            )
        early = pc.less(bars["ts"], pa.scalar(window.end, bars["ts"].type))
        return bars.filter(pc.fill_null(early, fill_value=True))

    def _check_reach(self, bars: pa.Table, window: Interval) -> None:
        """Refuse a full answer that begins late: what is before it was cut off, not answered."""
        reach = self.capabilities.history_minutes
        if reach is not None and len(bars) >= reach and pc.min(bars["ts"]).as_py() > window.start:
            first = pc.min(bars["ts"]).as_py()
            raise MalformedAnswer(
                self.name,
                f"asked for {window}, but its history begins at {first:%Y-%m-%d %H:%M} now",
            )

    def _market(self, symbol: str, asset_class: str) -> dict[str, Any]:
        self._check_class(asset_class)
        return self._markets().find(symbol, asset_class)

    def _markets(self) -> MarketList:
        with self._loading:
            if self._list is None:
                self._list = self._load_markets()
            return self._list

    def _load_markets(self) -> MarketList:
        with self._watch.exchanging(self.capabilities.list_weight) as exchanged:
            self._exchange.load_markets(reload=True)
            listed = MarketList(self.name, listed_markets(self._exchange))
        # ccxt swallows some errors (Coinbase's second list): a list with a hole would make markets
        # unknown.
        for failure in exchanged.failures:
            if failure.retryable:
                raise failure
        if not any(listed.markets[name] for name in self._asset_classes):
            raise MalformedAnswer(self.name, "the market list is empty")
        return listed


def _named(timeframes: Iterable[str]) -> Mapping[Timeframe, str]:
    """Return those of ccxt's timeframes that are ours as well, with ccxt's names."""
    found = {}
    for name in timeframes:
        try:
            found[Timeframe.named("1mo" if name == _MONTH else name)] = name
        except ValueError:  # 1m, 1s, 3d: we build none of these
            continue
    return found
