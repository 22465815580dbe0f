"""Dagster's home folder, its processes' environment and their command lines."""

from __future__ import annotations

import os
import secrets
import socket
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from uuid import uuid4

import yaml

from pipeline.orchestration.errors import OrchestrationError
from pipeline.orchestration.supervisor import Program
from pipeline.providers.table import KEYS
from pipeline.settings import PREFIX, Settings, vendor_keys
from pipeline.store.database import Database

HOST: Final = "127.0.0.1"
_EVERYWHERE: Final = {"0.0.0.0", "::"}  # noqa: S104 - what others ask for
_ROOT = Path(__file__).parents[2]
_INSTANCE_FILE = _ROOT / "dagster.yaml"
_WORKSPACE_FILE = _ROOT / "workspace.yaml"
_HIGHEST_PORT = 65_535
_BY_WORKERS: Final = {
    "module": "resources.workers",
    "class": "WorkersRunLauncher",
    "config": {name: {"env": f"{PREFIX}BROKER_URL"} for name in ("broker", "backend")},
}
CODE_PORT: Final = f"{PREFIX}CODE_PORT"
"""Where the code server is, for workspace.yaml."""
DEFAULTS: Final = {"DAGSTER_EVENT_BATCH_SIZE": "1000", "DAGSTER_GRPC_TIMEOUT_SECONDS": "180"}
"""What Dagster's processes are told, unless our own environment says otherwise: to write what a run
says of an asset's partitions together, not one by one; and to wait longer than a minute for a code
server, which on a busy machine is not long to start a run."""


def install(settings: Settings) -> None:
    """Bring Dagster's home folder in step with the instance file of this release.

    Raises:
        OrchestrationError: Runs are to go to workers, and cannot.
    """
    _require_workers(settings)
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    said = yaml.safe_load(_INSTANCE_FILE.read_text(encoding="utf-8"))
    if settings.broker_url is not None:
        said["run_launcher"] = _BY_WORKERS
    text = f"# Made of {_INSTANCE_FILE}, again at every start.\n{yaml.safe_dump(said)}"
    (settings.dagster_home / "dagster.yaml").write_text(text, encoding="utf-8")


def _require_workers(settings: Settings) -> None:
    """Raise OrchestrationError when runs are to go to workers on other machines, and cannot."""
    if settings.broker_url is None:
        return
    if settings.database_url is None:
        raise OrchestrationError(
            "workers on other machines cannot reach the embedded database: set "
            "MINUTELEDGER_DATABASE_URL, here and there, or remove MINUTELEDGER_BROKER_URL"
        )
    if find_spec("dagster_celery") is None:
        raise OrchestrationError(
            "MINUTELEDGER_BROKER_URL is set, and dagster-celery is not installed; run "
            "`uv sync --extra workers`, or remove it"
        )


def environment(settings: Settings, database: Database) -> dict[str, str]:
    """Return the environment of Dagster's processes: ours, with every setting said in full.

    The processes run in the home folder, so that no `.env` of the caller's can say otherwise.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    ours = {
        "DAGSTER_HOME": str(settings.dagster_home),
        "PYTHONUNBUFFERED": "1",
        **settings.environment,
        f"{PREFIX}DAGSTER_URL": _with_driver(database.url(database.dagster_name)),
    }
    keys = {name: key.get_secret_value() for name, key in vendor_keys(KEYS).items()}
    return DEFAULTS | kept | ours | keys


def _with_driver(url: str) -> str:
    # Dagster's notifications need psycopg 2, while a bare postgresql:// now means psycopg 3.
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)


def code_server(port: int) -> Program:
    """Return the process that has loaded our definitions and starts runs."""
    command = [_script("dagster"), "code-server", "start", "-m", "pipeline.definitions"]
    return Program("code-server", [*command, "-h", HOST, "-p", str(port)])


def webserver(host: str, port: int) -> Program:
    """Return the process that serves the web UI and GraphQL."""
    command = [_script("dagster-webserver"), "-h", host, "-p", str(port)]
    return Program("webserver", [*command, "-w", str(_WORKSPACE_FILE)], patience=8.0)


def daemon() -> Program:
    """Return the process that ticks sensors and schedules and launches runs."""
    command = [_script("dagster-daemon"), "run", "-w", str(_WORKSPACE_FILE)]
    return Program("daemon", command, patience=20.0)


def metrics(port: int) -> Program:
    """Return the process that serves metrics to Prometheus."""
    return Program("metrics", [_script("minuteledger"), "metrics", "--port", str(port)])


def worker(runs: int) -> Program:
    """Return the process that executes runs, so many at once, each in a process of its own."""
    command = [
        _script("celery"),
        "-A",
        "resources.worker_app",
        "worker",
        "--concurrency",
        str(runs),
    ]
    # A name of its own each time: one that is gone never seems to be there again.
    name = ["--hostname", f"{uuid4().hex[:8]}@%h"]
    return Program("worker", [*command, *name, "--loglevel", "INFO"])


def url_of(host: str, port: int) -> str:
    """Return where this machine finds a web UI that listens on a host's port."""
    return f"http://{HOST if host in _EVERYWHERE else host}:{port}"


def _script(name: str) -> str:
    return str(Path(sysconfig.get_path("scripts")) / name)


def free_port() -> int:
    """Return a port that nothing listens on at this moment.

    It is below those that systems give to connections, which might take it before it is used.
    """
    while not is_free(port := 20_000 + secrets.randbelow(12_000)):
        pass
    return port


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port now."""
    with socket.socket() as probe:
        # As servers do: what a closed connection leaves behind does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    # Dagster's code server shares its port with whoever asks; a connection tells.
    return not answers(port)


def answers(port: int) -> bool:
    """Return whether something accepts connections on the port."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def require_free(port: int) -> None:
    """Raise OrchestrationError when the web UI cannot listen on the port."""
    if not 0 < port <= _HIGHEST_PORT:
        raise OrchestrationError(f"port {port} does not exist; choose one from 1 to 65535")
    if not is_free(port):
        raise OrchestrationError(
            f"port {port} of {HOST} is in use; choose another with --port {port + 1} "
            f"(or `make up PORT={port + 1}`), or end what listens there"
        )
