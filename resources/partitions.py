"""Partitions: listings of a provider times months.

What belongs here: how they are named, and that every listing of the universe has its key. What a
partition holds is the assets' business.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import dagster as dg

from pipeline.store.cells import Cell
from pipeline.universe import Universe

LISTING, MONTH = "listing", "month"
"""The two dimensions. Dagster sorts them by name, and joins their keys with a bar in that order."""
_BETWEEN = "|"


def listing_partitions(provider: str) -> dg.DynamicPartitionsDefinition:
    """Return the dimension of a provider's listings; its keys are added as they appear."""
    return dg.DynamicPartitionsDefinition(name=f"{provider}_listings")


def cell_partitions(provider: str, first_month: date) -> dg.MultiPartitionsDefinition:
    """Return a provider's listings times the months from the first to the current one."""
    months = dg.MonthlyPartitionsDefinition(start_date=first_month.isoformat(), end_offset=1)
    return dg.MultiPartitionsDefinition({LISTING: listing_partitions(provider), MONTH: months})


def to_cell(key: str) -> Cell:
    """Return what a partition key (`BTC-USD|2024-01-01`) names."""
    listing, _, month = key.rpartition(_BETWEEN)
    return Cell(listing, date.fromisoformat(month))


def to_key(cell: Cell) -> dg.MultiPartitionKey:
    """Return the partition key of a listing and month."""
    return dg.MultiPartitionKey({LISTING: cell.listing, MONTH: cell.month.isoformat()})


def missing_partitions(
    instance: dg.DagsterInstance, universe: Universe
) -> Mapping[str, Sequence[str]]:
    """Return the keys, by provider and sorted, that the universe has and the instance has not."""
    missing = {}
    for provider in universe.providers:
        name = listing_partitions(provider).name or provider
        known = set(instance.get_dynamic_partitions(name))
        new = [spec.key for spec in universe.listings(provider) if spec.key not in known]
        if new:
            missing[provider] = new
    return missing


def sync_partitions(
    instance: dg.DagsterInstance, universe: Universe
) -> Mapping[str, Sequence[str]]:
    """Add the universe's partition keys that the instance lacks, and return them by provider.

    No key is ever deleted: what was collected keeps its partitions.
    """
    missing = missing_partitions(instance, universe)
    for provider, keys in missing.items():
        instance.add_dynamic_partitions(listing_partitions(provider).name or provider, keys)
    return missing
