"""`minuteledger heal`: ask again for what is due, the cheapest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.archives import look_at_listings
from pipeline.commands.output import JsonOption, print_json, print_table, say, warn
from pipeline.commands.progress import Stage, shown
from pipeline.commands.selecting import check_names
from pipeline.commands.up import INTERRUPTED

if TYPE_CHECKING:
    import psycopg

    from pipeline.heal import Healing, Task
    from pipeline.providers.protocol import BarProvider
    from pipeline.settings import Settings
    from pipeline.store.queries import OpenFailure
    from pipeline.universe import Universe

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the options name."""

    settings: Settings
    universe: Universe
    provider: str | None
    listing: str | None

    def providers(self) -> list[str]:
        """Return the providers that have such listings."""
        named = [self.provider] if self.provider else sorted(self.universe.providers)
        return [name for name in named if self.keys(name)]

    def keys(self, provider: str) -> list[str]:
        """Return the keys of the listings that are meant at a provider."""
        keys = [spec.key for spec in self.universe.listings(provider)]
        return [key for key in keys if self.listing in {None, key}]


@dataclass(frozen=True, slots=True)
class _Left:
    """A listing-month in which something is due, and how many requests it takes."""

    provider: str
    listing: str
    month: date
    requests: int


@dataclass(frozen=True, slots=True)
class _Row:
    """What is told of a provider: counts of listing-months, requests and bars."""

    provider: str
    due: int
    requests_due: int
    budget: int
    requests_sent: int
    done: int
    left: int
    inserted: int
    revised: int


_Healed = tuple[_Row, list[_Left]]


def heal(
    *,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    listing: Annotated[str | None, typer.Option(help="Only listings of this key.")] = None,
    requests: Annotated[
        int | None,
        typer.Option(min=1, help="Most requests a provider; else what it admits in 10 minutes."),
    ] = None,
    retry_given_up: Annotated[
        bool, typer.Option("--retry-given-up", help="Take up again what was given up.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what is due and what it costs.")
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Ask for what is due: failed minutes, settling checks and pending minutes of any age.

    What a provider will soon not have any more comes first, then the listing-months that cost the
    fewest requests; what the budget does not reach is left for next time. Works in this process,
    beside whatever Dagster does. Exit code 1 when something remains failed.
    """
    from pipeline.settings import load_settings
    from pipeline.universe import load_universe

    settings = load_settings()
    scope = _Scope(settings, load_universe(settings.universe_path), provider, listing)
    check_names(scope.universe, provider, listing)
    try:
        retried, healed = _heal(scope, requests, retry=retry_given_up, dry=dry_run, quiet=as_json)
    except KeyboardInterrupt:
        warn("Interrupted; what was downloaded is kept.")
        raise typer.Exit(INTERRUPTED) from None
    rows, left = [row for row, _ in healed], [one for _, some in healed for one in some]
    failures = _failures(scope)
    if as_json:
        print_json(
            {
                "retried": retried,
                "providers": [asdict(row) for row in rows],
                "left": [asdict(one) for one in left],
                "failures": [asdict(failure) for failure in failures],
            }
        )
    else:
        _tell(rows, left, failures, retried)
    if failures and not dry_run:
        raise typer.Exit(1)


def _heal(
    scope: _Scope, requests: int | None, *, retry: bool, dry: bool, quiet: bool
) -> tuple[int, list[_Healed]]:
    """Return how many given-up ranges were taken up again, and what was done at each provider."""
    from pipeline.commands.ledger import connect
    from pipeline.opening import open_listed
    from pipeline.store.database import Database
    from pipeline.store.failures import retry_given_up

    healed, database = [], Database.from_settings(scope.settings)
    with connect(scope.settings) as connection, _progress(quiet=quiet or dry) as show:
        now = scope.settings.clock.now()
        retried = retry_given_up(connection, now, scope.provider, scope.listing) if retry else 0
        if not dry:
            connection.commit()
        for name in scope.providers():
            with open_listed(scope.universe, name, database) as client:
                healed.append(_heal_one(scope, connection, client, requests, show, dry=dry))
        # A dry run looks at what would be due, and changes nothing.
        connection.rollback()
    return retried, healed


def _heal_one(
    scope: _Scope,
    connection: psycopg.Connection,
    client: BarProvider,
    requests: int | None,
    show: Callable[[Sequence[Stage]], None],
    *,
    dry: bool,
) -> _Healed:
    from pipeline import heal as domain
    from pipeline.download import Downloader
    from pipeline.following import follow
    from pipeline.store.database import Database
    from pipeline.store.limits import budget_left
    from pipeline.store.session import LedgerSession

    capabilities = client.capabilities
    keys = scope.keys(client.name)
    if not dry:
        look_at_listings(connection, scope.settings, client, keys)
    # What has just been noticed is due by now.
    tasks = domain.find_tasks(
        connection, client.name, capabilities, scope.settings.clock.now(), keys
    )
    left = budget_left(connection, client.name, capabilities.budget)
    budget = requests or domain.default_budget(capabilities, left)
    if dry:
        healing = domain.Healing(budget, left=tasks)
    else:
        connection.commit()

        def tell(healing: Healing) -> None:
            done = len(healing.reports)
            show([Stage(client.name, client.name, done, len(tasks), done == len(tasks))])

        database = Database.from_settings(scope.settings)
        with Downloader(database, client) as downloader:
            healing = domain.heal(downloader, tasks, budget=budget, tell=tell)
        with LedgerSession(database) as session:
            follow(database, session, {report.listing.id for report in healing.reports})
    return _row(client.name, tasks, healing), _left(client.name, healing)


def _row(provider: str, tasks: Sequence[Task], healing: Healing) -> _Row:
    return _Row(
        provider=provider,
        due=len(tasks),
        requests_due=sum(task.requests for task in tasks),
        budget=healing.budget,
        requests_sent=healing.requests,
        done=len(tasks) - len(healing.left),
        left=len(healing.left),
        inserted=sum(report.inserted for report in healing.reports),
        revised=sum(report.revised for report in healing.reports),
    )


def _left(provider: str, healing: Healing) -> list[_Left]:
    return [_Left(provider, task.listing.key, task.month, task.requests) for task in healing.left]


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[Sequence[Stage]], None]]:
    if quiet:
        yield lambda _: None
    else:
        with shown() as show:
            yield show


def _failures(scope: _Scope) -> list[OpenFailure]:
    """Return what is failed at listings that the universe has."""
    from pipeline.commands.ledger import connect
    from pipeline.store.queries import open_failures

    named = {(name, key) for name in scope.providers() for key in scope.keys(name)}
    with connect(scope.settings) as connection:
        found = open_failures(connection, scope.provider, scope.listing)
    return [failure for failure in found if (failure.provider, failure.listing) in named]


def _tell(rows: list[_Row], left: list[_Left], failures: list[OpenFailure], retried: int) -> None:
    if retried:
        say(f"{retried} ranges that were given up are due again.")
    print_table([asdict(row) for row in rows])
    _tell_first([asdict(one) for one in left], "Left for next time, the cheapest first")
    _tell_first([asdict(failure) for failure in failures], "Asked for and not properly answered")
    given_up = sum(failure.given_up is not None for failure in failures)
    if given_up:
        say(f"{given_up} of them are given up; --retry-given-up takes them up again.")


def _tell_first(rows: list[dict[str, Any]], title: str) -> None:
    if rows:
        say()
        print_table(rows[:_SHOWN], title=title)
    if len(rows) > _SHOWN:
        say(f"... and {len(rows) - _SHOWN} more; --json lists all")
