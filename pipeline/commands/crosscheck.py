"""`minuteledger crosscheck`: a provider's own longer bars beside ours."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pipeline.commands.options import instant
from pipeline.commands.output import CommandError, JsonOption, print_json, print_table, say, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from pipeline.crosscheck import Comparison
    from pipeline.crosschecking import Crosscheck
    from pipeline.listing import Listing
    from pipeline.timeframes import Timeframe
    from pipeline.universe import Universe

_SHOWN: Final = 20


def crosscheck(
    listing: Annotated[str, typer.Argument(help="Key of the listing, such as BTC-USD.")],
    *,
    timeframe: Annotated[str, typer.Option(help="How long the bars are, as 5m, 1h, 1d.")],
    provider: Annotated[
        str | None, typer.Option(help="The provider; needed when several have the listing.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="First bar: 2024-01-31 or ...T09:30Z.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="First bar that is not wanted any more.")
    ] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Compare our bars that begin in [since, before) with the provider's own; nothing is stored.

    Without --since these are 30 days up to the newest complete bar, or what ten requests hold of
    them. Exit code 1: something differs or is missing on one side, or nothing can be compared.
    """
    from pipeline.commands.ledger import connect
    from pipeline.crosschecking import Wish, carry_out, prepare
    from pipeline.opening import open_listed
    from pipeline.providers.protocol import NativeProvider
    from pipeline.settings import load_settings
    from pipeline.store.database import Database
    from pipeline.universe import load_universe

    start, end = instant("--since", since), instant("--before", before)
    if start and end and start >= end:
        raise typer.BadParameter("is not after --since", param_hint="--before")
    settings = load_settings()
    universe = load_universe(settings.universe_path)
    with connect(settings) as connection:
        length = _built(connection, timeframe)
        found = _listing(connection, universe, listing, provider)
        with open_listed(universe, found.provider, Database.existing(settings)) as client:
            if not isinstance(client, NativeProvider):
                raise CommandError(_without_native(universe, found.provider))
            wish = Wish(found, length, start, end)
            check = prepare(connection, client, wish, settings.clock.now())
            requests = len(check.windows) + client.capabilities.list_requests
            connection.close()  # nothing is held while the provider takes its time
            _announce(check, requests)
            comparison = carry_out(client, check)
    if as_json:
        print_json(_document(check, comparison, requests))
    else:
        _show(check, comparison)
    if not comparison.sound:
        raise typer.Exit(1)


def _built(connection: psycopg.Connection, name: str) -> Timeframe:
    from pipeline.store.series import no_timeframe
    from pipeline.store.timeframes import timeframes

    built = {one.name: one for one in timeframes(connection)}
    if name not in built:
        raise typer.BadParameter(no_timeframe(name, list(built)), param_hint="--timeframe")
    return built[name]


def _listing(
    connection: psycopg.Connection, universe: Universe, key: str, provider: str | None
) -> Listing:
    from pipeline.store.listings import listings, listings_named

    found = [
        name
        for _, name, _ in listings_named(connection, key, provider)
        if name in universe.providers
    ]
    if not found:
        where = f" at {provider}" if provider else ""
        raise CommandError(f"no listing {key}{where} is in ledger and universe; see `status`")
    if len(found) > 1:
        raise typer.BadParameter(
            f"{key} is listed at {', '.join(found)}; choose one", param_hint="--provider"
        )
    return listings(connection, found[0], [key])[0]


def _without_native(universe: Universe, provider: str) -> str:
    from pipeline.opening import capabilities_of

    having = [name for name in universe.providers if capabilities_of(universe, name).native]
    return (
        f"{provider} has no longer bars of its own to compare with; of the universe's providers "
        f"these have: {', '.join(sorted(having)) or 'none'}"
    )


def _announce(check: Crosscheck, requests: int) -> None:
    listing = check.listing
    if check.history_since is not None:
        warn(f"{listing.provider} has such bars since {check.history_since:%Y-%m-%d %H:%M} only.")
    warn(
        f"{listing.provider} {listing.key}, {check.timeframe} in {check.during}: "
        f"{requests} requests, which include lists of markets."
    )


def _document(check: Crosscheck, comparison: Comparison, requests: int) -> dict[str, Any]:
    return {
        "provider": check.listing.provider,
        "listing": check.listing.key,
        "timeframe": check.timeframe.name,
        "since": check.during.start,
        "before": check.during.end,
        "requests": requests,
        "compared": comparison.compared,
        **asdict(comparison),
    }


def _show(check: Crosscheck, comparison: Comparison) -> None:
    counts = {
        "agree": comparison.agree,
        "differ": comparison.differ,
        "only ours": len(comparison.only_ours),
        "only theirs": len(comparison.only_theirs),
        "not complete yet": comparison.incomplete,
        "theirs while it is closed": comparison.outside,
        "ours, theirs cut otherwise": comparison.cut_ours,
        "theirs, cut otherwise": comparison.cut_theirs,
    }
    print_table([{"bars": name, "number": number} for name, number in counts.items()])
    _show_some([asdict(one) | _exact(one.ours, one.theirs) for one in comparison.differences])
    _show_some([{"only ours": ts} for ts in comparison.only_ours])
    _show_some([{"only theirs": ts} for ts in comparison.only_theirs])
    if comparison.example is not None:
        comparable = ", ".join(comparison.comparable)
        say(
            f"Bars of theirs that are cut otherwise, as {comparison.example}, hold other minutes "
            f"of trading than any {check.timeframe} of ours, and are not compared. "
            + (f"What should fit: {comparable}." if comparable else "Nothing else would fit.")
        )
    if not comparison.compared:
        say("Nothing could be compared.")


def _exact(ours: float, theirs: float) -> dict[str, str]:
    return {"ours": repr(ours), "theirs": repr(theirs)}


def _show_some(rows: Sequence[dict[str, Any]]) -> None:
    print_table(rows[:_SHOWN])
    if len(rows) > _SHOWN:
        say(f"... and {len(rows) - _SHOWN} more (--json lists all)")
