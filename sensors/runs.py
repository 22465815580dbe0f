"""What became of runs, as the instance has noted it.

What belongs here: reading Dagster's events. Dagster's own sensors of run statuses look at five runs
a tick, and forget those at which they fail; here a tick that fails is done again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from pipeline.alerts.runs import failed_run
from pipeline.store.alerts import FailedRun

_PAGE: Final = 50
_LOOK_BACK_SECONDS: Final = 3600.0
"""How far back is looked the first time."""

Succeeded = tuple[datetime, Collection[str]]


@dataclass(frozen=True, slots=True)
class Ended:
    """Runs that have ended, in that order.

    Attributes:
        records: Dagster's events of it.
        cursor: Where to go on the next time.
        more: Whether there are more.
    """

    records: Sequence[dg.EventLogRecord]
    cursor: int
    more: bool


def ended_runs(instance: dg.DagsterInstance, cursor: int | None, now: datetime) -> Ended:
    """Return runs that have failed or succeeded since.

    Args:
        instance: Dagster's instance.
        cursor: As it was returned the last time; None for the first.
        now: The present, UTC.
    """
    since = None if cursor is not None else now.timestamp() - _LOOK_BACK_SECONDS
    pages = [
        instance.fetch_run_status_changes(
            dg.RunStatusChangeRecordsFilter(
                event_type=kind, after_storage_id=cursor, after_timestamp=since
            ),
            limit=_PAGE,
            ascending=True,
        ).records
        for kind in (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS)
    ]
    # Beyond the end of a full page there may be events before those of the other.
    edges = [page[-1].storage_id for page in pages if len(page) == _PAGE]
    records = sorted((one for page in pages for one in page), key=lambda one: one.storage_id)
    if edges:
        records = [one for one in records if one.storage_id <= min(edges)]
    last = records[-1].storage_id if records else (cursor or 0)
    return Ended(records, last, more=bool(edges))


def outcomes(
    instance: dg.DagsterInstance,
    ended: Ended,
    failing: Collection[str],
    providers: Collection[str],
) -> Iterator[FailedRun | Succeeded]:
    """Yield what is to be kept of runs that have ended.

    Args:
        instance: Dagster's instance.
        ended: The runs.
        failing: The steps whose runs have failed before: only these can have recovered.
        providers: The universe's providers.
    """
    failing = set(failing)
    for record in ended.records:
        entry = record.event_log_entry
        run = instance.get_run_by_id(entry.run_id)
        if run is None:
            continue  # somebody has deleted it
        at = datetime.fromtimestamp(entry.timestamp, UTC)
        if entry.get_dagster_event().event_type == dg.DagsterEventType.RUN_FAILURE:
            for step, why in _failures(instance, run, entry.get_dagster_event()).items():
                failing.add(step)
                name = _name(instance, run, step)
                yield failed_run(run.run_id, step, name, why=why, at=at, providers=providers)
        elif failing:
            yield at, _steps(instance, run)


def _failures(
    instance: dg.DagsterInstance, run: dg.DagsterRun, ended: dg.DagsterEvent
) -> dict[str, str]:
    """Return why each step failed; of a run that died, that it did, of all its steps."""
    found = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    events = [record.event_log_entry.get_dagster_event() for record in found.records]
    said = {event.step_key: _why(event) for event in events if event.step_key}
    return said or dict.fromkeys(_steps(instance, run), ended.message or "it does not say why")


def _why(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message if error else "it does not say why"


def _steps(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Sequence[str]:
    if run.execution_plan_snapshot_id is None:
        return [run.job_name]  # it was never planned
    return instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id).step_keys_to_execute


def _name(instance: dg.DagsterInstance, run: dg.DagsterRun, step: str) -> str:
    if len(_steps(instance, run)) > 1:
        return step
    if run.asset_selection:
        return ", ".join(sorted(key.to_user_string() for key in run.asset_selection))
    return run.job_name
