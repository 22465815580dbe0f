"""Ending processes with everything they started, also when whoever started them was killed.

Each of our processes leads a session of its own, so that Ctrl-C in a terminal reaches only us and
whatever a process starts (Dagster's runs) stays recognisable as its. `python -m` of this module is
the guard: it reads the ids of sessions and ends them all when its input closes, which the system
does for a process that dies, however it dies.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import IO

import psutil

_POLL_SECONDS = 0.1
_GUARD_PATIENCE = 5.0
_LAST_PATIENCE = 3.0


def members(sessions: Collection[int]) -> set[int]:
    """Return the ids of all living processes in the sessions."""
    return {pid for pid in psutil.pids() if _session(pid) in sessions and _lives(pid)}


def end(
    sessions: Collection[int], patience: float, reap: Callable[[], object] | None = None
) -> None:
    """End sessions: leaders are asked, then what is left of them is told, then killed.

    Args:
        sessions: Ids of the leaders, which are the sessions' ids.
        patience: Seconds that the leaders get to finish in good order.
        reap: Called between looks; collects our own children that have ended.
    """
    steps = (
        (signal.SIGTERM, set(sessions), patience),
        (signal.SIGTERM, None, _LAST_PATIENCE),
        (signal.SIGKILL, None, _LAST_PATIENCE),
    )
    for number, whom, seconds in steps:
        left = members(sessions)
        for pid in left if whom is None else left & whom:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        # Once its leader is gone, nobody in a session has anything to wait for.
        while (left := members(sessions)) and time.monotonic() < deadline:
            if whom is not None and not left & whom:
                break
            time.sleep(_POLL_SECONDS)
            if reap is not None:
                reap()
        if not left:
            return


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


class Guard:
    """A process that ends the sessions it was told of when ours is gone."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        """Whether the guard itself still runs."""
        return self._process.poll() is None

    def watch(self, session: int) -> None:
        """End this session, too."""
        self._tell(f"+{session}")

    def forget(self, session: int) -> None:
        """Leave this session alone: it has ended, and its number may become another's."""
        self._tell(f"-{session}")

    def close(self) -> None:
        """Let it end what it was told of, and wait for it."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it is dead, and will be replaced
                self._process.stdin.write(f"{line}\n")
                self._process.stdin.flush()


def keep_guard(orders: IO[str]) -> None:
    """Read `+session` and `-session` until the end, then end the sessions that are left."""
    sessions: set[int] = set()
    for line in orders:
        change = sessions.add if line.startswith("+") else sessions.discard
        change(int(line[1:]))
    end(sessions, _GUARD_PATIENCE)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    keep_guard(sys.stdin)
