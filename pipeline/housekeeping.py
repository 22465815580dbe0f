"""Forgetting what nobody needs any more, in both databases, and counting what is there.

What belongs here: how old things may grow. How each is forgotten is said where it is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from pipeline.orchestration.history import Forgotten, forget
from pipeline.store.limits import forget_health
from pipeline.store.retention import Pruning, prune
from pipeline.store.sizes import RelationSize, keep_sizes, measure
from pipeline.store.statistics import count_partitioned
from pipeline.universe import SnapshotsConfig


@dataclass(frozen=True, slots=True)
class Ages:
    """How old things may grow.

    Attributes:
        run_details: How runs went that succeeded.
        runs: Runs whose every outcome a newer one has replaced.
        snapshots: Documents of fundamentals.
    """

    run_details: timedelta
    runs: timedelta
    snapshots: SnapshotsConfig


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """What was forgotten.

    Attributes:
        runs: Of Dagster's runs.
        requests: How many rows of how requests went.
        snapshots: Of documents of fundamentals.
        counted: How many tables were counted for PostgreSQL's plans.
    """

    runs: Forgotten
    requests: int
    snapshots: Pruning
    counted: int


def housekeep(
    ledger: psycopg.Connection,
    dagster: psycopg.Connection,
    ages: Ages,
    now: datetime,
    *,
    delete_run: Callable[[str], None],
    delete_output: Callable[[str], None],
) -> Housekeeping:
    """Forget what has grown too old, and count what queries are planned by.

    Doing it again forgets nothing more.

    Args:
        ledger: To the ledger, without a transaction around statements.
        dagster: To Dagster's database, likewise.
        ages: How old things may grow.
        now: The present, UTC.
        delete_run: Deletes one of Dagster's runs, by its id.
        delete_output: Deletes what a run printed.

    Raises:
        UnknownHistory: Dagster's tables are not what they are known to be; all else is done.
    """
    requests = forget_health(ledger, now)
    snapshots = prune(ledger, ages.snapshots, now)
    counted = count_partitioned(ledger)
    runs = forget(
        dagster,
        details_before=now - ages.run_details,
        runs_before=now - ages.runs,
        delete_run=delete_run,
        delete_output=delete_output,
    )
    return Housekeeping(runs, requests, snapshots, counted)


def take_sizes(
    ledger: psycopg.Connection, dagster: psycopg.Connection, now: datetime
) -> list[RelationSize]:
    """Measure the tables of both databases and keep that as the sizes of the day."""
    found = [*measure(ledger, "market"), *measure(dagster, "dagster")]
    keep_sizes(ledger, now.date(), found)
    return found
