"""1-minute bars of US stocks and funds from Alpha Vantage, a month a request, and fundamentals.

What belongs here: `BarProvider` and `FundamentalsProvider` for Alpha Vantage, as the sum of its
parts: how it is asked (`vendor_client`), what a document means (`alpha_vantage_series`), and which
months hold a window (`alpha_vantage_months`). There is no SDK of the vendor's own.

A free key may ask 25 times a day, so nothing is asked for that is not needed:

- bars need no market list; the list (`LISTING_STATUS`) is for whoever wants to see it;
- the clock is told by the answers themselves;
- the first minute is not searched for. The list's `ipoDate` is a day, and for old stocks one long
  before there are minutes, which begin in 2000; a search would take a day's requests. Months before
  a stock was listed are refused: give such a listing a start.
"""

from __future__ import annotations

import csv
import threading
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import pyarrow as pa

from pipeline.bars import empty_bars
from pipeline.intervals import Interval, floor_minute
from pipeline.providers.alpha_vantage_months import (
    Kept,
    Shelf,
    local_months,
    month_in_utc,
)
from pipeline.providers.alpha_vantage_series import decode, refusal, to_bars
from pipeline.providers.errors import MalformedAnswer, UnknownSymbol
from pipeline.providers.limiter import Limiter
from pipeline.providers.options import ProviderOptions
from pipeline.providers.protocol import FirstTrade, Market
from pipeline.providers.vendor_client import VendorProvider
from pipeline.providers.vendor_session import Answer, Key

VENDOR: Final = "https://www.alphavantage.co"
_PATH: Final = "/query"
ASSET_CLASSES: Final[Mapping[str, str]] = {"Stock": "equity", "ETF": "etf"}
"""Asset classes by the vendor's type of asset."""

_HEAD: Final = ["symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate", "status"]


def open_client(name: str, options: ProviderOptions, limiter: Limiter) -> AlphaVantageProvider:
    """Return a client for Alpha Vantage; see `registry.open_provider`."""
    return AlphaVantageProvider(name, options, limiter=limiter)


class AlphaVantageProvider(VendorProvider):
    """A provider of unadjusted minutes and of fundamentals, safe to call from many threads.

    Args:
        name: The provider's name in the universe.
        options: How it is configured; `keys` holds the key.
        limiter: Shared by everything that sends with this key.

    Raises:
        Unsupported: An asset class is none of Alpha Vantage's.
    """

    def __init__(
        self,
        name: str,
        options: ProviderOptions,
        *,
        limiter: Limiter,
    ) -> None:
        (key,) = options.capabilities(name).keys
        super().__init__(name, options, limiter, vendor=VENDOR, key=Key(options.keys[key]))
        self._serve(self.capabilities.asset_classes, "serves no {} here")
        self._shelf = Shelf()
        self._list: Sequence[Market] = ()
        self._turn = threading.Lock()

    def markets(self) -> Sequence[Market]:
        """Return the stocks and funds that trade now, as listed when first asked for.

        Raises:
            ProviderError: The list could not be had; the next call asks again.
        """
        return self._listed()

    def find_market(self, symbol: str, asset_class: str) -> Market:
        """Return the market that `symbol` names, by the list.

        Args:
            symbol: The vendor's own symbol (`BRK-B`), or another spelling of it (`BRK.B`).
            asset_class: `equity` or `etf`.

        Raises:
            UnknownSymbol: Nothing of that class that trades now is called so.
        """
        spelled = symbol.upper().replace(".", "-")
        for market in self._listed():
            if market.symbol.upper() == spelled and market.asset_class == asset_class:
                return market
        raise UnknownSymbol(
            self.name, f"no {asset_class} that trades now is called {symbol!r}", "correct it"
        )

    def first_trade(self, symbol: str, asset_class: str) -> FirstTrade | None:
        """Return None: see the module."""
        del symbol, asset_class
        return None

    def fetch_bars(self, symbol: str, asset_class: str, window: Interval) -> pa.Table:
        """Return the bars of `window`, extended hours included.

        Takes a request for each month in New York of which not all that is wanted is kept: one, or
        two in winter, when a window begins with the month and was not preceded by the month before.

        Args:
            symbol: The vendor's own symbol.
            asset_class: Changes nothing.
            window: At most `capabilities.bars_per_request` minutes.

        Returns:
            A table with `BAR_SCHEMA`, newest bars first within a month. The rest of an asked month
            is left out, as nobody asked for it.

        Raises:
            ProviderError: There is no answer to this question. That the vendor's clock has not
                reached the end is a `MalformedAnswer`: plan again.
            ValueError: The window is empty or too long.
        """
        del asset_class
        self._check_length(window)
        with self._turn:
            parts = list(local_months(window))
            # All are there before any is given out: what fails later costs nothing twice.
            kept = [self._month(symbol, month, part) for month, part in parts]
            self._watch.check_over(window)
            bars = [one.take(part) for one, (_, part) in zip(kept, parts, strict=True)]
        return pa.concat_tables(bars) if bars else empty_bars()

    def fetch_document(self, symbol: str, document: str) -> str | None:
        """Ask once for a document.

        Args:
            symbol: The vendor's own symbol: `IBM`, `BRK-B`.
            document: One of `capabilities.documents`.

        Returns:
            The body; None for a symbol that the vendor knows nothing of this about.

        Raises:
            ProviderError: There is no answer to this question.
            ValueError: There is no such document.
        """
        self._check_document(document)

        def read(answer: Answer, now: datetime) -> str | None:
            return answer.body.decode() if self._document(answer, now) else None

        return self._ask(_PATH, {"function": document, "symbol": symbol}, read)

    def _month(self, symbol: str, month: date, part: Interval) -> Kept:
        """Return an answer about a month that holds a part, of those kept or a new one."""
        if found := self._shelf.find(symbol, month, part):
            return found
        question = {
            "function": "TIME_SERIES_INTRADAY",
            "symbol": symbol,
            "interval": "1min",
            "month": f"{month:%Y-%m}",
            "outputsize": "full",
            "adjusted": "false",
            "extended_hours": "true",
            "datatype": "json",
        }

        def read(answer: Answer, now: datetime) -> pa.Table:
            return to_bars(self.name, self._document(answer, now), symbol, month)

        whole = month_in_utc(month)
        settled = floor_minute(self._clock() - self.capabilities.settling.delays[-1])
        bars = self._ask(_PATH, question, read)
        lasting = whole.intersection(Interval(whole.start, max(whole.start, settled)))
        kept = Kept(bars, [lasting] if lasting else [])
        self._shelf.put(symbol, month, kept)
        return kept

    def _listed(self) -> Sequence[Market]:
        with self._turn:
            if not self._list:
                self._list = self._ask(_PATH, {"function": "LISTING_STATUS"}, self._read_list)
            return self._list

    def _document(self, answer: Answer, now: datetime) -> dict[str, Any]:
        self._check_status(answer, now)
        document = decode(self.name, answer.body)
        if refused := refusal(self.name, document, now, self._session.hide):
            raise refused
        return document

    def _read_list(self, answer: Answer, now: datetime) -> Sequence[Market]:
        self._check_status(answer, now)
        if answer.body.lstrip().startswith(b"{"):
            self._document(answer, now)
        head, *rows = csv.reader(answer.body.decode(errors="replace").splitlines()) or [[]]
        if head != _HEAD or not rows or any(len(row) != len(_HEAD) for row in rows):
            raise MalformedAnswer(self.name, "the list of stocks is empty, cut or another table")
        return [
            Market(
                symbol,
                ASSET_CLASSES[kind],
                symbol,
                "USD",
                active=status == "Active",
                name=name or None,
            )
            for symbol, name, _, kind, *_, status in rows
            if kind in ASSET_CLASSES
        ]
