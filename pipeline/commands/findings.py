"""What `doctor` looks at: each function examines one thing and returns what it found."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pipeline.disk import room
from pipeline.opening import capabilities_of, open_asked, open_listed
from pipeline.orchestration.api import DagsterApi
from pipeline.orchestration.state import running
from pipeline.providers.errors import PermanentError, ProviderError, Unsupported
from pipeline.providers.protocol import BarProvider, Provider
from pipeline.providers.table import CAPABILITIES, KEYS
from pipeline.settings import PREFIX, Settings, vendor_keys
from pipeline.store.database import Database, DatabaseError
from pipeline.universe import ListingSpec, Universe

_OLDEST_POSTGRES = 150_000
_SKEW_SECONDS = 5.0
_LOOKED_UP = 5
"""How many symbols are looked up one by one, where each costs a request of a slow lane."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: What it is.
        state: "ok", "note" (worth knowing) or "broken".
        text: What was found, and what to do if anything.
    """

    what: str
    state: Literal["ok", "note", "broken"]
    text: str


def about_settings(settings: Settings) -> Iterator[Finding]:
    """Say what is set, and where it comes from. No value of a key is shown."""
    values = {
        "HOME": str(settings.home),
        "DATABASE_URL": settings.database_label,
        "UNIVERSE": str(settings.universe_path),
    }
    for name, value in values.items():
        yield Finding(PREFIX + name, "ok", f"{value} ({_source(PREFIX + name)})")
    keys = vendor_keys(KEYS)
    for name in KEYS:
        if name not in keys:
            yield Finding(name, "note", f"not set; {_use_of(name)}")
        else:
            yield Finding(name, "ok", f"set ({_source(name)})")


def _use_of(key: str) -> str:
    users = [source for source, row in CAPABILITIES.items() if key in row.keys]
    if users:
        return f"only needed for {', '.join(users)}"
    users = [source for source, row in CAPABILITIES.items() if key in row.optional_keys]
    return f"{', '.join(users)} answers without it, but less often"


def _source(name: str) -> str:
    from dotenv import dotenv_values

    if os.environ.get(name):
        return "environment"
    found = {key.upper(): value for key, value in dotenv_values(".env").items()}
    return ".env" if found.get(name) else "default"


def about_disk(settings: Settings) -> Sequence[Finding]:
    """Say how much room the home folder has."""
    found = room(settings.home)
    if not os.access(found.place, os.W_OK):
        fix = "set MINUTELEDGER_HOME to a folder that you may write to"
        return [Finding("disk", "broken", f"{found.place} is not writable; {fix}")]
    states: dict[str, Literal["ok", "note", "broken"]]
    states = {"enough": "ok", "little": "note", "nothing": "broken"}
    return [Finding("disk", states[found.state], f"{found}; a million bars take 0.11 GiB")]


def about_database(settings: Settings) -> Sequence[Finding]:
    """Say whether the server can be reached and the database is as this release wants it."""
    database = Database.from_settings(settings)
    if settings.database_url is None:
        found = database.server.status()
        if found.version is None:
            text = "there is none yet; `minuteledger up` or `minuteledger migrate` makes it"
            return [Finding("database", "note", text)]
        if found.state != "running":
            text = (
                f"embedded PostgreSQL {found.version} is not running; whatever needs it starts it"
            )
            return [Finding("database", "note", text)]
    return list(_inside(database))


def ledger_to_ask(settings: Settings) -> Database | None:
    """Return the database if it can be used as it is; None otherwise. Nothing is started."""
    from pipeline.store.migrate import revisions

    database = Database.from_settings(settings)
    if settings.database_url is None and database.server.status().state != "running":
        return None
    try:
        reached, wanted = revisions(database)
    except DatabaseError:
        return None  # `about_database` says why
    return database if reached == wanted else None


def _inside(database: Database) -> Iterator[Finding]:
    from pipeline.store.migrate import revisions

    with database.connect() as connection:
        version = connection.info.server_version
        text = f"PostgreSQL {version // 10_000}.{version % 10_000}"
        old = version < _OLDEST_POSTGRES
        fix = "; 15 or newer is needed" if old else ""
        yield Finding("database", "broken" if old else "ok", text + fix)
        row = connection.execute("SELECT now()").fetchone()
        skew = abs((row[0] - datetime.now(UTC)).total_seconds()) if row else 0.0
        if skew > _SKEW_SECONDS:
            text = f"the server's clock and ours are {skew:.0f} s apart; correct one of them (NTP)"
            yield Finding("clock", "broken", text)
        roles = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'analyst'").fetchone()
    reached, wanted = revisions(database)
    if reached == wanted:
        yield Finding("schema", "ok", f"revision {reached}")
        fine = roles is not None
        text = (
            "is there" if fine else "is missing; run `minuteledger migrate --to base`, then again"
        )
        yield Finding("role analyst", "ok" if fine else "broken", text)
    else:
        text = f"revision {reached or 'none'} instead of {wanted}; run `minuteledger migrate`"
        yield Finding("schema", "broken", text)


def about_dagster(settings: Settings) -> Sequence[Finding]:
    """Say whether Dagster is served from this home, and whether its parts live."""
    found = running(settings)
    if found is None:
        text = "is not running; `minuteledger up` starts it (backfill does so for itself)"
        return [Finding("dagster", "note", text)]
    api = DagsterApi(found.url)
    if not api.answers():
        text = (
            f"process {found.pid} does not answer at {found.url}; see the logs in {settings.logs}"
        )
        return [Finding("dagster", "broken" if found.ready else "note", text)]
    return [_of_location(api, found.url), _of_daemons(api)]


def _of_daemons(api: DagsterApi) -> Finding:
    if silent := api.silent_daemons():
        text = f"{', '.join(silent)}: no sign of life for a minute; see the daemon's log"
        return Finding("daemon", "broken", text)
    return Finding("daemon", "ok", "all parts show signs of life")


def _of_location(api: DagsterApi, url: str) -> Finding:
    broken = [place.error for place in api.locations() if place.error]
    if broken:
        return Finding("dagster", "broken", f"{url} cannot load our definitions: {broken[0]}")
    return Finding("dagster", "ok", f"{url}, {len(api.assets())} assets")


def about_provider(
    universe: Universe, provider: str, database: Database | None
) -> Iterator[Finding]:
    """Ask a provider for its market list and look for our symbols in it, and for a document.

    Args:
        universe: The universe.
        provider: The provider's name in it.
        database: The ledger, in which the questions count; None if there is none to ask now.
    """
    try:
        if provider in universe.bar_providers:
            yield from _of_bars(universe, provider, database)
        if universe.fundamentals(provider):
            yield from _of_fundamentals(universe, provider, database)
    except ProviderError as error:
        yield Finding(provider, "broken", f"{error} ({type(error).__name__})")


def _of_bars(universe: Universe, provider: str, database: Database | None) -> Iterator[Finding]:
    specs = universe.listings(provider)
    with open_listed(universe, provider, database) as client:
        found, known = _list(client, len(specs))
        unknown = list(_unknown(client, specs if known else specs[:_LOOKED_UP]))
    yield Finding(provider, "ok", found)
    yield from _of_clock(client)
    yield from unknown


def _of_fundamentals(
    universe: Universe, provider: str, database: Database | None
) -> Iterator[Finding]:
    specs = universe.fundamentals(provider)
    document = capabilities_of(universe, provider).documents[0]
    with open_asked(universe, provider, database) as client:
        found = client.fetch_document(specs[0].symbol, document)
    about = f"{document} of {specs[0].symbol}"
    if found is None:
        text = f"has no {about}; check that symbol in the universe"
        yield Finding(f"{provider} {specs[0].instrument}", "broken", text)
    else:
        yield Finding(provider, "ok", f"answers; {about} asked for, of {len(specs)} instruments")
    yield from _of_clock(client)


def _of_clock(client: Provider) -> Iterator[Finding]:
    skew = client.clock_skew or timedelta(0)
    if abs(skew.total_seconds()) > _SKEW_SECONDS:
        text = (
            f"its clock is {skew.total_seconds():+.0f} s from ours; if other providers say so too,"
            " correct ours (NTP): until then the newest minutes come later, none comes wrong"
        )
        yield Finding(f"{client.name} clock", "note", text)


def _list(client: BarProvider, listings: int) -> tuple[str, bool]:
    """Return what is known of a provider's market list, and whether it has one."""
    try:
        return f"answers; {len(client.markets())} markets, {listings} listings", True
    except Unsupported:
        looked_up = min(listings, _LOOKED_UP)
        return f"has no market list; {looked_up} of {listings} listings looked up", False


def _unknown(client: BarProvider, specs: Iterable[ListingSpec]) -> Iterator[Finding]:
    """Look symbols up; trouble that passes is trouble with the provider, not with a symbol."""
    for spec in specs:
        try:
            client.find_market(spec.symbol, spec.asset_class)
        except PermanentError as error:
            yield Finding(f"{client.name} {spec.key}", "broken", str(error))
