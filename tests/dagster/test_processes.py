"""The real thing: code server, daemon and web server, and a backfill launched as the UI does."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import pytest
import requests

from pipeline.orchestration.instance import free_port
from pipeline.store.database import Database
from tests.dagster.conftest import BARS, ROOT, Location

BIN = Path(sys.executable).parent
WORKSPACE = ["-w", str(ROOT / "workspace.yaml")]
PATIENCE = 400.0
T = TypeVar("T")

LAUNCH = """mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) { __typename
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RUNS = """query($filter: RunsFilter!) { runsOrError(filter: $filter) {
  ... on Runs { results { status startTime endTime } } } }"""
COUNTS = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  partitionStats { numMaterialized numFailed } } } }"""


@contextmanager
def process(*command: str, log: Path) -> Iterator[None]:
    """Run one of Dagster's processes and wait for its end: two on one port would both answer."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [BIN / command[0], *command[1:]], cwd=ROOT, stdout=output, stderr=output
        ) as running,
    ):
        try:
            yield
        finally:
            running.terminate()
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()


def until(look: Callable[[], T | None]) -> T:
    """Look until there is something to see."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.5)
    raise AssertionError(f"{look} saw nothing in {PATIENCE} s")


class Service:
    """Dagster as it serves, asked by GraphQL."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: object) -> Any:
        body = {"query": query, "variables": variables}
        return requests.post(self._url, json=body, timeout=30).json()["data"]

    def loaded(self) -> bool:
        try:
            return bool(self.ask("{ assetNodes { id } }")["assetNodes"])
        except requests.RequestException:
            return False

    def backfill(self, cells: list[str]) -> str:
        params = {"assetSelection": [{"path": BARS.path}], "partitionNames": cells}
        return str(self.ask(LAUNCH, params=params)["launchPartitionBackfill"]["backfillId"])

    def runs(self, backfill: str) -> list[dict[str, Any]]:
        """Return the runs of a backfill, in order of their start."""
        tag = {"key": "dagster/backfill", "value": backfill}
        found = self.ask(RUNS, filter={"tags": [tag]})["runsOrError"]["results"]
        return sorted(found, key=lambda run: run["startTime"] or 0)

    def ended(self, backfill: str) -> list[dict[str, Any]]:
        """Return the two runs of a backfill once both have ended."""
        runs = self.runs(backfill)
        return runs if len(runs) == 2 and all(run["endTime"] for run in runs) else []

    def counts(self) -> dict[str, int]:
        """Return the partitions of the bars by status, as the asset's page shows them."""
        node = self.ask(COUNTS, key={"path": BARS.path})["assetNodeOrError"]
        return dict(node["partitionStats"])


@pytest.fixture
def service(
    environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Service]:
    """Code server and web server; the daemon is the test's to start."""
    code_port, port = free_port(), free_port()
    monkeypatch.setenv("MINUTELEDGER_CODE_PORT", str(code_port))
    code = ["code-server", "start", "-m", "pipeline.definitions", "-h", "127.0.0.1"]
    web = ["-h", "127.0.0.1", "-p", str(port), *WORKSPACE]
    service = Service(port)
    with (
        process("dagster", *code, "-p", str(code_port), log=tmp_path / "code.log"),
        process("dagster-webserver", *web, log=tmp_path / "web.log"),
    ):
        until(service.loaded)
        yield service


def test_a_backfill_leaves_exactly_what_failed_to_be_done_again(
    service: Service,
    instance: dg.DagsterInstance,
    database: Database,
    universe_file: Path,
    tmp_path: Path,
) -> None:
    location = Location(instance, database, universe_file)
    with universe_file.open("a") as file:
        file.write("  XXX-USD: {class: crypto_spot, listings: {bitfinex: XXX/USD}}\n")
    location.sync()
    months = ["2024-01-01", "2024-02-01", "2024-03-01"]
    cells = [f"{key}|{month}" for key in ("BTC-USD", "XXX-USD") for month in months]
    backfill = service.backfill(cells)
    with universe_file.open("a") as file:
        file.write("  LTC-USD: {class: crypto_spot, listings: {bitfinex: LTC/USD}}\n")

    with process("dagster-daemon", "run", *WORKSPACE, log=tmp_path / "daemon.log"):
        first, second = until(lambda: service.ended(backfill))
        until(lambda: "LTC-USD" in instance.get_dynamic_partitions("bitfinex_listings"))

    assert {first["status"], second["status"]} == {"SUCCESS", "FAILURE"}
    assert location.materialized() == {f"BTC-USD|{month}" for month in months}
    counts = service.counts()
    assert (counts["numMaterialized"], counts["numFailed"]) == (3, 3)
    # The provider's pool has one slot, from its very first run on.
    assert first["endTime"] <= second["startTime"]
