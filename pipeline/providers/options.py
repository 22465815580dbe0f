"""How one provider of the universe is configured, for whichever client serves it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import SecretStr

from pipeline.clock import SYSTEM
from pipeline.providers.capabilities import Capabilities, RateLimit
from pipeline.providers.errors import Unsupported
from pipeline.providers.table import CAPABILITIES, capabilities_for
from pipeline.settling import Settling

if TYPE_CHECKING:
    from pipeline.universe.files import FilesConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOptions:
    """How a provider is configured.

    Attributes:
        source: Its row in the capability table: ccxt's id of an exchange, or a client's name.
        base_url: Replaces scheme and host of every address of the provider (mirror, proxy, the
            local venue); paths are kept.
        feed: Which of the provider's feeds to ask; None for its first.
        limit: Replaces the row's rate limit.
        budget: Replaces the row's longer limit.
        bars_per_request: Replaces the row's page size, in minutes.
        settling: Replaces the row's settling delays.
        lag: Replaces the row's lag.
        refresh: Replaces the row's refresh.
        asset_classes: What is listed; empty for all that the provider has. Binance's swaps and
            futures cost two requests more.
        symbols: The symbols that are listed; empty where that is not known.
        files: Where the files are and how they are read; None for a provider of anything else.
        keys: The vendor's keys, by the environment variable that holds each.
        timeout_seconds: How long an answer may take to begin.
        now: The clock by which it is asked; UTC.
    """

    source: str
    base_url: str | None = None
    feed: str | None = None
    limit: RateLimit | None = None
    budget: RateLimit | None = None
    bars_per_request: int | None = None
    settling: Settling | None = None
    lag: timedelta | None = None
    refresh: timedelta | None = None
    asset_classes: Collection[str] = ("crypto_spot",)
    symbols: Collection[str] = ()
    files: FilesConfig | None = None
    keys: Mapping[str, SecretStr] = field(default_factory=dict)
    timeout_seconds: float = 30.0
    now: Callable[[], datetime] = SYSTEM.now

    @property
    def client(self) -> str:
        """The kind of client that serves it."""
        row = CAPABILITIES.get(self.source)
        return row.client if row else "ccxt"

    @property
    def account(self) -> str:
        """Whose limits it keeps, with all others who ask the same client or exchange there.

        There is but one set of keys for each client, so none has to be told apart here.
        """
        return self.source if self.base_url is None else f"{self.source} at {self.base_url}"

    def capabilities(self, name: str) -> Capabilities:
        """Return what the provider can serve, as this configuration wants it.

        Args:
            name: The provider's name in the universe, for errors.

        Raises:
            Unsupported: There is no such client or exchange, or an override allows nothing.
        """
        try:
            return capabilities_for(
                self.source,
                self.limit,
                self.bars_per_request,
                self.settling,
                budget=self.budget,
                lag=self.lag,
                refresh=self.refresh,
                feed=self.feed,
            )
        except ValueError as error:
            raise Unsupported(name, str(error)) from None

    def missing_keys(self, name: str) -> list[str]:
        """Return the environment variables that hold the vendor's keys and are not set.

        Args:
            name: The provider's name in the universe, for errors.

        Raises:
            Unsupported: There is no such client or exchange, or an override allows nothing.
        """
        return [key for key in self.capabilities(name).keys if key not in self.keys]
