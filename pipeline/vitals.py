"""Whether everything that collects is alive, at this moment.

What belongs here: looking at what runs: fast, and without starting, asking or changing anything.
What is configured, and whether providers answer, `minuteledger doctor` examines.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final, Literal

import psycopg

from pipeline.disk import room
from pipeline.orchestration.api import DagsterApi
from pipeline.orchestration.errors import OrchestrationError
from pipeline.orchestration.state import running
from pipeline.settings import Settings
from pipeline.store.alert_watch import watch
from pipeline.store.alerts import alerts
from pipeline.store.database import Database, DatabaseError
from pipeline.store.troubles import behind

State = Literal["healthy", "unhealthy", "unknown"]

SECONDS: Final = 1.5
"""So long is waited for answers altogether."""
_ANSWER_SECONDS: Final = 1.0
_VERSIONS: Final = Path(__file__).parent / "store" / "migrations" / "versions"
_LOOKED: Final = timedelta(minutes=5)
"""The sensor `alerts` looks once a minute."""


@dataclass(frozen=True, slots=True)
class Vital:
    """One thing that was looked at.

    Attributes:
        what: What it is.
        state: Whether it is as it should be; unknown when that could not be seen.
        text: What was seen, and what to do if anything.
    """

    what: str
    state: State
    text: str


def exit_code(vitals: Iterable[Vital]) -> int:
    """Return 1 when anything is unhealthy, else 2 when anything is unknown, else 0."""
    states = {vital.state for vital in vitals}
    return 1 if "unhealthy" in states else 2 if "unknown" in states else 0


def examine(settings: Settings, *, url: str | None = None, live: bool = False) -> list[Vital]:
    """Look at everything at once, and return what was seen within `SECONDS`.

    Args:
        settings: What the environment says.
        url: Where Dagster's webserver is; None for the one that serves the home folder.
        live: Look only at what runs: what a restart may mend.
    """
    looks: dict[str, Callable[[], Iterator[Vital]]] = {
        "database": lambda: _of_database(settings, live=live),
        "dagster": lambda: _of_dagster(settings, url),
    }
    if not live:
        looks["disk"] = lambda: _of_disk(settings)
    return _together(looks)


def _together(looks: Mapping[str, Callable[[], Iterator[Vital]]]) -> list[Vital]:
    """Look everywhere at once; whoever takes too long is unknown, and waited for no longer."""
    seen: SimpleQueue[tuple[str, list[Vital] | BaseException]] = SimpleQueue()

    def look(what: str) -> None:
        try:
            seen.put((what, list(looks[what]())))
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for it
            seen.put((what, error))

    for what in looks:
        threading.Thread(target=look, args=(what,), daemon=True).start()
    deadline, found = monotonic() + SECONDS, dict[str, list[Vital]]()
    while len(found) < len(looks):
        try:
            what, vitals = seen.get(timeout=max(0.0, deadline - monotonic()))
        except Empty:
            break
        if isinstance(vitals, BaseException):
            raise vitals
        found[what] = vitals
    late = f"no answer within {SECONDS:g} s: it may be busy, or hang; ask again"
    return [vital for what in looks for vital in found.get(what, [Vital(what, "unknown", late)])]


def _of_database(settings: Settings, *, live: bool) -> Iterator[Vital]:
    database = Database.from_settings(settings)
    if settings.database_url is None:
        state = database.server.status()
        if state.version is None:
            text = "there is none yet; `minuteledger up` or `minuteledger migrate` makes it"
            yield Vital("database", "unknown", text)
            return
        if state.state != "running":
            text = f"PostgreSQL {state.version} is not running; `minuteledger db start` starts it"
            yield Vital("database", "unhealthy", text)
            return
    try:
        with database.connect() as connection:
            connection.autocommit = True
            connection.execute(f"SET statement_timeout = {int(SECONDS * 1000)}")
            yield from _inside(connection, settings, live=live)
    except DatabaseError as error:
        yield Vital("database", "unhealthy", str(error))
    except psycopg.errors.QueryCanceled:
        yield Vital("database", "unknown", "it is too busy to say; ask again")


def _inside(connection: psycopg.Connection, settings: Settings, *, live: bool) -> Iterator[Vital]:
    reached, wanted = _revision(connection), newest_revision()
    if reached != wanted:
        text = f"revision {reached or 'none'} instead of {wanted}; run `minuteledger migrate`"
        yield Vital("database", "unhealthy", text)
        return
    yield Vital("database", "healthy", f"answers, revision {reached}")
    if not live:
        now = settings.clock.now()
        yield _of_watch(connection, now)
        yield _of_alerts(connection)
        yield _of_listings(connection, settings, now)


def _revision(connection: psycopg.Connection) -> str | None:
    try:
        row = connection.execute("SELECT version_num FROM schema_version").fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    return str(row[0]) if row else None


def newest_revision() -> str:
    """Return the revision of the database that this release wants, by the names of its files."""
    # To import what knows it better takes longer than all else here.
    return max(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*.py"))


def _of_watch(connection: psycopg.Connection, now: datetime) -> Vital:
    state = watch(connection)
    if state.looked_at is None or now - state.looked_at > _LOOKED:
        when = f"since {state.looked_at:%Y-%m-%d %H:%M} UTC" if state.looked_at else "yet"
        text = f"nobody has looked for trouble {when}; turn Dagster's sensor `alerts` on"
        return Vital("watch", "unhealthy", text)
    if state.failing_since is not None:
        since = f"{state.failing_since:%Y-%m-%d %H:%M} UTC"
        text = f"no alert could be delivered since {since}: {state.error}"
        return Vital("watch", "unhealthy", f"{text}; `minuteledger alerts --test` tries now")
    return Vital("watch", "healthy", f"last looked for trouble {state.looked_at:%H:%M} UTC")


def _of_alerts(connection: psycopg.Connection) -> Vital:
    standing = alerts(connection)
    critical = [one for one in standing if one.severity == "critical"]
    if critical:
        text = f"critical alerts that stand: {len(critical)}; {critical[0].title}"
        return Vital("alerts", "unhealthy", f"{text}; `minuteledger alerts` says what to do")
    return Vital("alerts", "healthy", f"alerts that stand: {len(standing)}, none of them critical")


def _of_listings(connection: psycopg.Connection, settings: Settings, now: datetime) -> Vital:
    late = behind(connection, now, settings.alert_stale_after)
    stale = sum(one.stale for one in late)
    if stale:
        where = ", ".join(one.provider for one in late if one.stale)
        text = f"listings that are behind: {stale} ({where}); `minuteledger alerts` names the worst"
        return Vital("listings", "unhealthy", text)
    return Vital("listings", "healthy", "none is behind by longer than is allowed")


def _of_dagster(settings: Settings, url: str | None) -> Iterator[Vital]:
    if url is None:
        found = running(settings)
        if found is None:
            text = f"nobody serves {settings.home}; `minuteledger up` does, --url names another"
            yield Vital("webserver", "unhealthy", text)
            return
        url = found.url
    api = DagsterApi(url.rstrip("/"), _ANSWER_SECONDS)
    if not api.answers():
        yield Vital("webserver", "unhealthy", f"does not answer at {url}; see its log")
        return
    yield Vital("webserver", "healthy", f"answers at {url}")
    try:
        yield _of_locations(api)
        yield _of_daemons(api)
    except OrchestrationError as error:
        yield Vital("dagster", "unknown", str(error))


def _of_locations(api: DagsterApi) -> Vital:
    places = api.locations()
    broken = [place.error.splitlines()[0] for place in places if place.error]
    if broken:
        return Vital("code location", "unhealthy", f"cannot be loaded: {broken[0]}")
    if not places or any(place.loading for place in places):
        return Vital("code location", "unknown", "is being loaded; ask again")
    return Vital("code location", "healthy", "is loaded")


def _of_daemons(api: DagsterApi) -> Vital:
    if silent := api.silent_daemons():
        text = f"no sign of life of {', '.join(silent)}; see the daemon's log, or start it again"
        return Vital("daemon", "unhealthy", text)
    return Vital("daemon", "healthy", "all parts show signs of life")


def _of_disk(settings: Settings) -> Iterator[Vital]:
    found = room(settings.home)
    if not os.access(found.place, os.W_OK):
        yield Vital("disk", "unhealthy", f"{found.place} cannot be written to")
    else:
        full = found.state == "nothing"
        yield Vital("disk", "unhealthy" if full else "healthy", str(found))
