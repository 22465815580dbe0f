"""1-minute bars and fundamentals of Yahoo Finance, through yfinance.

What belongs here: `BarProvider` and `FundamentalsProvider` for Yahoo, as the sum of its parts: how
yfinance is made to ask (`yahoo_session`), what a chart means (`yahoo_chart`), and which documents
there are (`yahoo_documents`).

Why not yfinance's `history()`: it makes the same empty frame of nearly every error, of a symbol
that is unknown, of a window beyond the history and of a window without a trade; it drops the last
row in silence when that lies after the window, merges others, and answers about the past from its
own cache. An empty answer is a fact that the ledger keeps, so the document itself is asked for,
through yfinance's cookies, crumbs and browser disguise, and judged here.

What is known of Yahoo's minutes:

- A request holds seven days of them, and none is older than 30 days. What was not asked for by then
  is gone for ever.
- The first row of an answer has a volume of 0, whatever was traded: volumes are differences of a
  running sum. So each question begins an hour before its window.
- Volumes change for days; extended hours, indices and currencies have none, which is written 0.
- There is no list of markets. A symbol can be looked up alone: its chart says what it is.
- The first day of trading that a chart names is that of daily bars, not of minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa
from curl_cffi.requests import exceptions as curl
from yfinance.exceptions import YFRateLimitError

from pipeline.intervals import Interval
from pipeline.providers.errors import (
    MalformedAnswer,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestTimedOut,
    UnknownSymbol,
    Unsupported,
)
from pipeline.providers.limiter import Limiter
from pipeline.providers.options import ProviderOptions
from pipeline.providers.protocol import FirstTrade, Market
from pipeline.providers.watched import WatchedProvider
from pipeline.providers.yahoo_chart import result_of, to_bars
from pipeline.providers.yahoo_documents import question
from pipeline.providers.yahoo_session import CHART, YahooData

LEAD: Final = timedelta(hours=1)
"""How long before its window a question begins."""

ASSET_CLASSES: Final[Mapping[str, str]] = {
    "EQUITY": "equity",
    "ETF": "etf",
    "INDEX": "index",
    "CURRENCY": "fx",
    "CRYPTOCURRENCY": "crypto_spot",
}
"""Asset classes by Yahoo's type of instrument. What else it has (FUTURE, MUTUALFUND) has no class
of its own here, and is taken for whatever it is listed as."""


def open_client(name: str, options: ProviderOptions, limiter: Limiter) -> YahooProvider:
    """Return a client for Yahoo; see `registry.open_provider`."""
    return YahooProvider(name, options, limiter=limiter)


class YahooProvider(WatchedProvider):
    """A provider of bars and fundamentals, without keys, safe to call from many threads.

    Args:
        name: The provider's name in the universe.
        options: How it is configured.
        limiter: Shared by everything that sends to Yahoo.
    """

    def __init__(
        self,
        name: str,
        options: ProviderOptions,
        *,
        limiter: Limiter,
    ) -> None:
        super().__init__(name, options, limiter, translate)
        self._data = YahooData(self._watch, options.base_url, options.timeout_seconds)

    def markets(self) -> Sequence[Market]:
        """Yahoo has no list of markets.

        Raises:
            Unsupported: Always.
        """
        raise Unsupported(self.name, "has no list of markets", "look symbols up one by one")

    def find_market(self, symbol: str, asset_class: str) -> Market:
        """Return the market that `symbol` names, by what its chart says of itself.

        Raises:
            UnknownSymbol: There is no such symbol, or it is of another asset class.
        """
        meta = self._ask(symbol, {"range": "1d", "interval": "1d"})["meta"]
        kind = str(meta.get("instrumentType"))
        if ASSET_CLASSES.get(kind, asset_class) != asset_class:
            found = f"{symbol!r} is no {asset_class}: Yahoo calls it {kind}"
            raise UnknownSymbol(self.name, found, "correct its class or its symbol")
        return Market(
            symbol=str(meta["symbol"]),
            asset_class=asset_class,
            base=str(meta["symbol"]),
            quote=str(meta.get("currency") or ""),
            active=None,
        )

    def first_trade(self, symbol: str, asset_class: str) -> FirstTrade | None:
        """Return None: no answer tells it, and minutes are had for 30 days only."""
        del symbol, asset_class
        return None

    def fetch_bars(self, symbol: str, asset_class: str, window: Interval) -> pa.Table:
        """Ask once for the bars of `window`, extended hours included.

        Args:
            symbol: Yahoo's own symbol: `AAPL`, `BRK-B`, `^VIX`, `EURUSD=X`, `BTC-USD`.
            asset_class: Changes nothing.
            window: At most `capabilities.bars_per_request` minutes.

        Returns:
            A table with `BAR_SCHEMA` in Yahoo's own order. Minutes without a trade, the latest
            price and what was asked for before the window are left out (see `yahoo_chart`); all
            else is left in.

        Raises:
            ProviderError: There is no answer to this question. That the history has moved past the
                start of the window, or that Yahoo's clock has not reached the end, is a
                `MalformedAnswer`: plan again.
            ValueError: The window is empty or too long.
        """
        del asset_class
        self._check_length(window)
        edge = self.capabilities.edge_of_history(self._clock()) or window.start
        if window.start < edge:
            begins = f"its history begins at {edge:%Y-%m-%d %H:%M} now"
            raise MalformedAnswer(self.name, f"asked for {window}, but {begins}")
        lead = min(LEAD, window.start - edge)
        chart = {
            "period1": f"{int((window.start - lead).timestamp())}",
            # One second less than the end means the same whether an end is counted in or not.
            "period2": f"{int(window.end.timestamp()) - 1}",
            "interval": "1m",
            "includePrePost": "true",
            "events": "div,splits",
        }
        bars = to_bars(self.name, self._ask(symbol, chart), window, lead)
        self._watch.check_over(window)
        return bars

    def close(self) -> None:
        """Give back connections."""
        self._data.close()

    def fetch_document(self, symbol: str, document: str) -> str | None:
        """Ask once for a document, after cookies and a crumb if there are none yet.

        Args:
            symbol: Yahoo's own symbol: `AAPL`, `BRK-B`.
            document: One of `capabilities.documents`.

        Returns:
            The body; None if Yahoo says that it has none about that symbol.

        Raises:
            ProviderError: There is no answer to this question.
            ValueError: There is no such document.
        """
        self._check_document(document)
        address, parameters = question(document, symbol, self._clock())
        found: str | None = self._asked(address, symbol, parameters)
        return found

    def _ask(self, symbol: str, chart: dict[str, str]) -> Mapping[str, Any]:
        document = self._asked(CHART, symbol, chart)
        return result_of(self.name, document, symbol, chart["interval"])

    def _asked(self, address: str, symbol: str, parameters: dict[str, str]) -> Any:  # noqa: ANN401
        path = quote(symbol, safe="=")
        return self._data.ask(address + path, parameters, self.capabilities.request_weight)


def translate(provider: str, error: Exception) -> ProviderError:
    """Return what an exception out of yfinance or curl_cffi means for the caller."""
    if isinstance(error, ProviderError):
        return error
    what = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, YFRateLimitError):
        return RateLimited(provider, f"status {HTTPStatus.TOO_MANY_REQUESTS}, too many requests")
    if isinstance(error, curl.Timeout):
        return RequestTimedOut(provider, what)
    if isinstance(error, curl.RequestException):
        return ProviderUnavailable(provider, what)
    return MalformedAnswer(provider, f"{type(error).__name__}: {what}")
