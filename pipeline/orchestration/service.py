"""Serving a home: the three processes of Dagster, from a prepared database to an orderly end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from pipeline.orchestration import instance
from pipeline.orchestration.api import DagsterApi, Location
from pipeline.orchestration.errors import OrchestrationError
from pipeline.orchestration.interruption import Interruption
from pipeline.orchestration.preparation import prepare
from pipeline.orchestration.state import Claim, SoleServer
from pipeline.orchestration.supervisor import Program, Supervisor, tail
from pipeline.orchestration.watching import UNIVERSE_SENSOR, UniverseWatch
from pipeline.settings import Settings
from pipeline.store.database import Database
from pipeline.store.server import ServerError
from pipeline.universe import load_universe

START_SECONDS = 180.0
_STOP_RUNS_SECONDS = 15.0
_LOOK_SECONDS = 0.5

Say = Callable[[str], None]
Companion = tuple[Program, Callable[[], bool]]


class Service:
    """Dagster's processes over one home. Made by `serving`, which also ends them."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        sole: SoleServer,
        supervisor: Supervisor,
        *,
        code_port: int,
        host: str,
        port: int,
        say: Say,
    ) -> None:
        self.settings = settings
        self._database = database
        self._sole = sole
        self.api = DagsterApi(instance.url_of(host, port))
        self._supervisor = supervisor
        self._code_port = code_port
        self._webserver = instance.webserver(host, port)
        self._say = say
        self._watch: UniverseWatch | None = None
        self._trouble = ""

    def start(self, *companions: Companion) -> None:
        """Start processes at once, keep them running, and return when all are up.

        Raises:
            OrchestrationError: One ended, or took too long.
        """
        for program, _ in companions:
            self._supervisor.start(program)
        deadline = time.monotonic() + START_SECONDS
        for program, is_up in companions:
            while not is_up():
                self._supervisor.require_alive()
                if time.monotonic() > deadline:
                    log = self._supervisor.log(program.name)
                    raise OrchestrationError(
                        f"{program.name} is not up after {START_SECONDS:.0f} s; the end of "
                        f"{log}:\n{tail(log)}"
                    )
                time.sleep(0.1)

    def start_web(self, watch: UniverseWatch) -> None:
        """Start the code server and the webserver, and return once the definitions are loaded.

        Raises:
            OrchestrationError: A process ended, took too long, or cannot load our definitions.
        """
        # One after the other: a webserver that finds no code server makes it load everything twice.
        self.start(
            (instance.code_server(self._code_port), lambda: instance.answers(self._code_port))
        )
        self.start((self._webserver, self.api.answers))
        location = self._loaded()
        # Before anything can be launched, Dagster knows every listing and every provider's pool.
        self.api.tick(UNIVERSE_SENSOR, location)
        self._watch = watch

    def start_daemon(self, *, wait: bool) -> None:
        """Start the daemon; with `wait`, return once each of its parts has shown signs of life."""
        started = time.time()
        self.start((instance.daemon(), lambda: not wait or self._ticks_since(started)))

    def look(self) -> None:
        """Restart what has died, and follow the universe file. To be called all the time."""
        self._keep_database()
        self._sole.keep()
        self._supervisor.look()
        if self._watch is not None:
            self._watch.look(self.api)

    def _keep_database(self) -> None:
        """Start our own database again if it was killed: Dagster's processes would only wait."""
        if self._database.external_url is not None or self._database.server.status().ready:
            return
        trouble, self._trouble = self._trouble, ""
        try:
            self._database.server.start()
            self._say("The database was down, and is started again.")
        except ServerError as error:
            self._trouble = str(error)
            if self._trouble != trouble:
                self._say(f"The database is down, and cannot be started again: {error}")

    def serve(self) -> None:
        """Look after everything until interrupted."""
        while True:
            self.look()
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """End the daemon, then the runs under way, then the rest."""
        self._supervisor.stop_one("daemon")
        with suppress(OrchestrationError):  # without a webserver runs end with the code server
            self._stop_runs()
        self._supervisor.stop()

    def _stop_runs(self) -> None:
        if self.settings.broker_url is not None:
            return  # they are at work on other machines, and end there
        runs = self.api.runs_under_way() if self.api.answers() else []
        if not runs:
            return
        self._say(f"Ending {len(runs)} runs under way; what they have stored is kept.")
        deadline = time.monotonic() + _STOP_RUNS_SECONDS
        while self.api.runs_under_way() and time.monotonic() < deadline:
            # Again and again: one that was just being launched did not hear the first time.
            self.api.terminate_runs()
            time.sleep(_LOOK_SECONDS)

    def _ticks_since(self, moment: float) -> bool:
        return all(at >= moment for at in self.api.heartbeats().values())

    def _loaded(self) -> Location:
        # The webserver may have looked before the code server was up; it does not look again.
        for location in self.api.locations():
            if location.error:
                self.api.reload(location.name)
        deadline = time.monotonic() + START_SECONDS
        while True:
            locations = self.api.locations()
            error = next((each.error for each in locations if each.error), None)
            if error:
                raise OrchestrationError(f"Dagster cannot load our definitions: {error}")
            if locations and not any(each.loading for each in locations):
                return locations[0]
            if time.monotonic() > deadline:
                raise OrchestrationError(
                    f"Dagster has not loaded our definitions after {START_SECONDS:.0f} s; see "
                    f"{self._supervisor.log('code-server')}"
                )
            time.sleep(0.2)


@contextmanager
def serving(
    settings: Settings,
    right: Claim,
    *,
    port: int | None,
    interruption: Interruption,
    say: Say,
    host: str = instance.HOST,
    companion: Companion | None = None,
    before_daemon: Callable[[Service], None] | None = None,
) -> Iterator[Service]:
    """Serve the home for the time of the block: prepare everything, start, and end in order.

    Args:
        settings: What to serve.
        right: The right to do so.
        port: Where the web UI listens; None for any free port.
        interruption: Ctrl-C and the like.
        say: Tells people what happens.
        host: Where it listens, too: an address of this machine.
        companion: A process to start first, and how to see that it is up.
        before_daemon: Called when GraphQL answers and nothing is ticking yet. A backfill launched
            here starts at once; later ones wait for the daemon's next look, up to 30 s.

    Raises:
        OrchestrationError: The port is taken, the database is served already (nothing of it is
            changed then), or a process does not start.
    """
    chosen = port if port is not None else instance.free_port()
    instance.require_free(chosen)
    instance.install(settings)
    right.publish(instance.url_of(host, chosen), ready=False)
    say(f"Preparing the database ({settings.database_label})")
    universe = load_universe(settings.universe_path)
    database = Database.from_settings(settings)
    database.create()
    # First of all: the release that serves this database may want it in another form than ours.
    with closing(SoleServer(database)) as sole:
        prepare(database, universe)
        code_port = instance.free_port()
        environment = instance.environment(settings, database)
        supervisor = Supervisor(
            logs=settings.logs,
            environment=environment | {instance.CODE_PORT: str(code_port)},
            folder=settings.home,
            say=say,
        )
        service = Service(
            settings,
            database,
            sole,
            supervisor,
            code_port=code_port,
            host=host,
            port=chosen,
            say=say,
        )
        try:
            say(f"Starting Dagster (logs in {_short(settings.logs)})")
            if companion is not None:
                service.start(companion)
            service.start_web(UniverseWatch(settings, database, universe, say))
            if before_daemon is not None:
                before_daemon(service)
            service.start_daemon(wait=before_daemon is None)
            right.publish(service.api.url, ready=True)
            yield service
        finally:
            interruption.ignore()
            service.stop()


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
