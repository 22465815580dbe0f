"""Opening the providers that the universe names, as it wants them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.providers import open_provider
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.protocol import BarProvider
from pipeline.universe import Universe


@contextmanager
def open_listed(universe: Universe, provider: str) -> Iterator[BarProvider]:
    """Open the client of a provider of the universe; nothing is sent yet.

    Raises:
        Unsupported: There is no such client, or it cannot serve what the universe wants.
    """
    config = universe.providers[provider]
    limits = config.limits
    client = open_provider(
        provider,
        client=config.client,
        exchange=universe.exchange_id(provider),
        base_url=config.base_url,
        limit=RateLimit(limits.requests, limits.seconds) if limits else None,
        bars_per_request=config.bars_per_request,
        settling=config.settling,
        asset_classes=sorted({spec.asset_class for spec in universe.listings(provider)})
        or ["crypto_spot"],
    )
    try:
        yield client
    finally:
        client.close()
