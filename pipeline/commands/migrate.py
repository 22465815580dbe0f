"""`minuteledger migrate`: databases, schema and listings as this release and the universe say."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.commands.output import say


def migrate(
    *,
    to: Annotated[
        str, typer.Option(metavar="REVISION", help="Migrate up or down to this revision.")
    ] = "head",
) -> None:
    """Create the databases, bring the schema to this release, and the listings to the universe.

    Safe to repeat, and done by `up` and `demo` themselves. `--to base` removes everything of ours
    from the market database.
    """
    from pipeline.orchestration.preparation import sync
    from pipeline.settings import load_settings
    from pipeline.store.database import Database
    from pipeline.store.migrate import migrate as migrate_database
    from pipeline.store.migrate import revisions
    from pipeline.universe import load_universe

    settings = load_settings()
    universe = load_universe(settings.universe_path) if to == "head" else None
    database = Database.from_settings(settings)
    reached = migrate_database(database, to)
    say(f"The database ({settings.database_label}) is at revision {reached}.")
    if universe is not None:
        sync(database, universe)
        say(f"{len(universe.listings())} listings are in step with {settings.universe_path}.")
    elif reached != revisions(database)[1]:
        say("That is not what this release wants; `minuteledger migrate` brings it back.")
