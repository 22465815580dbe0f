"""The embedded server, on the real PostgreSQL: sharing, surviving, recovering, refusing."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import sqlalchemy

from pipeline.store import server_process
from pipeline.store.server import EmbeddedServer, ServerError

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
DOCKER_CAPABILITIES = (
    "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,"
    "sys_chroot,mknod,audit_write,setfcap"
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become other accounts")


@pytest.fixture
def home() -> Iterator[Path]:
    """A short folder that only its owner may enter; every server below it is ended."""
    folder = Path(tempfile.mkdtemp(prefix="ml-")).resolve()
    yield folder
    for record in folder.rglob("PG_VERSION"):
        if record.parent.parent.name != "base":
            kill_everything(record.parent)
    shutil.rmtree(folder)


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


def python_of_everyone(account: str) -> tuple[str, ...]:
    """An interpreter that `account` may run and that imports what we need."""
    test = ["-c", "import psycopg, psutil, filelock, pipeline.store.server"]
    environment = {"PYTHONPATH": f"{REPOSITORY}:{PACKAGES}"}
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            done = subprocess.run(
                [path, *test], check=False, user=account, env=environment, cwd="/"
            )
        except OSError:
            continue
        if done.returncode == 0:
            return (path,)
    pytest.skip(f"no Python {version} that another account may run")


# --- starting, asking, stopping --------------------------------------------------------------


def test_a_first_start_makes_a_database_that_every_driver_reaches_with_our_settings(
    home: Path,
) -> None:
    server = EmbeddedServer(home / "new" / "postgres")
    assert server.status().state == "stopped"
    assert server.stop() is False
    assert not (home / "new").exists()
    url = server.start()
    assert url == server.url("postgres") == server.start()
    for driver in ("postgresql", "postgresql+psycopg", "postgresql+psycopg2"):
        engine = sqlalchemy.create_engine(sqlalchemy.make_url(url).set(drivername=driver))
        with engine.connect() as connection:
            assert connection.scalar(sqlalchemy.text("select 1")) == 1
        engine.dispose()
    expected = {
        "server_encoding": "UTF8",
        "data_checksums": "on",
        "fsync": "on",
        "synchronous_commit": "on",
        "timezone": "UTC",
        "shared_buffers": "256MB",
        "max_wal_size": "2GB",
        "max_connections": "100",
        "jit": "off",
        "listen_addresses": "",
        "logging_collector": "on",
    }
    assert {name: ask(url, f"show {name}") for name in expected} == expected
    assert ask(url, "select datlocale from pg_database where datname = 'template1'") == "C.UTF-8"
    status = server.status()
    assert (status.state, status.ready, status.version) == ("running", True, "18")
    assert status.started_at is not None
    assert abs(time.time() - status.started_at.timestamp()) < 60
    assert server.stop() is True
    assert server.stop() is False
    assert has_ended(status.pid or 0)


def test_settings_are_rewritten_at_each_start_and_a_wrong_one_is_told_with_the_log(
    home: Path,
) -> None:
    folder = home / "pg"
    with pytest.raises(ServerError, match=r"(?s)startup\.log.*no_such_setting"):
        EmbeddedServer(folder, {**FAST, "no_such_setting": "it's"}).start()
    with pytest.raises(ServerError, match=r"(?s)log/postgresql-.*203\.0\.113\.1"):
        EmbeddedServer(folder, {**FAST, "listen_addresses": "203.0.113.1"}).start()
    server = EmbeddedServer(folder, {**FAST, "work_mem": "7MB"})
    assert ask(server.start(), "show work_mem") == "7MB"
    assert ask(server.url("postgres"), "show fsync") == "off"


def test_many_processes_that_start_at_once_share_one_server(home: Path) -> None:
    outputs = {said(process) for process in [spawn(START, home / "pg") for _ in range(8)]}
    assert outputs == {f"(1,) {EmbeddedServer(home / 'pg').status().pid}"}
    assert [path.name for path in home.iterdir() if "init" in path.name] == []


def test_two_folders_have_two_servers(home: Path) -> None:
    first, second = (EmbeddedServer(home / name, FAST) for name in "ab")
    assert ask(first.start(), "show data_directory") == str(home / "a")
    assert ask(second.start(), "show data_directory") == str(home / "b")
    assert first.stop()
    assert second.status().state == "running"


def test_a_folder_in_use_by_a_server_that_cannot_be_seen_is_not_started_again(home: Path) -> None:
    server = EmbeddedServer(home / "pg", FAST, timeout=2)
    server.start()
    (home / "pg" / "postmaster.pid").rename(home / "aside")  # as from another container
    with pytest.raises(ServerError, match="another container"):
        server.start()
    (home / "aside").rename(home / "pg" / "postmaster.pid")
    assert server.status().ready


def test_stopping_while_others_start_leaves_one_working_server(home: Path) -> None:
    server = EmbeddedServer(home / "pg", FAST)
    server.start()
    loop = "for _ in range(4): server.{}()"
    processes = [spawn(loop.format(action), home / "pg") for action in ("start", "stop") * 2]
    for process in processes:
        said(process)
    assert ask(server.start(), "select 1") == 1


def test_a_smart_stop_that_clients_hold_up_is_an_error_and_a_fast_one_ends_them(
    home: Path,
) -> None:
    server = EmbeddedServer(home / "pg", FAST, timeout=1)
    EmbeddedServer(home / "pg", FAST).start()
    with psycopg.connect(server.url("postgres")) as client:
        client.execute("select 1")
        with pytest.raises(ServerError, match='mode "fast"'):
            server.stop("smart")
        assert server.stop("fast")
        client.close()


# --- outliving processes ---------------------------------------------------------------------


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
    # A shell that runs the tests in the background has us ignore SIGINT, and children inherit that.
    attentive = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{attentive}; server.start(); print('up', flush=True); time.sleep(60)"
    starter = spawn(code, home / "pg", leader=True)
    assert starter.stdout is not None
    assert starter.stdout.readline() == "up\n"
    pid = running_pid(server)
    os.killpg(starter.pid, number)
    starter.communicate(timeout=10)
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


# --- recovering ------------------------------------------------------------------------------


def test_a_killed_postmaster_with_a_busy_orphan_recovers_what_was_committed(home: Path) -> None:
    server = EmbeddedServer(home / "pg")
    with psycopg.connect(server.start(), autocommit=True) as connection:
        connection.execute("create table kept as select generate_series(1, 1000) as n")
        orphan = connection.info.backend_pid
        busy = threading.Thread(target=run_forever, args=(connection,))
        busy.start()
        wait_until(lambda: psutil.Process(orphan).cpu_times().user > 0.05)
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


# --- refusing --------------------------------------------------------------------------------


def test_data_of_another_major_version_is_refused_and_left_alone(home: Path) -> None:
    folder = home / "pg"
    folder.mkdir()
    shutil.chown(folder, "nobody") if os.geteuid() == 0 else None
    (folder / "PG_VERSION").write_text("15\n")
    with pytest.raises(ServerError, match=r"made by PostgreSQL 15.*pg_dumpall"):
        EmbeddedServer(folder).start()
    assert [path.name for path in folder.iterdir()] == ["PG_VERSION"]


def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(home: Path) -> None:
    (home / "pg").mkdir()
    (home / "pg" / "thesis.txt").write_text("mine")
    with pytest.raises(ServerError, match="not empty"):
        EmbeddedServer(home / "pg").start()
    assert (home / "pg" / "thesis.txt").read_text() == "mine"
    with pytest.raises(ServerError, match="MINUTELEDGER_HOME"):
        EmbeddedServer(home / "pg" / "thesis.txt" / "pg").start()


@pytest.mark.parametrize("name", ["x" * 120, "it's, a & ü folder?"])
def test_long_and_odd_paths_work(home: Path, name: str) -> None:
    server = EmbeddedServer(home / name / "pg", FAST)
    url = server.start()
    assert ask(url, "show data_directory") == str(home / name / "pg")
    with sqlalchemy.create_engine(url).connect() as connection:
        assert connection.scalar(sqlalchemy.text("select 1")) == 1
    sockets = server.status().socket_dir
    assert sockets.stat().st_mode & 0o077 == 0
    assert server.stop()
    sockets.chmod(0o777)
    if sockets != home / name / "pg":
        with pytest.raises(ServerError, match="not a private folder"):
            server.start()
        shutil.rmtree(sockets)


def test_tcp_when_turned_on_wants_a_password(home: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    server = EmbeddedServer(home / "pg", {**FAST, "listen_addresses": "127.0.0.1", "port": port})
    with psycopg.connect(server.start(), autocommit=True) as connection:
        connection.execute("create role analyst login password 'secret'")
    tcp = f"postgresql://analyst@127.0.0.1:{port}/postgres"
    for refused in (tcp, tcp.replace("analyst@", "postgres@")):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(refused)
    assert ask(tcp.replace("analyst@", "analyst:secret@"), "select current_user") == "analyst"


# --- accounts --------------------------------------------------------------------------------


def capabilities(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff"))


@needs_root
def test_a_server_of_root_runs_as_another_account_with_at_most_the_capability_to_read(
    home: Path,
) -> None:
    closed = EmbeddedServer(home / "pg", FAST)
    said(spawn(START, home / "pg"))
    process = psutil.Process(running_pid(closed))
    assert process.username() in {"postgres", "nobody"}
    assert process.gids().effective == pwd.getpwnam(process.username()).pw_gid
    assert capabilities(process.pid) == 1 << 2  # CAP_DAC_READ_SEARCH: `home` has mode 0700
    assert home.stat().st_mode & 0o777 == 0o700
    assert "SECRET" not in str(process.environ())


@needs_root
def test_a_server_of_root_on_open_folders_keeps_no_capability(home: Path) -> None:
    home.chmod(0o755)
    server = EmbeddedServer(home / "pg", FAST)
    server.start()
    if any(not path.stat().st_mode & 1 for path in PACKAGES.parents):
        pytest.skip("the programs lie where only root may go")
    assert capabilities(running_pid(server)) == 0


@needs_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_root_with_the_capabilities_of_a_plain_container_works_and_with_none_is_told_why(
    home: Path,
) -> None:
    kept = DOCKER_CAPABILITIES.replace(",", ",+")
    code = START + "; server.stop(); " + START
    prefix = ("setpriv", f"--bounding-set=-all,+{kept}", sys.executable)
    assert said(spawn(code, home / "pg", prefix=prefix)).count("(1,)") == 2
    prefix = ("setpriv", "--bounding-set=-all,+dac_override", sys.executable)
    code = "try: server.start()\nexcept ServerError as error: print(error)"
    assert "Root needs CAP_CHOWN" in said(spawn(code, home / "other", prefix=prefix))


@needs_root
def test_other_accounts_cannot_connect_to_a_server_of_root_nor_use_its_folder(home: Path) -> None:
    python = python_of_everyone("daemon")
    server = EmbeddedServer(home / "pg", FAST)
    url = server.start()
    home.chmod(0o755)
    code = "try: {}\nexcept Exception as error: print(error)"
    connecting = code.format(f"psycopg.connect({url!r})")
    assert "denied" in said(spawn(connecting, home / "pg", prefix=python, account="daemon"))
    (home / "pg").chmod(0o755)  # and the kernel's word counts even where the folder is open
    assert "Peer auth" in said(spawn(connecting, home / "pg", prefix=python, account="daemon"))
    for action in ("start", "stop"):
        acting = code.format(f"server.{action}()")
        answer = said(spawn(acting, home / "pg", prefix=python, account="daemon"))
        assert f"{home / 'pg'} belongs to " in answer
    assert server.status().ready


@needs_root
def test_an_ordinary_user_has_a_server_of_his_own_that_root_does_not_take_over(
    home: Path,
) -> None:
    python = python_of_everyone("daemon")
    home.chmod(0o755)
    own = home / "own"
    own.mkdir(0o700)
    shutil.chown(own, "daemon")
    outputs = {
        said(process)
        for process in [spawn(START, own / "pg", prefix=python, account="daemon") for _ in range(4)]
    }
    server = EmbeddedServer(own / "pg", FAST)
    assert outputs == {f"(1,) {server.status().pid}"}
    assert psutil.Process(running_pid(server)).username() == "daemon"
    assert ask(server.url("postgres"), "select 1") == 1  # root may connect
    with pytest.raises(ServerError, match=r"belongs to daemon .*Run as that account"):
        server.start()
    code = "os.kill(server.status().pid, 9); time.sleep(.3); " + START + "; print(server.stop())"
    answer = said(spawn(code, own / "pg", prefix=python, account="daemon"))
    assert answer.endswith("True")


@needs_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare to mount a small disk")
def test_a_full_disk_is_told_with_what_postgresql_said(home: Path) -> None:
    (home / "disk").mkdir()
    code = "try: server.start()\nexcept ServerError as error: print(error)"
    mount = f'mount -t tmpfs -o size=20m none {home / "disk"} && exec "$0" "$@"'
    prefix = ("unshare", "--mount", "sh", "-c", mount, sys.executable)
    output = spawn(code, home / "disk" / "pg", prefix=prefix).communicate(timeout=60)[0]
    if "mount:" in output or "unshare:" in output:
        pytest.skip("mounting is not allowed here")
    assert "No space left on device" in output
    assert "Fix that" in output
