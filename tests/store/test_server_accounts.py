"""The embedded server between accounts: whose it is, what root's may do."""

import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipeline.store.server import EmbeddedServer, ServerError
from tests.store.servers import (
    FAST,
    PACKAGES,
    REPOSITORY,
    START,
    ask,
    needs_root,
    running_pid,
    said,
    spawn,
)

DOCKER_CAPABILITIES = (
    "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,"
    "sys_chroot,mknod,audit_write,setfcap"
)


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
    kill = "os.kill(server.status().pid, 9)"
    gone = "while server.status().state == 'running': time.sleep(.01)"
    code = f"{kill}\n{gone}\n{START}; print(server.stop())"
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
