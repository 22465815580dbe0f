"""Following the universe file: listings in the ledger, partition keys and pools in Dagster."""

# No `from __future__ import annotations`: Dagster reads the sensor's annotations as they are.

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from pipeline.fundamentals.registry import registry
from pipeline.selection import select
from pipeline.snapshots.history import catch_up
from pipeline.store.database import Database
from pipeline.store.listings import sync_universe
from pipeline.universe import Universe, load_universe
from resources.ledger import LedgerResource
from resources.partitions import missing_partitions, sync_partitions
from resources.pools import missing_pools, sync_pools

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
        fingerprint = hashlib.sha256(universe.model_dump_json().encode()).hexdigest()[:16]
        said, database, reordered = [], ledger.database(), False
        if fingerprint != context.cursor or _lacks(context.instance, universe):
            reordered, done = _sync(context.instance, database, universe)
            said.append(done)
        with database.connect() as connection:  # how providers answer changes without the file
            select(connection, universe, anew=reordered)
        if loaded is None or loaded.fingerprint() != universe.fingerprint():
            said.append(
                "the definitions are older than the file: reload the code location to see its "
                "new providers and months"
            )
        reason = "; ".join(said) or f"{len(universe.listings())} listings, nothing new"
        return dg.SensorResult(skip_reason=reason, cursor=fingerprint)

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


def _sync(instance: dg.DagsterInstance, database: Database, universe: Universe) -> tuple[bool, str]:
    """Bring all in step; return whether it has changed who stands by for whom, and what was done.

    First the ledger: a partition whose listing it does not know could not be materialized.
    """
    with database.connect() as connection:
        reordered = sync_universe(connection, universe)
        catch_up(connection, registry())
    added = sync_instance(instance, universe)
    done = f"{len(universe.listings())} listings brought in step with the file"
    new = ", ".join(
        f"{name.removesuffix('_listings')} {' '.join(keys)}" for name, keys in added.items()
    )
    return reordered, f"{done}; new partitions: {new}" if new else done
