"""What every provider client can do, and the values that pass between a client and the domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pipeline.intervals import Interval
from pipeline.providers.capabilities import Capabilities
from pipeline.providers.errors import ProviderError
from pipeline.symbols.normal import normal_key

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Market:
    """One tradable thing in a provider's own market list.

    Attributes:
        symbol: The provider's own symbol, as its API wants it (`tBTCUSD`, `XXBTZUSD`).
        asset_class: `crypto_spot`, `crypto_swap`, `crypto_future` ...
        base: Base currency in the common spelling (`BTC`).
        quote: Quote currency in the common spelling (`USD`).
        active: Whether the provider says that it trades now; None when it does not say.
        contract: What tells contracts of one pair apart: what it is settled in, and its last day
            (`USDT-241227`); empty where there is none.
        name: Its name in words, where the provider has one.
        id: The provider's own number for it, which stays when the symbol changes.
        spellings: What else the provider itself calls it (`XBTUSD`, `XBT/USD`).
    """

    symbol: str
    asset_class: str
    base: str
    quote: str
    active: bool | None
    contract: str = ""
    name: str | None = None
    id: str | None = None
    spellings: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The instrument's normal form, the same at all providers (`BTC-USD`, `BRK.B`)."""
        return normal_key(self.asset_class, self.symbol, self.base, self.quote, self.contract)


@dataclass(frozen=True, slots=True)
class FirstTrade:
    """The first minute that a provider has of a market.

    Attributes:
        ts: Start of that minute, UTC.
        evidence: How it was found, in words that a person can check.
    """

    ts: datetime
    evidence: str


class Provider(Protocol):
    """A source of data, whatever it can be asked for.

    Clients are safe to call from many threads. They wait for the provider's limits themselves, ask
    each question once, and raise only errors of `pipeline.providers.errors`; asking again is the
    caller's business.
    """

    name: str
    capabilities: Capabilities

    @property
    def requests_sent(self) -> int:
        """How many HTTP requests this client has sent so far."""
        ...

    @property
    def clock_skew(self) -> timedelta | None:
        """How far the provider's clock is ahead of ours, by its latest answer that said so.

        Zero when the difference is too small to be sure of; None while nothing is known.
        """
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


@runtime_checkable
class FundamentalsProvider(Provider, Protocol):
    """A source of documents about companies and coins (`capabilities.documents`)."""

    def fetch_document(self, symbol: str, document: str) -> str | None:
        """Ask once for a document about a symbol.

        Args:
            symbol: The provider's own symbol, or its own name of a coin.
            document: One of `capabilities.documents`.

        Returns:
            The body as it came, decoded and not looked into any further: whether it is about this
            symbol, and what it says, is for `pipeline.fundamentals` to judge. None if the provider
            answers that it has no such document about the symbol.

        Raises:
            ProviderError: There is no answer to this question.
            ValueError: There is no such document.
        """
        ...


class BarProvider(Provider, Protocol):
    """A source of 1-minute bars (`capabilities.bars`)."""

    def markets(self) -> Sequence[Market]:
        """Return the provider's current market list.

        Raises:
            Unsupported: It has none: symbols can only be looked up one by one, by `find_market`.
        """
        ...

    def find_market(self, symbol: str, asset_class: str) -> Market:
        """Return the market that `symbol` names, in the provider's own or the common spelling.

        Raises:
            UnknownSymbol: The provider has no such market of that asset class.
        """
        ...

    def first_trade(self, symbol: str, asset_class: str) -> FirstTrade | None:
        """Return the first minute of the market; None when it cannot be found out."""
        ...

    def fetch_bars(self, symbol: str, asset_class: str, window: Interval) -> pa.Table:
        """Ask once for the bars of `window`, at most `capabilities.bars_per_request` minutes long.

        Returns:
            A table with `BAR_SCHEMA`, as delivered: rows the API documents to lie beyond what was
            asked are cut off, everything else is left for the caller to judge.
        """
        ...


@dataclass(frozen=True, slots=True)
class Hole:
    """Minutes that an archive should hold and cannot give.

    Attributes:
        during: The minutes.
        error: Why, and what to do.
    """

    during: Interval
    error: ProviderError


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an archive is evidence for.

    Attributes:
        pieces: What it answers, in order of time; no question may reach from one into another.
        holes: What it lacks between its first and its last minute.
        beyond: What lies before its first minute and after its last.
    """

    pieces: Sequence[Interval] = ()
    holes: Sequence[Hole] = ()
    beyond: Sequence[Interval] = ()


@dataclass(frozen=True, slots=True)
class MonthVersion:
    """What an archive has of a month, without a look inside.

    Attributes:
        version: Changes when the content may have changed, or what it means.
        held: Whether the archive has anything of it.
    """

    version: str
    held: bool


@runtime_checkable
class ArchiveProvider(BarProvider, Protocol):
    """A provider that is what it holds: it answers for that alone, and a person adds to it."""

    def versions(
        self, symbol: str, asset_class: str, months: Sequence[date]
    ) -> Mapping[date, MonthVersion]:
        """Return what tells, for each month by its first day, whether it may have changed.

        Nothing is read for that.

        Raises:
            ProviderError: The archive cannot be looked at.
        """
        ...

    def holdings(self, symbol: str, asset_class: str, during: Interval) -> Holdings:
        """Return what of a time the archive is evidence for.

        Raises:
            ProviderError: The archive cannot be looked at.
        """
        ...


class SharingProvider(BarProvider, Protocol):
    """A provider that serves several listings in one request (`capabilities.sharing`)."""

    def fetch_shared(
        self, markets: Sequence[tuple[str, str]], window: Interval
    ) -> Sequence[pa.Table | ProviderError]:
        """Ask once for the bars that several markets have in `window`.

        Args:
            markets: Symbol and asset class of each, as `fetch_bars` takes them.
            window: The minutes, the same for all.

        Returns:
            For each market what `fetch_bars` returns for it, or the error that is its own.

        Raises:
            ProviderError: There is no answer about any of them.
        """
        ...


@dataclass(frozen=True, slots=True)
class NativeSeries:
    """How a provider's own bars of one timeframe can be asked for.

    Attributes:
        minutes_per_request: Longest window of one question.
        history_minutes: Only bars of so many newest minutes can be asked for; None for all.
    """

    minutes_per_request: int
    history_minutes: int | None = None


@runtime_checkable
class NativeProvider(BarProvider, Protocol):
    """A provider that makes longer bars itself (`capabilities.native`), to compare ours with."""

    def native_series(self) -> Mapping[str, NativeSeries]:
        """Return the timeframes of which it has bars of its own, by our names (`1h`, `1mo`)."""
        ...

    def fetch_native(
        self, symbol: str, asset_class: str, timeframe: str, window: Interval
    ) -> pa.Table:
        """Ask once for the provider's own bars that begin in `window`.

        Args:
            symbol: As `fetch_bars` takes it.
            asset_class: Likewise.
            timeframe: One of `native_series`.
            window: At most its `minutes_per_request`.

        Returns:
            A table with `BAR_SCHEMA`, as `fetch_bars` does. A bar begins where the provider says,
            in UTC, which need not be where one of ours does.

        Raises:
            ProviderError: There is no answer to this question.
            ValueError: The window is empty or too long, or there are no such bars.
        """
        ...
