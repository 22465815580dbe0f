"""`minuteledger import`: take over the files that somebody owns already."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.backfill import download
from pipeline.commands.output import CommandError, JsonOption, print_json, print_table, say, warn
from pipeline.commands.selecting import check_names

if TYPE_CHECKING:
    from pipeline.rehearsal import Rehearsal
    from pipeline.settings import Settings
    from pipeline.universe import Universe

_SHOWN = 20


def import_files(
    provider: Annotated[
        str | None, typer.Argument(help="The provider of files; not needed if there is but one.")
    ] = None,
    *,
    listing: Annotated[str | None, typer.Option(help="Only listings of this key.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would happen; nothing is written.")
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Take over new, changed and late files of a provider of the client `files`.

    Looks at all files of its listings first, then downloads what is open as `backfill` does. With
    --dry-run it reads them and tells, for each listing, what is in them and what would become of
    it. Exit code 1 when something was, or would be, refused, is unreadable or missing.
    """
    from pipeline.orchestration.backfills import Selection
    from pipeline.settings import load_settings
    from pipeline.universe import load_universe

    settings = load_settings()
    universe = load_universe(settings.universe_path)
    check_names(universe, provider, listing)
    name = _chosen(universe, provider)
    if not dry_run:
        if as_json:
            raise typer.BadParameter("goes with --dry-run only", param_hint="--json")
        download(settings, Selection(name, listing), wait=True)
        return
    told = _rehearse(settings, universe, name, listing)
    if as_json:
        print_json([asdict(one) for one in told])
    else:
        _tell(told)
    if any(one.troubled for one in told):
        raise typer.Exit(1)


def _chosen(universe: Universe, provider: str | None) -> str:
    """Return the provider that is meant.

    Raises:
        CommandError: There is none of files, or there are several.
    """
    of_files = [name for name in universe.providers if universe.client(name) == "files"]
    if provider in of_files or (provider is None and len(of_files) == 1):
        return provider or of_files[0]
    if not of_files:
        raise CommandError(
            "no provider of the universe is of files; add one with `client: files` (docs/files.md)"
        )
    fix = f"name one of files: {', '.join(of_files)}"
    raise CommandError(f"{provider} has no files; {fix}" if provider else fix)


def _rehearse(
    settings: Settings, universe: Universe, provider: str, listing: str | None
) -> list[Rehearsal]:
    from pipeline.opening import open_listed
    from pipeline.providers.files_client import FilesProvider
    from pipeline.rehearsal import rehearse

    specs = [one for one in universe.listings(provider) if listing in {None, one.key}]
    with ExitStack() as stack:
        connection = None
        if settings.database_url or (settings.postgres_dir / "PG_VERSION").exists():
            from pipeline.commands.ledger import connect

            connection = stack.enter_context(connect(settings))
        client = stack.enter_context(open_listed(universe, provider, None))
        if not isinstance(client, FilesProvider):
            raise CommandError(f"{provider} has no files; name a provider of the client `files`")
        now, sessions = datetime.now(UTC), universe.sessions_used()
        return [rehearse(connection, client, spec, sessions[spec.session], now) for spec in specs]


def _tell(told: list[Rehearsal]) -> None:
    if not told:
        say("The provider has no listings; name some under `instruments:`.")
    print_table([_row(one) for one in told])
    for one in told:
        reasons = [*one.unreadable, *_refusals(one.refused), *one.lacks]
        if one.outside:
            warn(f"{one.listing}: {one.outside} rows lie before its start or after its end")
        for reason in reasons[:_SHOWN]:
            warn(f"{one.listing}: {reason}")
        if len(reasons) > _SHOWN:
            warn(f"{one.listing}: ... and {len(reasons) - _SHOWN} more; --json lists all")


def _row(one: Rehearsal) -> dict[str, object]:
    return {
        "listing": one.listing,
        "files": one.files,
        "unreadable": len(one.unreadable),
        "rows": one.rows,
        "first": one.first,
        "last": one.last,
        "months": one.months,
        "duplicates": one.duplicates,
        "refused": sum(one.refused.values()),
        "new": one.new,
        "equal": one.equal,
        "different": one.different,
        "vanished": one.vanished,
        "not covered": one.uncovered,
    }


def _refusals(refused: Mapping[str, int]) -> list[str]:
    return [f"{count} rows break the rule {rule!r}" for rule, count in sorted(refused.items())]
