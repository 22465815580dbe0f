"""What the system knows about a data folder's server: its processes and what they hold.

PostgreSQL's ``postmaster.pid`` outlives a killed server, and its process id may by then be
someone else's. Two facts are taken instead of its word: the command line of that process, and a
``flock`` on a file in the folder that the server and every backend inherit, and that the kernel
drops when the last of them is gone, however it ended. The lock also holds between containers
that share a volume but not their process ids.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL, SIGQUIT

import psutil

_SECONDS_TO_QUIT = 3.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Postmaster:
    """What ``postmaster.pid`` says about a server.

    `socket_dir` is None until the server listens; `ready` is true while it takes connections.
    """

    pid: int
    started_at: datetime
    port: int
    socket_dir: Path | None
    ready: bool


def label(data_dir: Path) -> str:
    """Short name of a folder's server, seen in the titles of its processes."""
    return f"minuteledger-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]}"


def live_postmaster(data_dir: Path) -> Postmaster | None:
    """Server now running on `data_dir`; None also for a half-written or stale record."""
    try:
        lines = (data_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        postmaster = _parsed([*lines, *[""] * 8])
    except (FileNotFoundError, ValueError):
        return None
    return postmaster if _is_postmaster(postmaster.pid, data_dir) else None


def _parsed(lines: list[str]) -> Postmaster:
    return Postmaster(
        pid=abs(int(lines[0])),  # negative for a single-user session
        started_at=datetime.fromtimestamp(int(lines[2]), UTC),
        port=int(lines[3]),
        socket_dir=Path(lines[4]) if lines[4] else None,
        ready=lines[7].strip() == "ready",
    )


def _is_postmaster(pid: int, data_dir: Path) -> bool:
    # The working directory and executable would say it too, but root in a container without
    # CAP_SYS_PTRACE may not read those of another account.
    with suppress(psutil.Error, FileNotFoundError):
        process = psutil.Process(pid)
        command = process.cmdline() or [""]  # empty in a process that is just ending
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and process.uids().effective == data_dir.stat().st_uid
            and Path(command[0]).name == "postgres"
            and str(data_dir) in command[1:]
        )
    return False


@contextmanager
def server_lock(data_dir: Path, uid: int, gid: int) -> Iterator[int]:
    """Descriptor of the file that a running server keeps locked; not yet locked by us."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(data_dir / "minuteledger.lock", flags, 0o600)
    try:
        os.fchown(descriptor, uid, gid)
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take the server's lock; False while any process of a server of the folder lives."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def end_orphans(data_dir: Path) -> None:
    """End backends that outlived their killed postmaster, which block a new one.

    Most leave by themselves at once; one that is busy computing does not look. Only what they had
    not committed is lost, as with any crash.
    """
    for number in (SIGQUIT, SIGKILL):
        for orphan in _orphans(data_dir):
            with suppress(psutil.Error):
                orphan.send_signal(number)
        wait_for_orphans(data_dir)


def wait_for_orphans(data_dir: Path) -> None:
    """Wait a moment for what a postmaster left to end, such as its logger, which writes last."""
    # Not psutil.wait_procs: it also waits for someone to reap the ended ones.
    deadline = time.monotonic() + _SECONDS_TO_QUIT
    while next(_orphans(data_dir), None) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _orphans(data_dir: Path) -> Iterator[psutil.Process]:
    title, owner = f"postgres: {label(data_dir)}: ", data_dir.stat().st_uid
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ours = " ".join(process.cmdline()).startswith(title)
            ours = ours and process.uids().effective == owner
            if ours and not _is_postmaster(process.ppid(), data_dir):
                yield process
