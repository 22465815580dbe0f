"""What our sensors share: how often they tick, what is under way, and what they launch.

What belongs here: asking Dagster's instance, and the tags of what we launch. When something may be
launched again is `pacing`'s.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import dagster as dg
import psycopg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.storage.dagster_run import (
    IN_PROGRESS_RUN_STATUSES,
    NOT_FINISHED_STATUSES,
    RunsFilter,
)

from pipeline.opening import options_of
from pipeline.providers.errors import MissingKeys, Unsupported
from pipeline.store.cells import Cell
from pipeline.universe import Universe
from resources.ledger import LedgerResource
from resources.partitions import to_key
from sensors.pacing import Pace, Pacing

Key = TypeVar("Key")

_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
_OPEN = (BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING)
PRIORITY = "dagster/priority"
SLOW = {"minuteledger/slow": "yes"}
"""On all that may wait: dagster.yaml keeps room for the refreshes."""


@dataclass(frozen=True, slots=True)
class Ticking:
    """How the sensors that ask providers begin.

    Attributes:
        status: Whether they run until somebody stops them, or stand until somebody starts them.
        seconds: How often they tick, instead of each as is good for it; None: as is good.
    """

    status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.RUNNING
    seconds: int | None = None

    def every(self, seconds: int) -> int:
        """Return how often a sensor ticks."""
        return self.seconds or seconds


@contextmanager
def looking(ledger: LedgerResource) -> Iterator[psycopg.Connection]:
    """Open the ledger for the look of a tick, without a transaction around statements.

    One that takes long fails by itself, before Dagster's minute is over and its cursor lost.
    """
    with ledger.database().connect() as connection:
        connection.autocommit = True
        connection.execute("SET statement_timeout = '30s'")
        yield connection


def fingerprint(parts: Iterable[str]) -> str:
    """Return a short text that differs where what is left to be done does."""
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def tag_of(sensor: str) -> str:
    """Return the tag of what a sensor launches; its value is the key."""
    return f"minuteledger/{sensor}"


def queued_or_under_way(
    instance: dg.DagsterInstance, sensor: str, keys: Collection[str]
) -> set[str]:
    """Return the keys of a sensor of which a run is queued or under way."""
    found = instance.get_runs(
        RunsFilter(tags={tag_of(sensor): list(keys)}, statuses=NOT_FINISHED_STATUSES)
    )
    return {run.tags[tag_of(sensor)] for run in found}


def backfilled(instance: dg.DagsterInstance) -> set[dg.AssetKey]:
    """Return the assets of all backfills that are not finished."""
    open_ones = instance.get_backfills(filters=BulkActionsFilter(statuses=list(_OPEN)))
    return {key for backfill in open_ones for key in backfill.asset_selection or ()}


def at_work(
    instance: dg.DagsterInstance, assets: Mapping[str, Collection[dg.AssetKey]]
) -> set[str]:
    """Return the providers of which a run has begun and not ended.

    Args:
        instance: Where to look.
        assets: By provider, the assets whose runs count; its repairs always do.
    """
    found = instance.get_runs(RunsFilter(statuses=IN_PROGRESS_RUN_STATUSES))
    selected = {key for run in found for key in run.asset_selection or ()}
    jobs = {run.job_name for run in found}
    return {
        provider
        for provider, keys in assets.items()
        if f"heal_{provider}" in jobs or selected & set(keys)
    }


def missing_keys(universe: Universe, provider: str) -> str | None:
    """Return why a provider, which it names, cannot be asked as configured; None if it can."""
    try:
        missing = options_of(universe, provider).missing_keys(provider)
    except Unsupported as error:
        return str(error)
    return str(MissingKeys(provider, missing)) if missing else None


def range_tags(first: str, last: str) -> Mapping[str, str]:
    """Return the tags of a run of all partitions between two keys, both included."""
    return dict(zip(_RANGE, (first, last), strict=True))


def assets_of_minutes(provider: str) -> list[dg.AssetKey]:
    """Return the assets of a provider's listings and months, which are made together."""
    return [dg.AssetKey([provider, name]) for name in ("bars_1m", "gaps", "bars")]


def tail_of(provider: str) -> dg.AssetKey:
    """Return the asset that refreshes make."""
    return dg.AssetKey([provider, "tail"])


def request_of_cells(
    sensor: str, first: Cell, last: Cell, *, provider: str, priority: int, **config: bool
) -> dg.RunRequest:
    """Return a run, which may wait, of the assets of a provider's cells between two.

    Args:
        sensor: Who launches it; its key is the provider.
        first: One end of the product of listings and months.
        last: The other end.
        provider: The provider.
        priority: Of the run.
        config: Of `DownloadConfig`.
    """
    return dg.RunRequest(
        asset_selection=assets_of_minutes(provider),
        tags={
            tag_of(sensor): provider,
            PRIORITY: str(priority),
            **SLOW,
            **range_tags(to_key(first), to_key(last)),
        },
        run_config={"ops": {f"{provider}__minutes": {"config": config}}},
    )


def runs_of_neighbours(
    wanted: Collection[Key], ordered: Sequence[Key], most: int
) -> Iterator[Sequence[Key]]:
    """Yield wanted keys as they are neighbours in an order, at most so many together."""
    run: list[Key] = []
    for key in ordered:
        if run and (key not in wanted or len(run) == most):
            yield run
            run = []
        if key in wanted:
            run.append(key)
    if run:
        yield run


class Plan:
    """What one tick launches, and why it launches nothing of the rest.

    Args:
        pacing: What was launched before.
        now: The present, UTC.
    """

    def __init__(self, pacing: Pacing, now: datetime) -> None:
        self._pacing = pacing
        self._now = now
        self._requests: list[dg.RunRequest] = []
        self._said = [pacing.unreadable] if pacing.unreadable else []

    def say(self, what: str) -> None:
        """Note why nothing is launched of a key, or what else is worth knowing."""
        self._said.append(what)

    def launch(self, key: str, what: str, pace: Pace, requests: Sequence[dg.RunRequest]) -> bool:
        """Launch runs of a key, unless it has to wait; return whether they were."""
        wait = self._pacing.wait(key, what, self._now, pace)
        if wait > timedelta(0):
            minutes = wait / timedelta(minutes=1)
            self.say(f"{key}: launched before, not again for {minutes:.1f} minutes")
            return False
        self._pacing = self._pacing.launched(key, what, self._now, pace)
        self._requests += requests
        return True

    def result(self, nothing: str) -> dg.SensorResult:
        """Return what the tick says."""
        reason = None if self._requests else "; ".join(self._said) or nothing
        return dg.SensorResult(
            run_requests=self._requests or None, skip_reason=reason, cursor=self._pacing.dump()
        )
