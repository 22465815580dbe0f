"""What is said twice for several machines is said alike: the files in deploy/, dagster.yaml, ours.

Nothing of deploy/ is started here: docs/several-machines.md says what was run.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from pipeline.cli import app
from pipeline.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def snake(value: Any) -> Any:
    """Return what a chart's value is called in dagster.yaml."""
    if isinstance(value, list):
        return [snake(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        re.sub(r"(?<=[a-z])[A-Z]", lambda found: f"_{found[0].lower()}", key): snake(each)
        for key, each in value.items()
    }


INSTANCE = read("dagster.yaml")
COMPOSE = read("deploy/compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
VALUES = read("deploy/helm/values.yaml")
DAEMON = VALUES["dagsterDaemon"]
(CODE,) = VALUES["dagster-user-deployments"]["deployments"]
JOB = read("deploy/helm/migrate.yaml")
(MIGRATION,) = JOB["spec"]["template"]["spec"]["containers"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("said", "as_in"),
    [
        (VALUES["concurrency"], "concurrency"),
        (DAEMON["runMonitoring"], "run_monitoring"),
        (DAEMON["runRetries"], "run_retries"),
        (DAEMON["backfills"], "backfills"),
        (DAEMON["sensors"], "sensors"),
        (DAEMON["schedules"], "schedules"),
        (VALUES["retention"], "retention"),
        (VALUES["telemetry"], "telemetry"),
    ],
)
def test_the_chart_is_told_what_dagster_yaml_says(said: dict[str, Any], as_in: str) -> None:
    told = snake(said)
    if "enabled" not in INSTANCE[as_in]:
        assert told.pop("enabled", True), "the chart would leave it out"
    assert told == INSTANCE[as_in]


def test_the_chart_is_told_of_the_queue_all_that_it_can_take() -> None:
    told = snake(DAEMON["runCoordinator"]["config"]["queuedRunCoordinator"])
    untold = {"max_user_code_failure_retries", "user_code_failure_retry_delay"}
    assert told == {key: said for key, said in INSTANCE["run_queue"].items() if key not in untold}
    # Dagster refuses an instance that is told twice.
    assert not told.keys() & INSTANCE["concurrency"]["runs"].keys()


def test_workers_of_compose_take_all_that_may_run_and_may_finish_it() -> None:
    worker = SERVICES["worker"]
    at_once = int(worker["command"][worker["command"].index("--runs") + 1])
    most = INSTANCE["concurrency"]["runs"]["max_concurrent_runs"]
    assert worker["deploy"]["replicas"] * at_once == most
    hours = re.fullmatch(r"(\d+)h", worker["stop_grace_period"])
    assert hours is not None
    assert int(hours[1]) * 3600 >= INSTANCE["run_monitoring"]["max_runtime_seconds"]


def commands() -> Iterator[list[str]]:
    """Yield the commands of ours in deploy/: those that are started, and those in comments."""
    for service in SERVICES.values():
        yield service.get("command", [])
        yield service.get("healthcheck", {}).get("test", [])[1:]
    yield MIGRATION["command"]
    for path in ("compose.yaml", "helm/values.yaml"):
        text = (DEPLOY / path).read_text()
        yield from (found.split() for found in re.findall(r"exec ledger (minuteledger .*)", text))


def test_every_command_is_one_of_ours_with_its_options() -> None:
    group = typer.main.get_command(app)
    ours = [command for command in commands() if command and command[0] == "minuteledger"]
    assert {command[1] for command in ours} == {
        "health",
        "metrics",
        "migrate",
        "status",
        "up",
        "worker",
    }
    for _, name, *options in ours:
        assert isinstance(group, typer.core.TyperGroup)
        command = group.get_command(typer.Context(group), name)
        assert command is not None, name
        # Parses, and runs nothing.
        command.make_context(name, options)


def test_every_variable_is_a_setting() -> None:
    files = [DEPLOY / "Dockerfile", DEPLOY / "compose.yaml", *DEPLOY.glob("helm/*")]
    found = set(chain(*(re.findall(rf"{PREFIX}[A-Z_]+", file.read_text()) for file in files)))
    assert f"{PREFIX}DATABASE_URL" in found
    assert found <= {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


def test_the_universe_is_where_it_is_looked_for() -> None:
    for name in ("ledger", "worker", "metrics"):
        service = SERVICES[name]
        (mount,) = [one for one in service["volumes"] if one["type"] == "bind"]
        path = Path(service["environment"][f"{PREFIX}UNIVERSE"])
        assert (mount["target"], mount["read_only"]) == (str(path.parent), True)
    for container in (CODE, MIGRATION):
        said = {one["name"]: one["value"] for one in container["env"]}
        (volume,) = container["volumeMounts"]
        assert volume["mountPath"] == str(Path(said[f"{PREFIX}UNIVERSE"]).parent)


def test_only_this_machine_sees_what_asks_nobody_who_they_are() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "ports" not in SERVICES["redis"]
    assert "ports" not in SERVICES["postgres"]


def test_versions_are_those_of_the_project() -> None:
    tag, dagster = PROJECT["version"], dict(one.split("==") for one in pinned())["dagster"]
    images = [SERVICES[name]["image"] for name in ("ledger", "worker", "metrics")]
    assert {image.split(":")[1] for image in (*images, MIGRATION["image"])} == {tag}
    assert CODE["image"]["tag"] == tag
    assert f"{CODE['image']['repository']}:{tag}" == MIGRATION["image"]
    chart = re.search(r"dagster/dagster --version (\S+)", (DEPLOY / "helm/values.yaml").read_text())
    assert chart is not None
    assert chart[1] == dagster
    uv = re.search(r"^UV_VERSION := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert uv is not None
    assert f" uv=={uv[1]}\n" in DOCKERFILE


def pinned() -> list[str]:
    return [one for one in PROJECT["dependencies"] if re.fullmatch(r"[a-z-]+==[\d.]+", one)]


def test_the_image_has_what_the_code_needs() -> None:
    extras = set(re.findall(r"--extra (\S+)", DOCKERFILE))
    assert extras == set(PROJECT["optional-dependencies"])
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    }
    assert all((ROOT / name).exists() for name in kept)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    needed = packages - {"benchmarks", "tests"}
    assert kept >= needed | {"dagster.yaml", "workspace.yaml", "universe.example.yaml"}
