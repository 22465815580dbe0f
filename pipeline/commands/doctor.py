"""`minuteledger doctor`: what is set, reachable and missing, and what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.output import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from pipeline.commands.findings import Finding
    from pipeline.settings import Settings
    from pipeline.universe import Universe


def doctor(*, as_json: Annotated[bool, JsonOption] = False) -> None:
    """Examine settings, universe, database, providers, Dagster and disk, and say what to do.

    Each provider is asked for its market list, or for some of our symbols where it has none,
    and for one document about a company if it is asked about some. Exit code 1 when something is
    broken; what is only worth knowing (a key that is not set, nothing running) does not count.
    """
    findings = list(_examine())
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table([asdict(finding) for finding in findings])
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)


def _examine() -> Iterator[Finding]:
    from pipeline.commands import findings
    from pipeline.settings import SettingsError, load_settings

    version = sys.version.split()[0]
    yield findings.Finding("python", "ok", f"{version} at {sys.executable}")
    try:
        settings = load_settings()
    except SettingsError as error:
        yield findings.Finding("settings", "broken", str(error))
        return
    yield from findings.about_settings(settings)
    yield from _guarded("disk", lambda: findings.about_disk(settings))
    universe, found = _universe(settings)
    yield found
    yield from _guarded("database", lambda: findings.about_database(settings))
    yield from _guarded("dagster", lambda: findings.about_dagster(settings))
    if universe is None:
        return
    database = findings.ledger_to_ask(settings)
    for provider in universe.providers:
        yield from findings.about_provider(universe, provider, database)


def _universe(settings: Settings) -> tuple[Universe | None, Finding]:
    from pipeline.commands.findings import Finding
    from pipeline.universe import UniverseError, load_universe

    try:
        universe = load_universe(settings.universe_path)
    except UniverseError as error:
        return None, Finding("universe", "broken", str(error))
    count = len(universe.listings())
    text = f"{settings.universe_path}: {count} listings at {', '.join(universe.providers)}"
    return universe, Finding("universe", "ok", text)


def _guarded(what: str, examine: Callable[[], Sequence[Finding]]) -> Sequence[Finding]:
    """Examine one thing; what keeps us from doing so is what is found."""
    from pipeline.commands.errors import explain
    from pipeline.commands.findings import Finding

    try:
        return examine()
    except Exception as error:
        message = explain(error) or (str(error) if isinstance(error, OSError) else None)
        if message is None:
            raise
        return [Finding(what, "broken", message)]
