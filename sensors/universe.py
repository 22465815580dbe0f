"""Following the universe file: listings in the ledger, partition keys and pools in Dagster."""

# No `from __future__ import annotations`: Dagster reads the sensor's annotations as they are.

from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from pipeline.orchestration.preparation import keep_in_step, sync
from pipeline.universe import Universe, load_universe
from resources.ledger import LedgerResource
from resources.partitions import missing_partitions, sync_partitions
from resources.pools import missing_pools, sync_pools
from sensors.ticking import fingerprint

__all__ = ["sync_instance", "universe_sensor"]

SECONDS_BETWEEN_TICKS = 30


def universe_sensor(path: Path, loaded: Universe | None) -> dg.SensorDefinition:
    """Make the sensor that follows the universe file.

    Args:
        path: The file.
        loaded: The universe that the definitions were made from; None when it was invalid.
    """

    @dg.sensor(
        name="universe",
        description=f"Follows {path}: new listings get their partitions. An invalid file fails the "
        "tick and changes nothing.",
        minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(
        context: dg.SensorEvaluationContext, ledger: LedgerResource
    ) -> dg.SensorResult | dg.SkipReason:
        universe = load_universe(path)
        seen = fingerprint([universe.model_dump_json()])
        said, database = [], ledger.database()
        if seen != context.cursor or _lacks(context.instance, universe):
            # First the ledger: a partition whose listing it does not know could not be made.
            sync(database, universe)
            said.append(_said(universe, sync_instance(context.instance, universe)))
        else:
            with database.connect() as connection:
                keep_in_step(connection, universe)
        if loaded is None or loaded.fingerprint() != universe.fingerprint():
            said.append(
                "the definitions are older than the file: reload the code location to see its "
                "new providers and months"
            )
        reason = "; ".join(said) or f"{len(universe.listings())} listings, nothing new"
        return dg.SensorResult(skip_reason=reason, cursor=seen)

    return sensor


def sync_instance(instance: dg.DagsterInstance, universe: Universe) -> Mapping[str, Sequence[str]]:
    """Give the instance what it lacks of the universe; return the new partition keys by dimension.

    Nothing is ever taken away. The ledger has to know the listings already.
    """
    # First the pools: with the partitions there, somebody may launch runs of them.
    sync_pools(instance, universe)
    return sync_partitions(instance, universe)


def _lacks(instance: dg.DagsterInstance, universe: Universe) -> bool:
    return bool(missing_partitions(instance, universe) or missing_pools(instance, universe))


def _said(universe: Universe, added: Mapping[str, Sequence[str]]) -> str:
    done = f"{len(universe.listings())} listings brought in step with the file"
    new = ", ".join(
        f"{name.removesuffix('_listings')} {' '.join(keys)}" for name, keys in added.items()
    )
    return f"{done}; new partitions: {new}" if new else done
