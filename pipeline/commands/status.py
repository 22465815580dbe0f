"""`minuteledger status`: what became of every minute."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.output import (
    CommandError,
    JsonOption,
    print_json,
    print_table,
    say,
    warn,
)

if TYPE_CHECKING:
    import psycopg

    from pipeline.heat_map import HeatMap
    from pipeline.settings import Settings

_FAILURES_SHOWN = 20
_HEALTH_SHOWN = timedelta(hours=24)
_LISTINGS_DRAWN = 50


def status(
    *,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    listing: Annotated[str | None, typer.Option(help="Only listings of this key.")] = None,
    months: Annotated[bool, typer.Option("--months", help="One row a month.")] = False,
    as_map: Annotated[
        bool, typer.Option("--map", help="Draw listings by months, the worst first.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Prove that the minutes add up; 1 if they do not.")
    ] = False,
    lost_within: Annotated[
        int, typer.Option("--lost-within", metavar="DAYS", min=1, help="How soon is soon lost.")
    ] = 5,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Show what became of every expected minute, and what is in the way of the rest.

    For each listing: expected = bars + empty + failed + unavailable + pending. With --check the
    sums are proved against the stored bars, and a contradiction ends with exit code 1. Below that:
    which listings are further behind than their provider's refresh allows, how each provider
    answered in the last 24 hours, and which minutes were never answered and will soon be lost,
    because the provider keeps its newest ones only.
    """
    from pipeline.commands.ledger import connect
    from pipeline.settings import load_settings
    from pipeline.store.queries import open_failures

    if as_map and as_json:
        raise typer.BadParameter("a map is drawn, not printed as JSON; --months --json has it all")
    settings = load_settings()
    with connect(settings) as connection:
        rows = _rows(connection, provider, listing, months=months)
        heat_map = _heat_map(connection, provider, listing) if as_map else None
        failures = [asdict(failure) for failure in open_failures(connection, provider, listing)]
        behind = _behind(connection, provider, listing)
        health = _health(connection, provider)
        losses = _losses(connection, settings, timedelta(days=lost_within), provider, listing)
        problems = proof(connection, provider, listing) if check else []
    if not rows and (provider or listing):
        raise CommandError(f"no listing here is called {listing or '...'} at {provider or 'any'}")
    if as_json:
        document = {"coverage": rows, "failures": failures, "behind": behind}
        document |= {"health": health, "soon_lost": losses}
        print_json(document | ({"problems": problems} if check else {}))
    else:
        if heat_map is not None:
            _draw(heat_map)
        else:
            _show(rows)
        _show_failures(failures)
        _show_behind(behind)
        _show_health(health)
        _show_losses(losses)
        if check:
            say("\n".join(problems) or "The minutes add up, and every bar is where it should be.")
    if problems:
        raise typer.Exit(1)


def proof(
    connection: psycopg.Connection, provider: str | None = None, listing: str | None = None
) -> list[str]:
    """Return, in words, every contradiction between minutes, coverage and stored bars."""
    from pipeline.store.coverage import contradictions
    from pipeline.store.queries import false_sums

    problems = [
        f"{row.provider} {row.listing} {row.month:%Y-%m}: {row.expected} minutes are expected, "
        f"but {row.bars} bars + {row.empty} empty + {row.failed} failed + {row.unavailable} "
        f"unavailable + {row.pending} pending are not so many"
        for row in contradictions(connection, provider, listing)
    ]
    return problems + false_sums(connection, provider, listing)


def _rows(
    connection: psycopg.Connection, provider: str | None, listing: str | None, *, months: bool
) -> list[dict[str, Any]]:
    from pipeline.store.coverage import coverage
    from pipeline.store.queries import totals

    if months:
        return [
            asdict(row) for row in coverage(connection, provider, [listing] if listing else None)
        ]
    return [asdict(row) for row in totals(connection, provider, listing)]


def _health(connection: psycopg.Connection, provider: str | None) -> list[dict[str, Any]]:
    from pipeline.store.health import provider_health

    since = datetime.now(UTC) - _HEALTH_SHOWN
    return [asdict(one) for one in provider_health(connection, since, provider)]


def _behind(
    connection: psycopg.Connection, provider: str | None, listing: str | None
) -> list[dict[str, Any]]:
    from pipeline.store.freshness import freshness

    return [asdict(one) for one in freshness(connection, provider, listing) if not one.fresh]


def _losses(
    connection: psycopg.Connection,
    settings: Settings,
    within: timedelta,
    provider: str | None,
    listing: str | None,
) -> list[dict[str, Any]]:
    """Return what is soon lost at the universe's providers; nothing if there is no universe."""
    from pipeline.endangered import soon_lost
    from pipeline.providers.errors import Unsupported
    from pipeline.universe import UniverseError, load_universe

    now = settings.clock.now()
    try:
        universe = load_universe(settings.universe_path)
        losses = soon_lost(connection, universe, now, within, provider=provider, listing=listing)
    except (UniverseError, Unsupported) as error:
        warn(f"What is soon lost cannot be told: {error}")
        return []
    return [asdict(loss.threat) | {"lost_at": loss.lost_at} for loss in losses]


def _show_behind(behind: list[dict[str, Any]]) -> None:
    if behind:
        first = behind[0]
        say(
            f"\n{len(behind)} listings are behind, {first['provider']} {first['listing']} most: it "
            f"lacks what came after {first['stale_since']:%Y-%m-%d %H:%M} UTC."
        )


def _show_losses(losses: list[dict[str, Any]]) -> None:
    if losses:
        say()
        print_table(losses[:_FAILURES_SHOWN], title="Never answered, and soon lost for ever")
        say("`minuteledger heal` asks for these first.")


def _heat_map(connection: psycopg.Connection, provider: str | None, listing: str | None) -> HeatMap:
    from pipeline.heat_map import HeatMap

    return HeatMap.read(connection, _LISTINGS_DRAWN, provider, listing)


def _draw(heat_map: HeatMap) -> None:
    from pipeline.commands.heat_map import print_heat_map

    print_heat_map(heat_map)


def _show(rows: list[dict[str, Any]]) -> None:
    if not rows:
        say("No minutes are expected yet: the universe has no listings, or none has begun.")
    print_table(rows)


def _show_health(health: list[dict[str, Any]]) -> None:
    if health:
        say()
        print_table(health, title="How the providers answered in the last 24 hours")


def _show_failures(failures: list[dict[str, Any]]) -> None:
    if failures:
        say()
        print_table(failures[:_FAILURES_SHOWN], title="Asked for and not properly answered")
    if len(failures) > _FAILURES_SHOWN:
        say(f"... and {len(failures) - _FAILURES_SHOWN} more (--json lists all)")
