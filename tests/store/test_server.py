"""The embedded server, on the real PostgreSQL: starting, stopping, refusing."""

import os
import shutil
import socket
import time
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from pipeline.store.server import EmbeddedServer, ServerError
from tests.store.servers import (
    FAST,
    START,
    ask,
    has_ended,
    said,
    spawn,
)


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
    server = EmbeddedServer(home / "pg", FAST, timeout=6)
    EmbeddedServer(home / "pg", FAST).start()
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
        assert EmbeddedServer(home / "pg", FAST).stop("fast")
        client.close()


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
