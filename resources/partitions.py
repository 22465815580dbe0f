"""Partitions: listings of a provider, or instruments, times months; instruments alone.

What belongs here: how they are named, and that every listing and instrument of the universe has its
key. What a partition holds is the assets' business.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import dagster as dg

from pipeline.store.cells import Cell
from pipeline.universe import Universe

LISTING, INSTRUMENT, MONTH = "listing", "instrument", "month"
"""The dimensions. Dagster sorts them by name, and joins their keys with a bar in that order."""
_BETWEEN = "|"
_LISTINGS, _INSTRUMENTS = "_listings", "instruments"
_FUNDAMENTALS = "fundamentals"


def listing_partitions(provider: str) -> dg.DynamicPartitionsDefinition:
    """Return the dimension of a provider's listings; its keys are added as they appear."""
    return dg.DynamicPartitionsDefinition(name=f"{provider}{_LISTINGS}")


def cell_partitions(provider: str, first_month: date) -> dg.MultiPartitionsDefinition:
    """Return a provider's listings times the months from the first to the current one."""
    return dg.MultiPartitionsDefinition(
        {LISTING: listing_partitions(provider), MONTH: _months(first_month)}
    )


def instrument_partitions(first_month: date) -> dg.MultiPartitionsDefinition:
    """Return all instruments times the months from the first to the current one."""
    instruments = dg.DynamicPartitionsDefinition(name=_INSTRUMENTS)
    return dg.MultiPartitionsDefinition({INSTRUMENT: instruments, MONTH: _months(first_month)})


def subject_partitions(provider: str | None = None) -> dg.DynamicPartitionsDefinition:
    """Return the instruments that a provider is asked about, or that any is (None)."""
    return dg.DynamicPartitionsDefinition(name=_subjects(provider))


def _subjects(provider: str | None) -> str:
    return _FUNDAMENTALS if provider is None else f"{provider}_{_FUNDAMENTALS}"


def from_listings() -> dg.MultiPartitionMapping:
    """Return what an instrument's month follows from: the same month of any listing."""
    return dg.MultiPartitionMapping(
        {
            LISTING: dg.DimensionPartitionMapping(INSTRUMENT, dg.AllPartitionMapping()),
            MONTH: dg.DimensionPartitionMapping(MONTH, dg.TimeWindowPartitionMapping()),
        }
    )


def _months(first: date) -> dg.MonthlyPartitionsDefinition:
    return dg.MonthlyPartitionsDefinition(start_date=first.isoformat(), end_offset=1)


def to_cell(key: str) -> Cell:
    """Return what a partition key (`BTC-USD|2024-01-01`) names."""
    listing, _, month = key.rpartition(_BETWEEN)
    return Cell(listing, date.fromisoformat(month))


def to_key(cell: Cell) -> dg.MultiPartitionKey:
    """Return the partition key of a listing and month."""
    return dg.MultiPartitionKey({LISTING: cell.listing, MONTH: cell.month.isoformat()})


def to_instrument_key(cell: Cell) -> dg.MultiPartitionKey:
    """Return the partition key of an instrument, in the place of a listing, and month."""
    return dg.MultiPartitionKey({INSTRUMENT: cell.listing, MONTH: cell.month.isoformat()})


def dimension_tags(key: str) -> Mapping[str, str]:
    """Return the tags that Dagster itself gives to a materialization of a partition."""
    if not isinstance(key, dg.MultiPartitionKey):
        return {}
    return {f"dagster/partition/{name}": each for name, each in key.keys_by_dimension.items()}


def missing_partitions(
    instance: dg.DagsterInstance, universe: Universe
) -> Mapping[str, Sequence[str]]:
    """Return the keys, by dimension and sorted, that the universe has and the instance has not."""
    missing = {}
    for name, keys in _wanted(universe).items():
        known = set(instance.get_dynamic_partitions(name))
        if new := [key for key in keys if key not in known]:
            missing[name] = new
    return missing


def _wanted(universe: Universe) -> dict[str, list[str]]:
    """Return the names of all dimensions that grow, with their keys."""
    wanted = {
        f"{provider}{_LISTINGS}": [spec.key for spec in universe.listings(provider)]
        for provider in universe.bar_providers
    }
    wanted[_INSTRUMENTS] = sorted({spec.instrument for spec in universe.listings()})
    for provider in (*universe.fundamentals_providers, None):
        wanted[_subjects(provider)] = sorted(
            {spec.instrument for spec in universe.fundamentals(provider)}
        )
    return wanted


def sync_partitions(
    instance: dg.DagsterInstance, universe: Universe
) -> Mapping[str, Sequence[str]]:
    """Add the universe's partition keys that the instance lacks, and return them by dimension.

    No key is ever deleted: what was collected keeps its partitions.
    """
    missing = missing_partitions(instance, universe)
    for name, keys in missing.items():
        instance.add_dynamic_partitions(name, keys)
    return missing
