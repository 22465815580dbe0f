"""A served home whose sensors are at work: what they launch, and what the ledger says."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import requests

from pipeline.clock import Clock
from pipeline.orchestration.instance import free_port
from tests.cli.conftest import Home, Started, wait_until

LAUNCHERS = ("refresh", "show", "heal", "backfill", "follow", "fundamentals")
"""The sensors that launch runs, by the tags of these."""
_OPEN = {"QUEUED", "STARTING", "STARTED", "CANCELING", "NOT_STARTED"}
_RUNS = """
{ runsOrError { ... on Runs { results {
    runId status startTime endTime assetSelection { path } tags { key value }
} } } }
"""


class Served:
    """A home in which `minuteledger up` is at work, all sensors running, by a clock of the test's.

    Args:
        home: The home, with a universe; it is migrated.
        shown: What it is when it begins.
        speed: How many times as fast time goes.
    """

    def __init__(self, home: Home, shown: datetime, speed: float) -> None:
        assert home.run("migrate").returncode == 0
        self.home = home
        self.clock = Clock(time.time(), shown.timestamp(), speed)
        home.settings |= {
            "MINUTELEDGER_SENSORS": "running",
            "MINUTELEDGER_SENSOR_SECONDS": "2",
            "MINUTELEDGER_CLOCK": str(self.clock),
        }
        self.started: Started
        self.url = ""

    def start(self) -> None:
        """Start it, and wait until it is up."""
        self.started = self.home.start("up", "--port", str(free_port()))
        self.started.wait_for("is up")
        found = re.search(r"http://127\.0\.0\.1:\d+", self.started.output)
        assert found is not None
        self.url = found.group()

    def ask(self, query: str, **variables: object) -> Any:
        """Ask GraphQL."""
        document = {"query": query, "variables": variables}
        done = requests.post(f"{self.url}/graphql", json=document, timeout=60).json()
        return done["data"]

    def runs(self) -> list[dict[str, Any]]:
        """Return what was launched, the newest first: what GraphQL says of it, and its tags.

        Not what schedules launch: they go by the machine's own clock, and may come at any moment.
        """
        launched = [
            run | {each["key"]: each["value"] for each in run.pop("tags")}
            for run in self.ask(_RUNS)["runsOrError"]["results"]
        ]
        return [run for run in launched if "dagster/schedule_name" not in run]

    def is_at_rest(self) -> bool:
        """Return whether everything that was launched has ended."""
        return not _OPEN & {run["status"] for run in self.runs()}

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the ledger, by the clock."""
        with psycopg.connect(self.home.ledger) as connection:
            clock = str(self.clock)
            connection.execute("SELECT set_config('minuteledger.clock', %s, true)", [clock])
            return connection.execute(statement.encode(), values).fetchall()

    def value(self, statement: str, *values: object) -> Any:
        """Ask the ledger for one value, by the clock."""
        ((found,),) = self.rows(statement, *values)
        return found

    def wait(self, condition: Callable[[], bool], seconds: float = 400) -> None:
        """Wait until something holds."""
        try:
            wait_until(condition, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}{self.runs()}\n{self.started.output}") from None


def launcher(run: dict[str, Any]) -> str | None:
    """Return which sensor launched a run; None if somebody else did."""
    return next((name for name in LAUNCHERS if f"minuteledger/{name}" in run), None)
