"""Homes to run the command in. Whatever a test leaves running is ended with its home."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from pipeline.intervals import Interval
from pipeline.orchestration import sessions
from pipeline.settings import load_settings
from pipeline.store.database import Database
from pipeline.store.listings import listings
from pipeline.store.server import EmbeddedServer
from pipeline.universe import load_universe
from resources.downloads import DownloadsResource
from tests.drills import worlds
from tests.folders import new_folder
from venue import VenueProcess

COMMAND = str(Path(sysconfig.get_path("scripts")) / "minuteledger")
SILENT = (1_704_900_000_000, 1_704_903_600_000)

VENUE: dict[str, Any] = {
    "exchanges": {
        "bitfinex": {
            "requests_per_second": 0,
            "outages": [list(SILENT)],
            "markets": {
                "BTC-USD": {"listed_at": "2023-06-01T00:00:00Z", "price": 60000, "quiet": 0.1},
                "ETH-USD": {"listed_at": "2024-01-10T12:00:00Z", "price": 3000, "quiet": 0.3},
            },
        }
    }
}
PROVIDERS = """
start: 2024-01-01
providers:
  bitfinex: {{base_url: {url}/bitfinex, limits: {{requests: 6000, seconds: 1}}}}
  mirror: {{exchange: bitfinex, base_url: {url}/bitfinex, limits: {{requests: 6000, seconds: 1}}}}
"""
INSTRUMENTS = """
instruments:
  BTC-USD:
    class: crypto_spot
    listings:
      bitfinex: {symbol: BTC/USD, end: 2024-02-01}
      mirror: {symbol: BTC/USD, end: 2024-01-02}
  ETH-USD:
    class: crypto_spot
    listings: {bitfinex: {symbol: ETH/USD, end: 2024-02-01}}
"""
UNKNOWN = """
  NOPE-USD:
    class: crypto_spot
    listings: {bitfinex: {symbol: NOPE/USD, end: 2024-02-01}}
"""


@dataclass
class Home:
    """A home folder, and the command run in it with no settings but what is in `settings`."""

    path: Path
    settings: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MINUTELEDGER_")}
        # What is launched here is launched by the test.
        ours = {"MINUTELEDGER_HOME": str(self.path / "home"), "MINUTELEDGER_SENSORS": "stopped"}
        return kept | ours | self.settings

    @property
    def universe(self) -> Path:
        return self.path / "home" / "universe.yaml"

    @property
    def server(self) -> EmbeddedServer:
        return EmbeddedServer(self.path / "home" / "postgres")

    @property
    def ledger(self) -> str:
        """URL of the market database."""
        return self.settings.get("MINUTELEDGER_DATABASE_URL") or self.server.url("market")

    def write_universe(self, *parts: str) -> None:
        self.universe.parent.mkdir(exist_ok=True)
        self.universe.write_text("".join(parts))

    def run(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            env=self.environment,
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments: str) -> Started:
        log = (self.path / f"{len(self.started)}.out").open("w+")
        process = subprocess.Popen(
            [COMMAND, *arguments],
            env=self.environment,
            cwd=self.path,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return Started(process, log)

    def end(self) -> None:
        for process in self.started:
            children = {child.pid for child in _descendants(process.pid)}
            process.kill()
            process.wait()
            sessions.end({process.pid, *children}, 0.0)
        with suppress(Exception):
            self.server.stop("immediate")
        shutil.rmtree(self.path, ignore_errors=True)


@dataclass
class Started:
    """A command that goes on."""

    process: subprocess.Popen[str]
    log: IO[str]

    @property
    def output(self) -> str:
        return Path(self.log.name).read_text()

    def wait_for(self, text: str, seconds: float = 240) -> None:
        """Wait until it has said `text`."""
        wait_until(
            lambda: text in self.output or self.process.poll() is not None, seconds, self.output
        )
        assert text in self.output, self.output

    def children(self) -> list[psutil.Process]:
        return _descendants(self.process.pid)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(90)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def wait_until(condition: Callable[[], bool], seconds: float, what: str = "") -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not after {seconds} s: {what}"
        time.sleep(0.2)


def gone(processes: list[psutil.Process]) -> bool:
    """Whether none of the processes lives; an ended one may wait for its parent to notice."""
    return not any(_lives(process) for process in processes)


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@pytest.fixture(scope="session")
def markets() -> Iterator[VenueProcess]:
    with VenueProcess(VENUE) as process:
        yield process


@pytest.fixture
def market() -> Iterator[VenueProcess]:
    """The venue of the drills."""
    with VenueProcess(worlds.VENUE) as process:
        yield process


@pytest.fixture(scope="session")
def make_home() -> Iterator[Callable[[], Home]]:
    made: list[Home] = []

    def make() -> Home:
        # Short: the database's socket lies below it.
        made.append(Home(new_folder("ml-cli-")))
        return made[-1]

    yield make
    for home in made:
        home.end()


@pytest.fixture
def home(make_home: Callable[[], Home]) -> Iterator[Home]:
    """An empty home."""
    made = make_home()
    yield made
    made.end()


@pytest.fixture(scope="module")
def ledger(make_home: Callable[[], Home], markets: VenueProcess) -> Home:
    """A home whose ledger holds January 2024, and one listing that its provider does not know."""
    made = make_home()
    made.write_universe(PROVIDERS.format(url=markets.url), INSTRUMENTS, UNKNOWN)
    assert made.run("migrate").returncode == 0
    settings = load_settings(home=made.path / "home", universe=None, database_url=None)
    database, universe = Database.from_settings(settings), load_universe(made.universe)
    for provider in universe.providers:
        with (
            database.connect() as connection,
            DownloadsResource(attempts=1).downloader(database, universe, provider) as downloader,
        ):
            for listing in listings(connection, provider):
                downloader.download(listing, date(2024, 1, 1))
    return made


JANUARY = Interval.month(date(2024, 1, 1))
