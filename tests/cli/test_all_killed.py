"""Each process is killed in turn while history is being downloaded, and nobody lends a hand."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime

import psutil
import psycopg
import pytest

from pipeline.intervals import Interval
from pipeline.store.database import Database
from pipeline.store.migrate import migrate
from tests.cli.conftest import Home
from tests.drills import evidence
from tests.drills.processes import COMPLETE, Job, download_and_judge, run
from tests.drills.worlds import LISTED, PROVIDER, World
from tests.making import at
from tests.served import Served
from venue import VenueProcess

pytestmark = pytest.mark.rehearsal

WORLD = World(tuple(LISTED), Interval(at("2023-12-05"), at("2024-03-10")))
PER_SECOND = 12
SPEED = 30
"""So that whoever waits for ten minutes before it tries again waits for twenty seconds."""
ANSWERED = "SELECT coalesce(sum(bars + empty), 0) FROM market.coverage"
LEFT = "SELECT sum(expected - bars - empty) FROM market.coverage"
AT_WORK = """
SELECT (e.event::jsonb #>> '{dagster_event,pid}')::integer
FROM event_logs e JOIN runs r USING (run_id)
WHERE e.dagster_event_type = 'PIPELINE_START' AND r.status = 'STARTED' ORDER BY e.id DESC
"""
PARTITIONS = """
query($path: [String!]!) { assetNodeOrError(assetKey: {path: $path}) { ... on AssetNode {
  partitionStats { numMaterialized numFailed numMaterializing } } } }
"""


class Drill:
    """A served home in which something is killed again and again."""

    def __init__(self, served: Served) -> None:
        self.served = served

    def answered(self) -> int:
        """Return how many minutes are answered; less than none while nobody can be asked."""
        try:
            return int(self.served.value(ANSWERED))
        except psycopg.OperationalError:
            return -1

    def at_work(self) -> list[int]:
        """Return the living processes of runs that are under way."""
        try:
            with psycopg.connect(self.served.home.server.url("dagster")) as connection:
                return [pid for (pid,) in connection.execute(AT_WORK) if psutil.pid_exists(pid)]
        except psycopg.OperationalError:
            return []

    def go_on(self, after: str) -> None:
        """Wait until the output tells that all is well again, and more is stored than before."""
        self.served.wait(lambda: after in self.served.started.output and self.answered() >= 0)
        before = self.answered()
        self.served.wait(lambda: self.answered() > before and bool(self.at_work()), 600)

    def kill(self, name: str) -> None:
        """Kill the process of `up` whose command line has a name in it."""
        (process,) = [child for child in self.served.started.children() if is_called(child, name)]
        process.kill()

    def shown(self) -> dict[str, int]:
        """Return how Dagster counts the partitions of minutes."""
        asset = self.served.ask(PARTITIONS, path=[PROVIDER, "bars_1m"])["assetNodeOrError"]
        counts: dict[str, int] = asset["partitionStats"]
        return counts

    def is_complete(self) -> bool:
        """Whether all is answered, and everything that was launched has ended."""
        return self.served.value(LEFT) == 0 and self.served.is_at_rest()


def is_called(process: psutil.Process, name: str) -> bool:
    """Whether a process that lives is the one of a program, and none that it has started."""
    try:
        return name in " ".join(process.cmdline()[:3])
    except psutil.Error:
        return False


def test_everything_is_killed_in_turn_and_goes_on(home: Home, market: VenueProcess) -> None:
    home.write_universe(json.dumps(WORLD.document(f"{market.url}/{PROVIDER}", PER_SECOND)))
    drill = Drill(served := Served(home, datetime.now(UTC), SPEED))
    served.start()
    kills: dict[str, tuple[Callable[[], object], str]] = {
        "a run": (lambda: os.kill(drill.at_work()[0], signal.SIGKILL), ""),
        "the daemon": (lambda: drill.kill("dagster-daemon"), "daemon is started again"),
        "the webserver": (lambda: drill.kill("dagster-webserver"), "webserver is started again"),
        "the code server": (lambda: drill.kill("code-server"), "code-server is started again"),
        # `up` starts it again, or a run that needs it, whoever notices first.
        "PostgreSQL": (lambda: os.kill(home.server.status().pid or 0, signal.SIGKILL), ""),
        "up, with all that it started": (served.started.process.kill, ""),
    }
    drill.go_on("")
    for name, (kill, told) in kills.items():
        print(f"{datetime.now(UTC):%H:%M:%S}: {drill.answered()} minutes; {name} is killed")
        kill()
        if name != [*kills][-1]:
            drill.go_on(told)
    served.started.process.wait()
    served.start()
    served.wait(drill.is_complete, 900)

    cells = len(WORLD.cells())
    whole = {"numMaterialized": cells, "numFailed": 0, "numMaterializing": 0}
    served.wait(lambda: drill.shown() == whole, 300)
    assert served.started.interrupt() == 0
    assert home.run("status", "--check").returncode == 0
    ours = Database(home.server, home.server.url("market"))
    undisturbed = Database(home.server, home.server.url("undisturbed"))
    migrate(undisturbed)
    WORLD.enter(undisturbed)
    assert run(Job.of(undisturbed, market.url, WORLD), download_and_judge) == COMPLETE
    assert evidence.differences(evidence.tables(ours), evidence.tables(undisturbed)) == []
    evidence.check_truth(ours, market, WORLD)
