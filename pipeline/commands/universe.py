"""`minuteledger universe`: help with writing the universe file, by the providers' market lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.output import CommandError, JsonOption, print_json, print_table, say, warn
from pipeline.commands.selecting import check_names

if TYPE_CHECKING:
    import psycopg

    from pipeline.settings import Settings
    from pipeline.symbols.finding import Match
    from pipeline.symbols.index import MarketIndex
    from pipeline.symbols.verdict import Verdict
    from pipeline.universe import Universe

_ROWS_SHOWN = 40
_SNIPPETS_SHOWN = 3

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Help with writing the universe file, by the market lists of its providers.",
)

_Provider = Annotated[str | None, typer.Option(help="Only this provider.")]
_Refresh = Annotated[bool, typer.Option("--refresh", help="Ask for the lists again first.")]


@app.command()
def find(
    name: Annotated[
        list[str], typer.Argument(metavar="NAME", help="A symbol in any spelling, or some words.")
    ],
    *,
    provider: _Provider = None,
    refresh: _Refresh = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Search the market lists, and print what to paste into the universe file.

    The lists are those that the assets P/markets keep; a provider whose list is not kept yet is
    asked for it. A name that may mean several things is shown with all of them. A table shows the
    first 40 markets and the YAML of three instruments; --json has everything. Exit code 1 when
    nothing is found.
    """
    from pipeline.commands.ledger import connect
    from pipeline.settings import load_settings
    from pipeline.symbols import finding
    from pipeline.universe import load_universe

    settings = load_settings()
    universe = load_universe(settings.universe_path)
    check_names(universe, provider, None)
    with connect(settings) as connection:
        index = _lists(connection, settings, universe, provider, refresh=refresh)
    verdict, matches = finding.find(index, universe, " ".join(name), provider)
    found = any(match.found for match in matches)
    if as_json:
        ambiguous = verdict.decided is None and len(matches) > 1
        print_json({"name": verdict.name, "ambiguous": ambiguous, **_document(matches)})
        raise typer.Exit(0 if found else 1)
    if not found:
        raise CommandError(_nothing(index, verdict))
    _show(verdict, matches)


@app.command()
def check(
    *,
    provider: _Provider = None,
    refresh: _Refresh = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Look every listing of the universe up in its provider's market list.

    Exit code 1 when one is unknown, vanished, does not trade, or has given its symbol to another
    market.
    """
    from pipeline.commands.ledger import connect
    from pipeline.settings import load_settings
    from pipeline.store.markets import listing_states
    from pipeline.universe import load_universe

    settings = load_settings()
    universe = load_universe(settings.universe_path)
    check_names(universe, provider, None)
    with connect(settings) as connection:
        index = _lists(connection, settings, universe, provider, refresh=refresh)
        states = [
            state
            for one in sorted([provider] if provider else universe.providers)
            for state in listing_states(connection, universe, one, index)
        ]
    if as_json:
        print_json([asdict(state) for state in states])
    else:
        print_table([asdict(state) for state in states if state.state != "listed"])
        fine = sum(state.state == "listed" for state in states)
        say(f"{fine} of {len(states)} listings are listed as the universe has them.")
    if not all(state.fine for state in states):
        raise typer.Exit(1)


def _lists(
    connection: psycopg.Connection,
    settings: Settings,
    universe: Universe,
    provider: str | None,
    *,
    refresh: bool,
) -> MarketIndex:
    """Return the kept lists; providers whose list is not kept yet are asked for it first."""
    from pipeline.asking import Patience
    from pipeline.market_lists import SuspiciousList
    from pipeline.providers.errors import ProviderError
    from pipeline.store.database import Database
    from pipeline.store.markets import market_index
    from pipeline.taking import has_list, take_list

    names = [provider] if provider else sorted(universe.providers)
    kept = market_index(connection, names).providers
    for name in names:
        if has_list(universe, name) and (refresh or name not in kept):
            try:
                database = Database.from_settings(settings)
                take_list(universe, name, database, patience=Patience(attempts=2))
            except (ProviderError, SuspiciousList) as error:
                old = "; its kept list is used" if name in kept else ""
                warn(f"{name}: no list could be had: {error}{old}")
    connection.rollback()  # what was read before is old
    return market_index(connection, names)


def _document(matches: Sequence[Match]) -> dict[str, Any]:
    return {
        "instruments": [
            {
                "instrument": match.candidate.key,
                "class": match.candidate.asset_class,
                "decided_by": match.candidate.source,
                "certainty": match.candidate.certainty,
                "because": match.candidate.because,
                "markets": list(_rows([match])),
                "by_rule": dict(match.guessed),
                "yaml": match.snippet(),
            }
            for match in matches
        ]
    }


def _rows(matches: Iterable[Match]) -> Iterable[dict[str, Any]]:
    for match in matches:
        for one in match.markets:
            market = one.market
            active = {True: "yes", False: "no", None: None}[market.active]
            yield {
                "instrument": market.key,
                "class": market.asset_class,
                "provider": one.provider,
                "symbol": market.symbol,
                "base": market.base,
                "quote": market.quote,
                "active": "vanished" if one.vanished else active,
                "listing": match.collected.get((one.provider, market.symbol)),
                "name": market.name,
            }


def _show(verdict: Verdict, matches: Sequence[Match]) -> None:
    rows = list(_rows(matches))
    if verdict.decided is None and len(matches) > 1:
        say(f"{verdict.name!r} may mean {len(matches)} instruments:")
    for match in matches if not rows else matches[:_SNIPPETS_SHOWN]:
        one = match.candidate
        say(f"{one.key or one.asset_class}: {one.asset_class}, {one.certainty}: {one.because}")
    if rows:
        say()
        named = any(row["name"] for row in rows)
        print_table([row if named else _without(row, "name") for row in rows[:_ROWS_SHOWN]])
    if len(rows) > _ROWS_SHOWN:
        say(f"... and {len(rows) - _ROWS_SHOWN} more markets (--json lists all)")
    _show_snippets([match for match in matches if match.snippet()])


def _show_snippets(matches: Sequence[Match]) -> None:
    if not matches:
        return
    say()
    say("To collect it, paste below `instruments:` what you want of this:")
    for match in matches[:_SNIPPETS_SHOWN]:
        say()
        say(match.snippet().rstrip("\n"))
        if match.guessed:
            names = ", ".join(match.guessed)
            say(f"  # {names}: there is no market list, so this spelling is not checked")
    if len(matches) > _SNIPPETS_SHOWN:
        say()
        say(f"... and of {len(matches) - _SNIPPETS_SHOWN} more instruments; say which, or --json")


def _nothing(index: MarketIndex, verdict: Verdict) -> str:
    near = sorted({name for one in index.providers for name in index.near(verdict.name, one)})
    hint = f"did you mean {', '.join(near)}?" if near else "try its name in words, or --refresh"
    lists = ", ".join(sorted(index.providers)) or "nobody"
    return f"nothing in the lists of {lists} is called {verdict.name!r}; {hint}"


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}
