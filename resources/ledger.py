"""The ledger's database, as a resource."""

from datetime import datetime

import dagster as dg

from pipeline.settings import load_settings
from pipeline.store.database import Database


class LedgerResource(dg.ConfigurableResource["LedgerResource"]):
    """The market database. Where it is, the environment says: nothing of it is in Dagster."""

    def database(self) -> Database:
        """Return the database; nothing is connected yet.

        Raises:
            SettingsError: The environment or `.env` cannot be used.
        """
        return Database.from_settings(load_settings())

    def now(self) -> datetime:
        """Return the present by the ledger's clock, UTC.

        Raises:
            SettingsError: The environment or `.env` cannot be used.
        """
        return load_settings().clock.now()
