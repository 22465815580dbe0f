"""Pools: how many runs of one provider may go on at once."""

from collections.abc import Sequence

import dagster as dg

from pipeline.universe import Universe


def tail_pool(provider: str) -> str:
    """Return the pool of the refreshes of a provider, which wait for no other run of it."""
    return f"{provider}_tail"


def missing_pools(instance: dg.DagsterInstance, universe: Universe) -> Sequence[str]:
    """Return the pools, sorted, that the instance does not know: two of each provider."""
    wanted = {*universe.providers, *map(tail_pool, universe.bar_providers)}
    return sorted(wanted - instance.event_log_storage.get_concurrency_keys())


def sync_pools(instance: dg.DagsterInstance, universe: Universe) -> Sequence[str]:
    """Give each new provider's pool the default limit of dagster.yaml; return the new ones.

    The daemon would do so itself, but only while it lets the first runs of a pool go, all at once.
    A limit that somebody has set is left alone.
    """
    missing = missing_pools(instance, universe)
    for pool in missing:
        instance.event_log_storage.initialize_concurrency_limit_to_default(pool)
    return missing
