"""Looking at archives before something is asked of them, so that what changed is due."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

    from pipeline.orchestration.backfills import Selection
    from pipeline.providers.protocol import BarProvider
    from pipeline.settings import Settings
    from pipeline.store.cells import Cell
    from pipeline.universe import Universe


def look_at_archives(
    settings: Settings, universe: Universe, selection: Selection
) -> Mapping[str, Collection[Cell]]:
    """Notice what has changed in the selected archives, and return by provider what is due.

    Raises:
        ProviderError: An archive cannot be opened as it is configured.
    """
    from pipeline.commands.ledger import connect
    from pipeline.heal import find_due
    from pipeline.opening import capabilities_of, open_listed
    from pipeline.store.database import Database
    from pipeline.store.listings import listings

    due: dict[str, Collection[Cell]] = {}
    for name in universe.providers:
        chosen = selection.provider in {None, name}
        if not chosen or not capabilities_of(universe, name).archive:
            continue
        with (
            connect(settings) as connection,
            open_listed(universe, name, Database.from_settings(settings)) as client,
        ):
            known = [one.key for one in listings(connection, name)]
            keys = [key for key in known if selection.listing in {None, key}]
            look_at_listings(connection, settings, client, keys)
            due[name] = find_due(connection, name, client.capabilities, settings.clock.now(), keys)
    return due


def look_at_listings(
    connection: psycopg.Connection,
    settings: Settings,
    client: BarProvider,
    keys: Collection[str],
) -> None:
    """Notice what has changed in some listings of an archive; other providers are left alone."""
    from pipeline.download import Downloader
    from pipeline.store.database import Database
    from pipeline.store.listings import listings

    if client.capabilities.archive:
        with Downloader(Database.from_settings(settings), client) as downloader:
            downloader.look(listings(connection, client.name, keys))
        connection.rollback()  # It has read, and goes on to read what was just noticed.
