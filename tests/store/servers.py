"""Embedded servers and processes that use them, for the tests of both."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest

from pipeline.store import server_process
from pipeline.store.server import EmbeddedServer

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = Path(psycopg.__file__).parents[1]
FAST = {"fsync": "off", "shared_buffers": "16MB"}
IMPORTS = """
import os, sys, time, signal, psycopg
from pathlib import Path
from pipeline.store.server import EmbeddedServer, ServerError
folder = Path(sys.argv[1])
server = EmbeddedServer(folder, settings={"fsync": "off", "shared_buffers": "16MB"}, timeout=60)
"""
START = "print(psycopg.connect(server.start()).execute('select 1').fetchone(), server.status().pid)"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become other accounts")


def kill_everything(data_dir: Path) -> None:
    live = server_process.live_postmaster(data_dir)
    if live is not None:
        os.kill(live.pid, signal.SIGKILL)
        wait_until(lambda: server_process.live_postmaster(data_dir) is None)
    server_process.end_orphans(data_dir)


def wait_until(true: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def spawn(
    code: str,
    folder: Path,
    *,
    prefix: tuple[str, ...] = (sys.executable,),
    leader: bool = False,
    account: str | None = None,
) -> subprocess.Popen[str]:
    """A process of its own that runs `code` with `server` on `folder`, on request as `account`."""
    return subprocess.Popen(
        [*prefix, "-c", IMPORTS + code, str(folder)],
        cwd="/",
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{PACKAGES}", "VENDOR_KEY": "SECRET"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0 if leader else None,
        user=account,
        group=account,
        extra_groups=[] if account else None,
    )


def said(process: subprocess.Popen[str], seconds: float = 60) -> str:
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, output
    return output.strip()


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def has_ended(pid: int) -> bool:
    """Whether the process is gone, or only waits to be reaped by a slow init."""
    try:
        process = psutil.Process(pid)
        return process.status() == psutil.STATUS_ZOMBIE or not process.cmdline()
    except psutil.Error:
        return True


def running_pid(server: EmbeddedServer) -> int:
    pid = server.status().pid
    assert pid is not None
    return pid
