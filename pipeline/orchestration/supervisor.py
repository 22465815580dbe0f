"""Keeping processes running: started in order, restarted when they die, ended in reverse order."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.orchestration import sessions
from pipeline.orchestration.errors import OrchestrationError
from pipeline.stopping import finishing

_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
_PROVEN_SECONDS = 60.0
_LOG_BYTES = 20_000_000
_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running.

    Attributes:
        name: What it is called, in messages and for its log.
        command: Program and arguments.
        patience: Seconds it gets to end in good order.
    """

    name: str
    command: Sequence[str]
    patience: float = 15.0


@dataclass(slots=True)
class _Child:
    program: Program
    process: subprocess.Popen[bytes]
    started: float
    wait: float = _FIRST_WAIT
    due: float | None = None


class Supervisor:
    """Starts programs and restarts those that die.

    Args:
        logs: Folder of the programs' logs.
        environment: Environment of the programs.
        folder: Working folder of the programs.
        say: Tells people what happens.
    """

    def __init__(
        self,
        *,
        logs: Path,
        environment: Mapping[str, str],
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self._logs = logs
        self._environment = dict(environment)
        self._folder = folder
        self._say = say
        self._children: dict[str, _Child] = {}
        with finishing():
            self._guard = sessions.Guard()

    def start(self, program: Program) -> None:
        """Start a program; it is kept running by `look` from then on."""
        self._children[program.name] = self._spawn(program)

    def log(self, name: str) -> Path:
        """Return where the output of a program goes."""
        return self._logs / f"{name}.log"

    def require_alive(self) -> None:
        """Raise OrchestrationError, with the end of its log, when a program has ended already."""
        for name, child in self._children.items():
            code = child.process.poll()
            if code is not None:
                raise OrchestrationError(
                    f"{name} ended with code {code} while it was started; the end of "
                    f"{self.log(name)}:\n{tail(self.log(name))}"
                )

    def look(self) -> None:
        """Restart what has died, the more patiently the more often it does."""
        if not self._guard.alive:
            self._replace_guard()
        now = time.monotonic()
        for name, child in self._children.items():
            if child.process.poll() is None:
                continue
            if child.due is None:
                self._bury(name, child, now)
            elif now >= child.due:
                again = self._spawn(child.program)
                again.wait = min(child.wait * 2, _LONGEST_WAIT)
                self._children[name] = again
                self._say(f"{name} is started again.")

    def stop(self) -> None:
        """End all programs, the last first, with everything that they started."""
        for name in reversed(list(self._children)):
            self.stop_one(name)
        self._guard.close()

    def stop_one(self, name: str) -> None:
        """End one program, with everything that it started, and do not restart it."""
        child = self._children.pop(name, None)
        if child is not None:
            sessions.end({child.process.pid}, child.program.patience, child.process.poll)
            child.process.wait()
            self._guard.forget(child.process.pid)

    def _bury(self, name: str, child: _Child, now: float) -> None:
        # What it started would work on, unseen, beside what its successor starts.
        sessions.end({child.process.pid}, 0.0)
        self._guard.forget(child.process.pid)
        if now - child.started >= _PROVEN_SECONDS:
            child.wait = _FIRST_WAIT
        child.due = now + child.wait
        self._say(
            f"{name} ended with code {child.process.returncode} and is started again in "
            f"{child.wait:.0f} s; see {self.log(name)}"
        )

    def _spawn(self, program: Program) -> _Child:
        path = self.log(program.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as log, finishing():
            process = subprocess.Popen(
                list(program.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
            )
            self._guard.watch(process.pid)
        return _Child(program, process, time.monotonic())

    def _replace_guard(self) -> None:
        with finishing():
            self._guard = sessions.Guard()
            for child in self._children.values():
                if child.due is None:
                    self._guard.watch(child.process.pid)


def tail(path: Path) -> str:
    """Return the last lines of a log."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 20_000))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])
