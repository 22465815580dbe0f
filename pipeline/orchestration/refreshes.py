"""Asking for fundamentals through Dagster: which instruments, and what became of them.

What is due, the ledger decides; what no run ever finished, Dagster's own list.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import psycopg

from pipeline.orchestration.api import DagsterApi
from pipeline.orchestration.backfills import Wave
from pipeline.snapshots.refreshing import due
from pipeline.store.subjects import subjects


def plan(connection: psycopg.Connection, api: DagsterApi, now: datetime) -> list[Wave]:
    """Return the waves that it takes to ask for all that is due, one a provider.

    Args:
        connection: An open connection.
        api: Where they are to be launched.
        now: The present, UTC.
    """
    found = subjects(connection)
    wanted = {one.subject for one in due(connection, found, now)}
    waves = []
    for provider in sorted({subject.provider for subject in found}):
        mine = [subject for subject in found if subject.provider == provider]
        asset = (provider, "fundamentals")
        done = api.materialized(asset, [subject.instrument for subject in mine])
        names = [one.instrument for one in mine if one in wanted or one.instrument not in done]
        if names:
            waves.append(Wave(provider, [asset], names, unit="instruments"))
    return waves


def explain(api: DagsterApi, wave: Wave) -> Iterator[str]:
    """Yield, for each instrument of an ended wave that is not materialized, its name and why."""
    if not wave.missing:
        return
    reasons = api.reasons(wave.backfill)
    for name in wave.missing:
        why = next((text for text in reasons if name in text), "") or "; ".join(reasons)
        why = why or wave.problem or "its run was cancelled or never started"
        yield f"{wave.provider} {name}: {why}"
