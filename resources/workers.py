"""Runs on other machines: a launcher that hands them to workers through Celery.

A worker is `minuteledger worker` (`worker_app`). Redis carries which run is to be executed, and
that it has begun; all else that a run needs is in the databases, the universe file and the
environment.
"""

from __future__ import annotations

import dagster as dg
from celery.states import READY_STATES, STARTED
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

_PATIENCE_SECONDS = 5.0


class WorkersRunLauncher(CeleryRunLauncher):
    """Dagster's own launcher by Celery, which also knows whether a worker is at work on a run.

    Dagster's believes for ever what Redis was told last, that a run has begun; and takes all runs
    for lost when Redis has lost that.
    """

    def terminate(self, run_id: str) -> bool:
        """End a run in good order; return whether it was told to."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        # Or it would count as failed, and be tried again.
        self._instance.report_run_canceling(run)
        return super().terminate(run_id)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether a worker is at work on a run that has started."""
        task = run.tags[DAGSTER_CELERY_TASK_ID_TAG]
        found = self.celery.backend.get_task_meta(task)
        if found["status"] in READY_STATES:
            return super().check_run_worker_health(run)
        worker = found["result"]["hostname"] if found["status"] == STARTED else None
        asked = self.celery.control.inspect([worker] if worker else None, _PATIENCE_SECONDS)
        known = asked.query_task(task) or {}
        if any(task in tasks for tasks in known.values()):
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=worker)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, f"its worker {worker or ''} is gone; what it stored is kept"
        )
