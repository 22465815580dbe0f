"""Runs on other machines: a launcher that hands them to workers through Celery.

A worker is `minuteledger worker` (`worker_app`). Redis carries which run is to be executed, and
that it has begun; all else that a run needs is in the databases, the universe file and the
environment.
"""

from __future__ import annotations

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

_PATIENCE_SECONDS = 5.0


class WorkersRunLauncher(CeleryRunLauncher):
    """Dagster's own launcher by Celery, which also notices that a worker is gone with its run.

    Dagster's believes for ever what the worker said last: that the run has begun.
    """

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether the worker of a run that has started answers."""
        found = self.celery.backend.get_task_meta(run.tags[DAGSTER_CELERY_TASK_ID_TAG])
        if found["status"] != "STARTED":
            return super().check_run_worker_health(run)
        worker = found["result"]["hostname"]
        if self.celery.control.ping([worker], timeout=_PATIENCE_SECONDS):
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=worker)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, f"its worker {worker} is gone; what it stored is kept"
        )
