"""Downloaders for the universe's providers, as a resource."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import dagster as dg
from pydantic import Field

from pipeline.asking import Patience
from pipeline.download import Downloader
from pipeline.opening import open_listed
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
        patience = Patience(
            attempts=self.attempts, first_wait=timedelta(seconds=self.first_wait_seconds)
        )
        with (
            open_listed(universe, provider, database) as client,
            Downloader(database, client, patience=patience) as downloader,
        ):
            yield downloader
