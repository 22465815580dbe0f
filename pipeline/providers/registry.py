"""The one place that knows which class serves which kind of client."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.providers.capabilities import RateLimit
from pipeline.providers.errors import Unsupported
from pipeline.providers.limiter import Limiter
from pipeline.providers.protocol import BarProvider
from pipeline.settling import Settling


def open_provider(
    name: str,
    *,
    client: str,
    limiter: Limiter,
    exchange: str | None = None,
    base_url: str | None = None,
    limit: RateLimit | None = None,
    bars_per_request: int | None = None,
    settling: Settling | None = None,
    asset_classes: Collection[str] = ("crypto_spot",),
) -> BarProvider:
    """Return a client for a configured provider. Nothing is sent yet.

    Args:
        name: The provider's name in the universe.
        client: The kind of client: `ccxt`.
        limiter: Keeps the provider's limit, for all who ask it.
        exchange: ccxt's id of the exchange; the name if None.
        base_url: Replaces scheme and host of the provider's addresses.
        limit: Replaces the provider's rate limit.
        bars_per_request: Replaces the provider's page size, in minutes.
        settling: Replaces the provider's settling delays.
        asset_classes: What the universe wants of the provider.

    Raises:
        Unsupported: There is no such client, or it cannot serve this.
    """
    if client != "ccxt":
        raise Unsupported(name, f"no client is called {client!r}", "choose ccxt")
    from pipeline.providers.ccxt_client import (
        CcxtOptions,
        CcxtProvider,
    )

    options = CcxtOptions(
        exchange=exchange or name,
        base_url=base_url,
        limit=limit,
        bars_per_request=bars_per_request,
        settling=settling,
        asset_classes=asset_classes,
    )
    return CcxtProvider(name, options, limiter=limiter)
