"""The ledger's database, as a resource."""

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
