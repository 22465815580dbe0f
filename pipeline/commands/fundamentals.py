"""`minuteledger fundamentals`: who says what about an instrument, and who won."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.options import instant
from pipeline.commands.output import CommandError, JsonOption, print_json, print_table, say, warn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.settings import Settings
    from pipeline.store.fundamentals import Row

_MILLION = 1e6


def fundamentals(
    symbol: Annotated[str, typer.Argument(help="Key of the instrument, such as AAPL.")],
    *,
    provider: Annotated[
        list[str] | None,
        typer.Option(help="Combine only what this one says; may be given several times."),
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option(help="Only this field; may be given several times.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="As it was known then, and not now.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="First ask for the documents that are due.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="First ask for all documents, due or not.")
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Show an instrument's combined fundamentals: each field, who says so, and what others say.

    Nobody is asked unless --refresh or --force is given; what has not been confirmed for longer
    than it is good for is marked stale. Exit code 1: a provider could not be asked.
    """
    from pipeline.fundamentals.registry import registry
    from pipeline.settings import load_settings

    for name in field or ():
        registry().field(name)
    moment = instant("--at", at)
    if moment and (provider or refresh or force):
        raise typer.BadParameter("is about the past; leave out --provider, --refresh and --force")
    settings = load_settings()
    if provider or refresh or force:
        rows, troubles = _got(settings, symbol, provider, force=force, ask=refresh or force)
    else:
        rows, troubles = _stored(settings, symbol, moment or datetime.now(UTC)), ()
    rows = [row for row in rows if not field or row["field"] in field]
    if as_json:
        print_json([_document(row) for row in rows])
    elif rows:
        print_table([_line(row) for row in rows])
    else:
        say(f"Nothing is known of {symbol}{' of that time' if moment else ''}.")
    for trouble in troubles:
        warn(trouble)
    if troubles:
        raise typer.Exit(1)


def _got(
    settings: Settings, symbol: str, providers: list[str] | None, *, force: bool, ask: bool
) -> tuple[Sequence[Row], Sequence[str]]:
    from pipeline.snapshots.getting import get_fundamentals
    from pipeline.store.database import Database
    from pipeline.universe import load_universe

    universe, database = load_universe(settings.universe_path), Database.existing(settings)
    got = get_fundamentals(
        database, universe, symbol, providers or None, force_refresh=force, ask=ask
    )
    return got.rows, got.troubles


def _stored(settings: Settings, symbol: str, at: datetime) -> Sequence[Row]:
    from pipeline.commands.ledger import connect
    from pipeline.store.fundamentals import combined_rows

    with connect(settings) as connection:
        known = connection.execute("SELECT FROM ledger.instrument WHERE key = %s", [symbol])
        if not known.rowcount:
            raise CommandError(
                f"there is no instrument {symbol!r} in the ledger; `minuteledger status` lists them"
            )
        return combined_rows(connection, symbol, at)


def _document(row: Row) -> dict[str, Any]:
    age = row["age"]
    return {**row, "age": None if age is None else age.total_seconds()}


def _line(row: Row) -> dict[str, object]:
    from pipeline.fundamentals.wording import aged

    others = [one for one in row["candidates"] if one["verdict"] != "won"]
    return {
        "field": row["field"],
        "value": _value(row),
        "currency": row["currency"],
        "period": f"{row['period']} {row['period_end'] or ''}".strip(),
        "provider": row["provider"],
        "rule": row["rule"],
        "state": row["state"],
        "age": aged(row["age"]) or None,
        "others": "; ".join(map(_other, others)) or None,
    }


def _value(row: Row) -> str | None:
    return _short(next((row[n] for n in ("value", "words", "day") if row[n] is not None), None))


def _short(value: object) -> str | None:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= _MILLION else f"{value:.6g}"
    return None if value is None else str(value)


def _other(one: Mapping[str, Any]) -> str:
    said = f"{one['provider']} {_short(one['value'])}"
    if "period_end" in one:
        said += f" ({one['period_end']})"
    why = f": {one['why']}" if "why" in one else ""
    return f"{said} {one['verdict']}{why}"
