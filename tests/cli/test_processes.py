"""Ending processes: all of what a session started, whoever is left to ask for it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.orchestration import sessions
from pipeline.orchestration.errors import OrchestrationError
from pipeline.orchestration.supervisor import Program, Supervisor
from tests.cli.conftest import gone, wait_until

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
SHORT = "import time; time.sleep(0.3)"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    made = Supervisor(logs=tmp_path, environment={}, folder=tmp_path, say=said.append)
    yield made
    made.stop()


def python(name: str, code: str, patience: float = 1.0) -> Program:
    return Program(name, [sys.executable, "-c", code], patience)


def processes_of(supervisor: Supervisor, name: str) -> list[psutil.Process]:
    wait_until(lambda: "up" in supervisor.log(name).read_text(), 20)
    leader = psutil.Process(supervisor._children[name].process.pid)
    return [leader, *leader.children(recursive=True)]


@pytest.mark.parametrize("code", [SLEEP, PARENT, STUBBORN])
def test_stopping_ends_a_program_with_all_it_started(supervisor: Supervisor, code: str) -> None:
    supervisor.start(python("program", code))
    processes = processes_of(supervisor, "program")

    supervisor.stop_one("program")

    assert gone(processes)


def test_a_guard_ends_sessions_when_its_input_closes(tmp_path: Path) -> None:
    leader = subprocess.Popen([sys.executable, "-c", PARENT], start_new_session=True)
    other = subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True)
    processes = [psutil.Process(leader.pid)]
    wait_until(lambda: bool(processes[0].children()), 20)
    guard = sessions.Guard()
    guard.watch(leader.pid)
    guard.watch(other.pid)
    guard.forget(other.pid)

    guard.close()

    assert gone([*processes, *processes[0].children(recursive=True)])
    assert other.poll() is None
    other.kill()
    other.wait()
    leader.wait()


def test_a_program_that_dies_is_started_again_ever_later(
    supervisor: Supervisor, said: list[str]
) -> None:
    supervisor.start(python("program", SHORT))

    deadline = time.monotonic() + 30
    while len(said) < 4:
        supervisor.look()
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert "in 1 s" in said[0]
    assert "in 2 s" in said[2]
    assert said[1] == said[3] == "program is started again."


def test_a_program_that_ends_at_its_start_is_told_with_its_log(supervisor: Supervisor) -> None:
    supervisor.start(python("program", "raise SystemExit('no such luck')"))

    wait_until(lambda: supervisor._children["program"].process.poll() is not None, 20)

    with pytest.raises(OrchestrationError, match="no such luck"):
        supervisor.require_alive()


def test_a_guard_that_dies_is_replaced(supervisor: Supervisor) -> None:
    supervisor.start(python("program", SLEEP))
    supervisor._guard._process.kill()
    supervisor._guard._process.wait()

    supervisor.look()

    assert supervisor._guard.alive
