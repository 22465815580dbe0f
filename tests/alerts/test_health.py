"""What supervisors are told: of a real database, and of web servers that answer or do not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from pipeline.alerts.model import Kind, Trouble
from pipeline.cli import app
from pipeline.settings import Settings, load_settings
from pipeline.store.alert_watch import note_undelivered
from pipeline.store.alerts import record
from pipeline.store.database import Database
from pipeline.store.migrate import migrate, revisions
from pipeline.vitals import Vital, examine, exit_code, newest_revision
from tests.making import add_listing

LOADED = {"__typename": "RepositoryLocation", "repositories": [{"name": "r"}]}
BROKEN = {"__typename": "PythonError", "message": "SyntaxError: no", "stack": []}


def webserver_says(place: dict[str, Any], heartbeat: float) -> dict[str, Any]:
    daemon = {"daemonType": "SENSOR", "required": True, "lastHeartbeatTime": heartbeat}
    entry = {"name": "l", "loadStatus": "LOADED", "locationOrLoadError": place}
    return {
        "workspaceOrError": {"__typename": "Workspace", "locationEntries": [entry]},
        "instance": {"daemonHealth": {"allDaemonStatuses": [daemon]}},
    }


@contextmanager
def webserver(place: dict[str, Any], heartbeat: float = 0.0) -> Iterator[str]:
    """Answer as Dagster's webserver does, of which these tests want little."""
    says = {"data": webserver_says(place, heartbeat or time.time())}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(says)

        def _answer(self, document: dict[str, Any]) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine what is well may take longer than users would wait."""
    monkeypatch.setattr("pipeline.vitals.SECONDS", 30.0)
    monkeypatch.setattr("pipeline.vitals._ANSWER_SECONDS", 10.0)


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path, universe=None, database_url=database.url())


@pytest.fixture
def watched(connection: psycopg.Connection) -> psycopg.Connection:
    """A ledger in which somebody looks for trouble."""
    record(connection, tuple(Kind), [], datetime.now(UTC))
    return connection


def states(vitals: list[Vital]) -> dict[str, str]:
    return {vital.what: vital.state for vital in vitals}


def said(vitals: list[Vital], what: str) -> str:
    return next(vital.text for vital in vitals if vital.what == what)


def test_what_is_well_is_healthy(settings: Settings, watched: psycopg.Connection) -> None:
    with webserver(LOADED) as url:
        vitals = examine(settings, url=url)
    names = "database watch alerts listings webserver 'code location' daemon disk"
    assert states(vitals) == {
        name.replace("_", " "): "healthy"
        for name in names.replace("'code location'", "code_location").split()
    }
    assert exit_code(vitals) == 0


def test_each_part_of_dagster_is_told_apart(
    settings: Settings, watched: psycopg.Connection
) -> None:
    with webserver(BROKEN, heartbeat=time.time() - 100) as url:
        vitals = examine(settings, url=url, live=True)
    assert states(vitals) == {
        "database": "healthy",
        "webserver": "healthy",
        "code location": "unhealthy",
        "daemon": "unhealthy",
    }
    assert "SyntaxError: no" in said(vitals, "code location")
    assert "no sign of life of sensor" in said(vitals, "daemon")
    assert exit_code(vitals) == 1
    assert "nobody serves" in said(examine(settings), "webserver")


def test_what_hangs_is_not_waited_for(
    settings: Settings, watched: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.vitals.SECONDS", 3.0)
    monkeypatch.setattr("pipeline.vitals._ANSWER_SECONDS", 1.0)
    with create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        hanging = load_settings(home=settings.home, database_url=f"postgresql://u:pw@{address}/d")
        begun = time.monotonic()
        vitals = examine(hanging, url=f"http://{address}")
        assert time.monotonic() - begun < 20
    assert states(vitals) == {
        "database": "unknown",
        "webserver": "unhealthy",
        "disk": "healthy",
    }
    assert exit_code([vital for vital in vitals if vital.what != "webserver"]) == 2


def test_critical_alerts_and_listings_behind_are_unhealthy_but_no_reason_to_restart(
    settings: Settings, watched: psycopg.Connection
) -> None:
    add_listing(watched)
    now = datetime.now(UTC)
    warning = Trouble(Kind.DISK, "ledger", "warning", "little room", "make room", now)
    critical = Trouble(Kind.REFUSED, "kraken", "critical", "refused", "look", now)
    record(watched, tuple(Kind), [warning], now)
    assert states(examine(settings))["alerts"] == "healthy"
    record(watched, tuple(Kind), [warning, critical], now)
    vitals = examine(settings)
    assert states(vitals)["alerts"] == states(vitals)["listings"] == "unhealthy"
    assert said(vitals, "alerts").startswith("critical alerts that stand: 1; refused")
    assert said(vitals, "listings").startswith("listings that are behind: 1 (bitfinex)")
    with webserver(LOADED) as url:
        assert exit_code(examine(settings, url=url, live=True)) == 0


def test_a_watch_that_has_ended_or_cannot_tell_anybody_is_unhealthy(
    settings: Settings, connection: psycopg.Connection
) -> None:
    now = datetime.now(UTC)
    assert "nobody has looked for trouble yet" in said(examine(settings), "watch")
    record(connection, tuple(Kind), [], now - timedelta(minutes=6))
    assert "turn Dagster's sensor `alerts` on" in said(examine(settings), "watch")
    record(connection, tuple(Kind), [], now)
    assert states(examine(settings))["watch"] == "healthy"
    note_undelivered(connection, "the receiver answered 500", now, now)
    assert "the receiver answered 500" in said(examine(settings), "watch")


def test_a_database_of_another_release_is_unhealthy(settings: Settings, database: Database) -> None:
    assert revisions(database) == (newest_revision(), newest_revision())
    migrate(database, "0015")
    assert "revision 0015 instead of" in said(examine(settings), "database")
    migrate(database, "base")
    assert "run `minuteledger migrate`" in said(examine(settings), "database")


def test_the_command_ends_with_the_code_that_supervisors_read(
    settings: Settings,
    watched: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["health", *arguments])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINUTELEDGER_HOME", str(tmp_path / "home"))
    assert run("--live").exit_code == 1  # nobody serves
    with webserver(LOADED) as url:
        done = run("--url", url, "--json")  # there is no database yet
        assert (done.exit_code, json.loads(done.stdout)["state"]) == (2, "unknown")
        assert not (tmp_path / "home").exists(), "looking makes nothing"
        assert settings.database_url is not None
        monkeypatch.setenv("MINUTELEDGER_DATABASE_URL", settings.database_url.get_secret_value())
        done = run("--url", url, "--json")
        assert (done.exit_code, json.loads(done.stdout)["state"]) == (0, "healthy")
    monkeypatch.setenv("MINUTELEDGER_DATABASE_URL", "mysql://me:hunter2@host/market")
    done = run("--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["vitals"][0]["what"] == "settings"
    assert "hunter2" not in done.output
    assert run("--url", "http://me:hunter2@host").exit_code == 2
