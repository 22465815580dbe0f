"""Runs on several machines: one that serves, and two workers, by Redis and one PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from pipeline.intervals import Interval
from pipeline.orchestration.instance import free_port
from tests.cli.conftest import Home, Started, wait_until
from tests.drills.worlds import PROVIDER, World
from tests.folders import new_folder
from tests.making import at, milliseconds
from tests.programs import find_program
from tests.served import Served
from venue import VenueProcess

pytestmark = pytest.mark.long

WORLD = World(("BTC-USD", "XRP-USD"), Interval(at("2024-01-01"), at("2024-02-20")))
PER_SECOND = 20
"""The mirror is the same account, and shares it."""
LEFT = "SELECT sum(expected - bars - empty) FROM market.coverage"
SHARED = "SELECT provider, sum(bars) FROM market.coverage GROUP BY provider"
TERMINATE = """
mutation($id: String!) { terminateRun(runId: $id) { __typename } }
"""
FAILURES = """
query($id: ID!) { runOrError(runId: $id) { ... on Run { eventConnection { events {
  ... on RunFailureEvent { message } } } } } }
"""


class Broker:
    """A Redis that keeps nothing."""

    def __init__(self) -> None:
        program = find_program("redis-server", "redis-server")
        self._port, self._folder = free_port(), str(new_folder("ml-redis-"))
        listens = ["--port", str(self._port), "--bind", "127.0.0.1"]
        self._command = [program, *listens, "--save", "", "--dir", self._folder]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._start()

    def restart(self) -> None:
        self._end()
        self._start()

    def close(self) -> None:
        self._end()
        shutil.rmtree(self._folder)

    def _start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with redis.Redis(port=self._port) as client:
            wait_until(lambda: answers(client), 20)

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.close()


class Machines:
    """A home that serves, and workers with homes of their own."""

    def __init__(self, make_home: Callable[[], Home], broker: str, universe: str) -> None:
        self._make_home = make_home
        self._universe = universe
        database = make_home()
        database.server.start()
        url = database.server.url("market")
        self._shared = {"MINUTELEDGER_DATABASE_URL": url, "MINUTELEDGER_BROKER_URL": broker}
        self.served = Served(self.new(), datetime.now(UTC), 1)

    def new(self) -> Home:
        home = self._make_home()
        home.write_universe(self._universe)
        home.settings |= self._shared
        return home

    def worker(self) -> Started:
        started = self.new().start("worker", "--runs", "1")
        started.wait_for(" ready.")
        return started

    def status(self, run: dict[str, Any]) -> str:
        """Return how it is with a run now."""
        return next(
            str(one["status"]) for one in self.served.runs() if one["runId"] == run["runId"]
        )

    def at_work(self) -> list[dict[str, Any]]:
        """Return the runs that a worker has begun."""
        return [run for run in self.served.runs() if run["status"] == "STARTED"]


def universe(market: VenueProcess) -> str:
    """Return one in which everything is listed twice, so that two runs go on at once."""
    document = WORLD.document(f"{market.url}/{PROVIDER}", PER_SECOND)
    document["providers"]["mirror"] = document["providers"][PROVIDER] | {"exchange": PROVIDER}
    for instrument in document["instruments"].values():
        instrument["listings"]["mirror"] = instrument["listings"][PROVIDER]
    return json.dumps(document)


def succeeded(worker: Started) -> int:
    return len(re.findall(r"Task execute_job\[.*\] succeeded", worker.output))


def test_runs_outlive_their_broker_who_serves_and_a_worker(
    make_home: Callable[[], Home], broker: Broker, market: VenueProcess
) -> None:
    machines = Machines(make_home, broker.url, universe(market))
    served, (first, second) = machines.served, [machines.worker() for _ in range(2)]
    served.start()
    served.wait(lambda: len(machines.at_work()) == 2)

    broker.restart()
    os.killpg(first.process.pid, signal.SIGKILL)
    assert served.started.interrupt() == 0
    served.start()
    served.wait(lambda: served.value(LEFT) == 0)
    served.wait(served.is_at_rest)

    (lost,) = [run for run in served.runs() if run["status"] == "FAILURE"]
    told = served.ask(FAILURES, id=lost["runId"])["runOrError"]["eventConnection"]["events"]
    assert any("is gone; what it stored is kept" in event.get("message", "") for event in told)
    assert succeeded(second) > 1
    assert served.home.run("status", "--check").returncode == 0
    span = [milliseconds(moment) for moment in (WORLD.wanted.start, WORLD.wanted.end)]
    true = sum(len(market.truth(PROVIDER, key, *span)["ts"]) for key in WORLD.keys)
    assert dict(served.rows(SHARED)) == {PROVIDER: true, "mirror": true}
    second.process.send_signal(signal.SIGTERM)
    assert second.process.wait(60) == 0


def test_a_worker_without_a_broker_says_what_is_missing(home: Home) -> None:
    done = home.run("worker")

    assert done.returncode == 1
    assert "MINUTELEDGER_BROKER_URL is not set" in done.stderr


@pytest.mark.parametrize("command", ["up", "worker"])
def test_workers_cannot_share_an_embedded_database(home: Home, command: str) -> None:
    home.run("init")
    home.settings["MINUTELEDGER_BROKER_URL"] = "redis://127.0.0.1:1/0"

    done = home.run(command)

    assert done.returncode == 1
    assert "set MINUTELEDGER_DATABASE_URL, here and there" in done.stderr


def test_a_run_is_canceled_at_its_worker_which_ends_when_it_has_no_other(
    make_home: Callable[[], Home], broker: Broker, market: VenueProcess
) -> None:
    machines = Machines(make_home, broker.url, universe(market))
    served, worker = machines.served, machines.worker()
    served.start()
    served.wait(lambda: bool(machines.at_work()))
    (run,) = machines.at_work()

    told = served.ask(TERMINATE, id=run["runId"])

    assert told["terminateRun"]["__typename"] == "TerminateRunSuccess"
    served.wait(lambda: machines.status(run) == "CANCELED")
    second = machines.new().run("up", "--port", str(free_port()))
    assert second.returncode == 1
    assert "served already, from the same machine since 2" in second.stderr

    served.wait(lambda: bool(machines.at_work()))
    (run,) = machines.at_work()
    worker.process.send_signal(signal.SIGTERM)

    assert worker.process.wait(300) == 0
    assert machines.status(run) == "SUCCESS"
