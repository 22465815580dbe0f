"""What asks the universe's providers, as a resource."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta

import dagster as dg
from pydantic import Field

from pipeline.asking import Patience
from pipeline.deep_check import Effort, Findings, deep_check
from pipeline.download import Downloader
from pipeline.opening import open_asked, open_listed
from pipeline.settings import Settings
from pipeline.snapshots.refreshing import Refreshed, refresh
from pipeline.store.database import Database
from pipeline.store.session import LedgerSession
from pipeline.store.subjects import subjects
from pipeline.taking import TakenList, take_list
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
        self,
        database: Database,
        universe: Universe,
        provider: str,
    ) -> Iterator[Downloader]:
        """Open a downloader for a provider of the universe; nothing is sent yet.

        Args:
            database: The ledger's database.
            universe: The universe.
            provider: The provider's name in it.

        Raises:
            Unsupported: There is no such client, or it cannot serve what the universe wants.
            DatabaseError: The ledger cannot be reached.
        """
        with (
            open_listed(universe, provider, database) as client,
            Downloader(database, client, patience=self._patience()) as downloader,
        ):
            yield downloader

    def take_list(
        self, database: Database, universe: Universe, provider: str, *, accept_short: bool
    ) -> TakenList:
        """Ask a provider of the universe for its whole market list, and keep it.

        Raises:
            ProviderError: It could not be had, or there is no such client.
            SuspiciousList: It cannot be whole, and is not to be accepted so.
            DatabaseError: The ledger cannot be reached.
        """
        return take_list(
            universe, provider, database, patience=self._patience(), accept_short=accept_short
        )

    def deep_check(
        self,
        database: Database,
        universe: Universe,
        provider: str,
        settings: Settings,
        *,
        day: date,
        requests: int | None = None,
    ) -> Findings:
        """Ask a provider of the universe again for settled minutes, and compare them.

        Args:
            database: The ledger's database.
            universe: The universe.
            provider: The provider's name in it.
            settings: How much may be asked for.
            day: The day whose sample is drawn.
            requests: The most requests, instead of what the settings allow.

        Raises:
            Unsupported: There is no such client, or it cannot serve what the universe wants.
            DatabaseError: The ledger cannot be reached.
        """
        with (
            LedgerSession(database) as session,
            open_listed(universe, provider, database) as client,
        ):
            most = Effort(settings.deep_check_percent, settings.deep_check_requests, requests)
            return deep_check(session, client, most, day=day, patience=self._patience())

    def refresh(
        self,
        database: Database,
        universe: Universe,
        provider: str,
        instruments: Sequence[str],
        *,
        force: bool,
    ) -> Sequence[Refreshed]:
        """Ask a provider of the universe for the documents about instruments that are due.

        Args:
            database: The ledger's database.
            universe: The universe.
            provider: The provider's name in it.
            instruments: The instruments' keys; those that it is not asked about are left out.
            force: Whether to ask for all documents, due or not.

        Raises:
            Unsupported: There is no such client.
            MissingKeys: It wants keys that are not set.
            DatabaseError: The ledger cannot be reached.
        """
        with (
            LedgerSession(database) as session,
            open_asked(universe, provider, database) as client,
        ):
            asked = session.run(lambda connection: subjects(connection, provider, instruments))
            return refresh(
                session,
                client,
                asked,
                force=force,
                patience=self._patience(),
                clock=database.clock.now,
            )

    def _patience(self) -> Patience:
        return Patience(
            attempts=self.attempts, first_wait=timedelta(seconds=self.first_wait_seconds)
        )
