"""Who serves a home: one process at most, found by all others through a file under the home."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.orchestration.errors import OrchestrationError
from pipeline.settings import Settings

_LOCK_SECONDS = 1.0
_LOOK_SECONDS = 0.0


@dataclass(frozen=True, slots=True)
class Running:
    """The process that serves a home.

    Attributes:
        pid: Its process id.
        url: Where Dagster's web UI is, or will be.
        ready: Whether it answers there.
        command: The command it was started with: up, demo or backfill.
    """

    pid: int
    url: str
    ready: bool
    command: str


def running(settings: Settings) -> Running | None:
    """Return who serves the home now; None when nobody does, whatever a killed one left behind."""
    if not _file(settings).exists():
        return None
    try:
        with _lock(settings, _LOOK_SECONDS):
            return None
    except Timeout:
        return _read(settings)


@contextmanager
def claim(settings: Settings, command: str) -> Iterator[Claim]:
    """Be the one that serves the home for the time of the block.

    Raises:
        OrchestrationError: Another process is.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    lock = _lock(settings, _LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        other = _read(settings)
        who = f"process {other.pid} ({other.command})" if other else "another process"
        where = f" at {other.url}" if other else ""
        raise OrchestrationError(
            f"{settings.home} is served by {who}{where} already; use that one, end it, or set "
            "MINUTELEDGER_HOME to another folder"
        ) from None
    try:
        yield Claim(settings, command)
    finally:
        _file(settings).unlink(missing_ok=True)
        lock.release()


class Claim:
    """The right to serve a home, and the place to say where."""

    def __init__(self, settings: Settings, command: str) -> None:
        self._settings = settings
        self._command = command

    def publish(self, url: str, *, ready: bool) -> None:
        """Tell other processes where this one serves."""
        state = Running(os.getpid(), url, ready, self._command)
        path = _file(self._settings)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(state)), encoding="utf-8")
        draft.replace(path)


def _file(settings: Settings) -> Path:
    return settings.home / "serving.json"


def _lock(settings: Settings, seconds: float) -> FileLock:
    return FileLock(settings.home / ".serving.lock", timeout=seconds, poll_interval=0.05)


def _read(settings: Settings) -> Running | None:
    try:
        return Running(**json.loads(_file(settings).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
