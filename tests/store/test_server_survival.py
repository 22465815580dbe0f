"""The embedded server outlives its starters, and recovers from what kills it."""

import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from pipeline.store.server import EmbeddedServer
from tests.store.servers import (
    FAST,
    START,
    ask,
    has_ended,
    kill_everything,
    running_pid,
    said,
    spawn,
    wait_until,
)


def test_a_captured_command_that_starts_the_server_returns_and_the_server_stays(
    home: Path,
) -> None:
    assert "(1,)" in said(spawn(START, home / "pg"))
    assert EmbeddedServer(home / "pg").status().ready


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_whole_group_of_the_starter_does_not_reach_the_server(
    home: Path, number: signal.Signals
) -> None:
    server = EmbeddedServer(home / "pg")
    # Whoever runs the tests may have us ignore signals, and children inherit that.
    attentive = (
        "signal.signal(signal.SIGINT, signal.default_int_handler)"
        "; signal.signal(signal.SIGTERM, signal.SIG_DFL)"
    )
    code = f"{attentive}; server.start(); print('up', flush=True); time.sleep(60)"
    starter = spawn(code, home / "pg", leader=True)
    assert starter.stdout is not None
    assert starter.stdout.readline() == "up\n"
    pid = running_pid(server)
    os.killpg(starter.pid, number)
    assert starter.wait(timeout=10) != 0
    starter.stdout.close()
    assert ask(server.url("postgres"), "select 1") == 1
    assert running_pid(server) == pid
    assert os.getsid(pid) != os.getsid(0)


def test_a_first_start_killed_in_the_middle_is_begun_anew(home: Path) -> None:
    starter = spawn(START, home / "pg", leader=True)
    wait_until(lambda: list(home.glob(".pg.init-*/base")))
    os.killpg(starter.pid, signal.SIGKILL)
    starter.communicate(timeout=10)
    assert not (home / "pg").exists()
    assert ask(EmbeddedServer(home / "pg", FAST).start(), "select 1") == 1


def test_a_starter_killed_between_data_and_server_does_no_harm(home: Path) -> None:
    starter = spawn(START, home / "pg", leader=True)
    wait_until((home / "pg" / "minuteledger.conf").exists)
    os.killpg(starter.pid, signal.SIGKILL)
    starter.communicate(timeout=10)
    assert ask(EmbeddedServer(home / "pg", FAST).start(), "select 1") == 1


def test_a_killed_postmaster_with_a_busy_orphan_recovers_what_was_committed(home: Path) -> None:
    server = EmbeddedServer(home / "pg")
    with psycopg.connect(server.start(), autocommit=True) as connection:
        connection.execute("create table kept as select generate_series(1, 1000) as n")
        orphan = connection.info.backend_pid
        busy = threading.Thread(target=run_forever, args=(connection,))
        before = psutil.Process(orphan).cpu_times().user
        busy.start()
        wait_until(lambda: psutil.Process(orphan).cpu_times().user > before + 0.05)
        os.kill(running_pid(server), signal.SIGKILL)
        wait_until(lambda: server.status().state == "stale")
        assert psutil.pid_exists(orphan)
        assert ask(server.start(), "select count(*) from kept") == 1000
        assert has_ended(orphan)
        busy.join(timeout=10)


def run_forever(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.OperationalError):
        connection.execute("do $$ begin loop end loop; end $$")


def test_half_written_or_recycled_records_of_a_killed_server_are_not_taken_for_it(
    home: Path,
) -> None:
    folder = home / "pg"
    server = EmbeddedServer(folder, FAST)
    server.start()
    ask(server.url("postgres"), "select pg_switch_wal()::text")
    owner = folder.stat().st_uid
    stranger = subprocess.Popen(["sleep", "300"], user=owner if os.geteuid() == 0 else None)
    record, lines = folder / "postmaster.pid", (folder / "postmaster.pid").read_text().splitlines()
    for text in ("\n".join([str(stranger.pid), *lines[1:]]), "", lines[0][:1], "x\ny\n"):
        kill_everything(folder)
        record.write_text(text)
        (folder / ".s.PGSQL.5432.lock").write_text(text)
        assert server.status().state == "stale"
        assert server.stop() is False
        assert ask(server.start(), "select 1") == 1
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
