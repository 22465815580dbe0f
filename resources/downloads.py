"""Downloaders for the universe's providers, as a resource."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import dagster as dg
from pydantic import Field

from pipeline.asking import Patience
from pipeline.download import Downloader
from pipeline.providers import open_provider
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.protocol import BarProvider
from pipeline.store.database import Database
from pipeline.universe import Universe


class DownloadsResource(dg.ConfigurableResource["DownloadsResource"]):
    """Opens the providers' clients, and decides how patient they are."""

    attempts: int = Field(
        default=Patience().attempts, gt=0, description="How often one question is asked in a run."
    )
    first_wait_seconds: float = Field(
        default=Patience().first_wait.total_seconds(),
        ge=0,
        description="How long to wait before asking again; doubles from then on.",
    )

    @contextmanager
    def downloader(
        self, database: Database, universe: Universe, provider: str
    ) -> Iterator[Downloader]:
        """Open a downloader for a provider of the universe; nothing is sent yet.

        Raises:
            Unsupported: There is no such client, or it cannot serve what the universe wants.
            DatabaseError: The ledger cannot be reached.
        """
        client = _open(universe, provider)
        patience = Patience(
            attempts=self.attempts, first_wait=timedelta(seconds=self.first_wait_seconds)
        )
        try:
            with Downloader(database, client, patience=patience) as downloader:
                yield downloader
        finally:
            client.close()


def _open(universe: Universe, provider: str) -> BarProvider:
    config = universe.providers[provider]
    limits = config.limits
    return open_provider(
        provider,
        client=config.client,
        exchange=universe.exchange_id(provider),
        base_url=config.base_url,
        limit=RateLimit(limits.requests, limits.seconds) if limits else None,
        bars_per_request=config.bars_per_request,
        settling=config.settling,
        asset_classes=sorted({spec.asset_class for spec in universe.listings(provider)}),
    )
