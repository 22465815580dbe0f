"""Dagster's own launcher of runs, which also notices that the process of a run is gone.

Dagster's watches a run from the code server that started it. What that one does not see (it was
killed as well, or the database was away when the run died) would count as under way, and keep its
provider's only slot, until the longest time of a run is over.
"""

from __future__ import annotations

import json

import dagster as dg
import psutil
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

_HERE = {"127.0.0.1", "::1", "localhost"}
_TOLERANCE = 300.0
"""Seconds by which a process may seem to have begun after its run said so: clocks are set."""


class WatchedRunLauncher(DefaultRunLauncher):
    """Starts each run as a process of the code server, and lets the run monitor ask for its health.

    Only processes on this machine can be seen: with a code server elsewhere every run counts as
    alive, as it does with Dagster's own launcher.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether the run monitor may ask."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether the process of a run that has started is there."""
        found = self._instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.RUN_START, limit=1
        ).records
        event = found[0].event_log_entry if found else None
        pid = event.dagster_event.pid if event and event.dagster_event else None
        if event is None or pid is None or not _runs_here(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if _lives(pid, event.timestamp):
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=str(pid))
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, f"its process {pid} is gone; what it stored is kept"
        )


def _runs_here(run: dg.DagsterRun) -> bool:
    server = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
    return bool(server.get("socket")) or server.get("host") in _HERE


def _lives(pid: int, since: float) -> bool:
    try:
        process = psutil.Process(pid)
        ended = process.status() == psutil.STATUS_ZOMBIE
        return not ended and process.create_time() <= since + _TOLERANCE
    except psutil.NoSuchProcess:
        return False
