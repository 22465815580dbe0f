"""Following the universe file while we serve: a valid change is taken over, an invalid one told."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from pipeline.orchestration.api import DagsterApi
from pipeline.orchestration.errors import OrchestrationError
from pipeline.orchestration.preparation import sync
from pipeline.settings import Settings
from pipeline.store.database import Database, DatabaseError
from pipeline.store.listings import RelabelledListing
from pipeline.store.timeframes import TimeframeInUse
from pipeline.universe import Universe, UniverseError, load_universe

UNIVERSE_SENSOR = "universe"
"""Dagster's own follower of the file: brings partitions and pools in step, twice a minute."""
_LOOK_SECONDS = 2.0
_RETRY_SECONDS = 30.0


class UniverseWatch:
    """Takes over changes of the universe file.

    Attributes:
        universe: The universe that is in use: the last valid one.
    """

    def __init__(
        self, settings: Settings, database: Database, universe: Universe, say: Callable[[str], None]
    ) -> None:
        self.universe = universe
        self._path = settings.universe_path
        self._database = database
        self._say = say
        self._seen = self._stamp()
        self._due = 0.0

    def look(self, api: DagsterApi) -> None:
        """Take over the file if it has changed; cheap when it has not."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _LOOK_SECONDS
        stamp = self._stamp()
        if stamp == self._seen:
            return
        try:
            self._take_over(api)
        except (UniverseError, RelabelledListing) as error:
            self._say(f"The universe file is not taken over; the old one stays in use.\n{error}")
        except (OrchestrationError, DatabaseError, TimeframeInUse, psycopg.Error) as error:
            self._due = now + _RETRY_SECONDS
            self._say(f"The universe has changed, but cannot be taken over now: {error}")
            return
        self._seen = stamp

    def _take_over(self, api: DagsterApi) -> None:
        universe = load_universe(self._path)
        sync(self._database, universe)
        if universe.fingerprint() != self.universe.fingerprint():
            for location in api.locations():
                api.reload(location.name)
        for location in api.locations():
            api.tick(UNIVERSE_SENSOR, location)
        told = _difference(self.universe, universe)
        self.universe = universe
        self._say(f"The universe has changed and is taken over: {told}")

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _difference(old: Universe, new: Universe) -> str:
    before, now = (
        {f"{spec.provider} {spec.key}" for spec in universe.listings()} for universe in (old, new)
    )
    told = [f"{len(now)} listings"]
    if added := now - before:
        told.append(f"new: {', '.join(sorted(added))}")
    if gone := before - now:
        told.append(f"no longer asked for: {', '.join(sorted(gone))}")
    return "; ".join(told)
