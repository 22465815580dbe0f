"""The code location: assets, checks, sensors and resources, assembled from the universe file.

The one module of `pipeline` that knows Dagster. Loading it reads the universe file and nothing
else: every run does so again.
"""

import logging
import warnings
from collections.abc import Mapping

import dagster as dg

from assets.consolidated import consolidated
from assets.deep_check import deep_check
from assets.following_up import follow_up_job
from assets.fundamentals import combined, fundamentals
from assets.healing import heal_job
from assets.markets import markets
from assets.minutes import minutes
from assets.operations import housekeeping, sizes
from assets.tail import tail
from pipeline.settings import Settings, load_settings
from pipeline.taking import has_list
from pipeline.universe import Universe, UniverseError, load_universe
from resources.downloads import DownloadsResource
from resources.ledger import LedgerResource
from sensors.alerts import alerts_sensor, failed_runs_sensor
from sensors.backfill import backfill_sensor
from sensors.follow import follow_sensor
from sensors.fundamentals import fundamentals_sensor
from sensors.heal import heal_sensor
from sensors.refresh import refresh_sensor
from sensors.schedules import schedules
from sensors.show import show_sensor
from sensors.ticking import Ticking
from sensors.universe import universe_sensor

_log = logging.getLogger(__name__)

# Dagster's own word for it is a warning in each run's output that its user can do nothing about.
warnings.filterwarnings("ignore", r"Parameter `backfill_policy`", dg.BetaWarning)
warnings.filterwarnings("ignore", r"Class `MultiPartitionMapping`", dg.BetaWarning)


def build_defs(
    *,
    settings: Settings | None = None,
    universe: Universe | None = None,
    resources: Mapping[str, object] | None = None,
) -> dg.Definitions:
    """Assemble the code location.

    Args:
        settings: Instead of those in the environment.
        universe: Instead of the one in the file that the settings name.
        resources: Instead of those of the same names: `ledger`, `downloads`.

    Returns:
        The definitions. An invalid universe file leaves only the sensor that waits for its
        correction, and an asset that says what is wrong.

    Raises:
        SettingsError: The environment or `.env` cannot be used.
    """
    settings = settings or load_settings()
    assets: list[dg.AssetsDefinition | dg.AssetSpec]
    jobs: list[dg.JobDefinition] = []
    nightly: list[dg.ScheduleDefinition] = []
    sensors: list[dg.SensorDefinition] = []
    try:
        universe = universe or load_universe(settings.universe_path)
    except UniverseError as error:
        _log.error("The universe file cannot be used:\n%s", error)
        assets = [_what_is_wrong(error)]
    else:
        providers = universe.bar_providers
        assets = [minutes(provider, universe) for provider in providers]
        assets += [markets(name, universe) for name in providers if has_list(universe, name)]
        assets += [consolidated(universe)] if providers else []
        assets += [fundamentals(name, universe) for name in universe.fundamentals_providers]
        assets += [combined(universe)] if universe.fundamentals_providers else []
        assets += [tail(provider, universe) for provider in providers]
        assets += [deep_check(name, universe, settings) for name in providers]
        assets += [housekeeping(universe, settings), sizes]
        nightly = schedules(universe)
        heals = {provider: heal_job(provider, universe) for provider in providers}
        follow_up = follow_up_job(providers)
        jobs = [*heals.values(), *([follow_up] if providers else [])]
        sensors += _upkeep(universe, heals, follow_up, _ticking(settings))
    sensors += [
        universe_sensor(settings.universe_path, universe),
        failed_runs_sensor(universe),
        alerts_sensor(),
    ]
    return dg.Definitions(
        assets=assets,
        jobs=jobs,
        schedules=nightly,
        sensors=sensors,
        resources={
            "ledger": LedgerResource(),
            "downloads": DownloadsResource(),
            **(resources or {}),
        },
        executor=dg.in_process_executor,
    )


def _upkeep(
    universe: Universe,
    heals: Mapping[str, dg.JobDefinition],
    follow_up: dg.JobDefinition,
    ticking: Ticking,
) -> list[dg.SensorDefinition]:
    """Make the sensors that launch what keeps the ledger up to date."""
    providers = universe.bar_providers
    sensors = [refresh_sensor(provider, universe, ticking) for provider in providers]
    if providers:
        sensors += [
            heal_sensor(universe, heals, ticking),
            backfill_sensor(universe, ticking),
            show_sensor(universe, ticking),
            follow_sensor(universe, follow_up, ticking),
        ]
    if universe.fundamentals_providers:
        sensors.append(fundamentals_sensor(universe, ticking))
    return sensors


def _ticking(settings: Settings) -> Ticking:
    status = dg.DefaultSensorStatus[settings.sensors.upper()]
    return Ticking(status, settings.sensor_seconds)


def _what_is_wrong(error: UniverseError) -> dg.AssetSpec:
    return dg.AssetSpec(
        "universe_file_is_invalid",
        description=f"**The universe file cannot be used.**\n\n```\n{error}\n```\n\n"
        "Nothing is collected until it is corrected and the code location is reloaded.",
        group_name="configuration",
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Load the code location as the environment describes it."""
    return build_defs()
