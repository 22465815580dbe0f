"""Schedules: what is done every night, and at which minute.

What belongs here: when. Jobs that ask a provider begin at minutes of their own, made of its name,
so that not all begin at once.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of schedules as they are.

import zlib
from collections.abc import Sequence

import dagster as dg

from pipeline.store.pauses import pause_of
from pipeline.taking import has_list
from pipeline.universe import Universe
from resources.ledger import LedgerResource
from sensors.ticking import missing_keys

_MARKETS_HOUR, _DEEP_CHECK_HOUR = 1, 2
_OPERATIONS = {
    "housekeeping": ("40 3 * * *", "Forgets, every night, what nobody needs any more."),
    "sizes": ("10 4 * * *", "Measures, every night, what the tables take on disk."),
}


def schedules(universe: Universe) -> list[dg.ScheduleDefinition]:
    """Make all schedules, running from the start; times are UTC."""
    providers = universe.bar_providers
    return [
        *(_markets(name, universe) for name in providers if has_list(universe, name)),
        *(_deep_check(name, universe) for name in providers),
        *(_operation(name, cron, about) for name, (cron, about) in _OPERATIONS.items()),
    ]


def minute_of(provider: str) -> int:
    """Return at which minute of an hour a provider's jobs begin: the same one for ever."""
    return zlib.crc32(provider.encode()) % 60


def _operation(name: str, cron: str, description: str) -> dg.ScheduleDefinition:
    asset = dg.AssetKey(["operations", name])
    return dg.ScheduleDefinition(
        name=name,
        job=dg.define_asset_job(name, selection=[asset], description=description),
        cron_schedule=cron,
        execution_timezone="UTC",
        description=description,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def _markets(provider: str, universe: Universe) -> dg.ScheduleDefinition:
    description = f"Takes the market list of {provider} once a day."
    return _of_provider(provider, universe, "markets", _MARKETS_HOUR, description)


def _deep_check(provider: str, universe: Universe) -> dg.ScheduleDefinition:
    description = f"Asks {provider} again for a few settled minutes of any age, and compares them."
    return _of_provider(provider, universe, "deep_check", _DEEP_CHECK_HOUR, description)


def _of_provider(
    provider: str, universe: Universe, asset: str, hour: int, description: str
) -> dg.ScheduleDefinition:
    """Make the schedule of an asset of a provider; nothing begins that could not be asked."""
    name, key = f"{asset}_{provider}", dg.AssetKey([provider, asset])

    @dg.schedule(
        name=name,
        job=dg.define_asset_job(name, selection=[key], description=description),
        cron_schedule=f"{minute_of(provider)} {hour} * * *",
        execution_timezone="UTC",
        description=description,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def schedule(ledger: LedgerResource) -> Sequence[dg.RunRequest] | dg.SkipReason:
        if why := missing_keys(universe, provider):
            return dg.SkipReason(why)
        with ledger.database().connect() as connection:
            pause = pause_of(connection, provider)
        return dg.SkipReason(pause) if pause else [dg.RunRequest()]

    return schedule
