"""Whether a run counts as alive: by its process, where that can be seen."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import create_run_for_test

from resources.launcher import WatchedRunLauncher

HERE, ELSEWHERE = {"host": "localhost", "socket": "/tmp/x"}, {"host": "code", "port": 4000}
Process = subprocess.Popen[bytes]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def process() -> Iterator[Process]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def started(
    instance: dg.DagsterInstance,
    pid: int,
    server: dict[str, object] | None = None,
    ago: float = 0.0,
) -> WorkerStatus:
    """Let a run have started some seconds ago, and return what is said of it."""
    run = create_run_for_test(
        instance,
        status=dg.DagsterRunStatus.STARTED,
        tags={GRPC_INFO_TAG: json.dumps(server or HERE)},
    )
    instance.report_dagster_event(
        DagsterEvent(event_type_value="PIPELINE_START", job_name=run.job_name, pid=pid),
        run.run_id,
        timestamp=time.time() - ago,
    )
    return status_of(instance, run)


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> WorkerStatus:
    launcher = WatchedRunLauncher()
    launcher.register_instance(instance)
    return launcher.check_run_worker_health(run).status


def test_a_run_lives_as_long_as_its_process(instance: dg.DagsterInstance, process: Process) -> None:
    assert started(instance, process.pid) == WorkerStatus.RUNNING

    process.kill()
    process.wait()

    assert started(instance, process.pid) == WorkerStatus.NOT_FOUND


def test_a_process_that_has_ended_and_was_not_collected_is_gone(
    instance: dg.DagsterInstance, process: Process
) -> None:
    process.kill()
    while started(instance, process.pid) == WorkerStatus.RUNNING:
        time.sleep(0.01)

    assert started(instance, process.pid) == WorkerStatus.NOT_FOUND


def test_a_younger_process_of_the_same_number_is_another(
    instance: dg.DagsterInstance, process: Process
) -> None:
    assert started(instance, process.pid, ago=3600) == WorkerStatus.NOT_FOUND


def test_nothing_is_known_of_processes_on_other_machines(
    instance: dg.DagsterInstance, process: Process
) -> None:
    process.kill()
    process.wait()

    assert started(instance, process.pid, ELSEWHERE) == WorkerStatus.RUNNING


def test_a_run_that_has_not_said_where_it_runs_counts_as_alive(
    instance: dg.DagsterInstance,
) -> None:
    run = create_run_for_test(
        instance,
        status=dg.DagsterRunStatus.STARTED,
        tags={GRPC_INFO_TAG: json.dumps(HERE)},
    )

    assert status_of(instance, run) == WorkerStatus.RUNNING
