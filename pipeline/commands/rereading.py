"""`minuteledger snapshots reparse`, `held` and `accept`: what is read, and what is believed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.output import CommandError, JsonOption, print_json, print_table, say, warn
from pipeline.commands.selecting import check_asked

if TYPE_CHECKING:
    from pipeline.snapshots.rereading import Reread

_SHOWN = 50


def reparse(
    *,
    provider: Annotated[str | None, typer.Option(help="Only of this provider.")] = None,
    instrument: Annotated[str | None, typer.Option(help="Only about this instrument.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what this version of the registry has read.")
    ] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Read kept documents again, as after a fix of the parser or of the field registry.

    Values that differ are replaced and shown, and what was combined is worked out anew from the
    earliest of them on. Values that a person has accepted stay accepted if they are the same.
    Pruned documents are read, too, while they can be restored; how many are gone is told. It is
    done instrument by instrument: what is interrupted goes on when it is run again.
    """
    from pipeline.commands.ledger import connect
    from pipeline.commands.progress import Stage, shown
    from pipeline.settings import load_settings
    from pipeline.snapshots.rereading import instruments_to_reread, reread, unreadable
    from pipeline.store.database import Database
    from pipeline.store.session import LedgerSession

    settings = load_settings()
    with connect(settings) as connection:
        check_asked(connection, provider, instrument)
        keys = instruments_to_reread(connection, provider, instrument, everything=everything)
        gone = unreadable(connection, provider, instrument, everything=everything)
    found: list[Reread] = []
    with LedgerSession(Database.from_settings(settings)) as session, shown("instruments") as show:
        for number, key in enumerate(keys, 1):
            found += reread(session, key, provider, everything=everything)
            if not as_json:
                show([Stage("read", "read again", number, len(keys), number == len(keys))])
    if gone:
        warn(
            f"{gone} documents cannot be read again: their payloads were pruned for good. What was "
            "read in them stays; `snapshots import` brings back what was exported"
        )
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [*_rows(found)]
    print_table(rows[:_SHOWN])
    if len(rows) > _SHOWN:
        say(f"... and {len(rows) - _SHOWN} more; --json prints all")
    say(f"{len(keys)} instruments read again: {len(rows)} changes in {len(found)} documents.")


def _rows(found: list[Reread]) -> Iterator[dict[str, object]]:
    for one in found:
        for each in one.differences:
            yield {
                "instrument": one.instrument,
                "provider": one.provider,
                "document": one.document,
                "fetched_at": one.fetched_at,
                "field": each.field,
                "period_end": each.period_end,
                "what": each.what,
                "old": _exact(each.old),
                "new": _exact(each.new),
            }


def _exact(value: object) -> object:
    return f"{value:.15g}" if isinstance(value, float) else value


def held(
    *,
    provider: Annotated[str | None, typer.Option(help="Only what this provider says.")] = None,
    instrument: Annotated[str | None, typer.Option(help="Only about this instrument.")] = None,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """List values that are held back, since when and why, and what counts in their place.

    A value is held when its scale has changed suddenly, as from a fraction to a percentage, and
    nobody else confirms it. `snapshots accept` lets it count.
    """
    from pipeline.commands.ledger import connect
    from pipeline.settings import load_settings
    from pipeline.store.held import held_values

    with connect(load_settings()) as connection:
        check_asked(connection, provider, instrument)
        found = [asdict(one) for one in held_values(connection, provider, instrument)]
    if as_json:
        print_json(found)
        return
    print_table([{**one, "old": _exact(one["old"]), "new": _exact(one["new"])} for one in found])
    say(f"{len(found)} values are held." if found else "No value is held.")


def accept(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="Key of the instrument.")],
    *,
    provider: Annotated[str, typer.Option(help="Who says so.")],
    field: Annotated[str, typer.Option(help="Name of the field.")],
    document: Annotated[
        str | None, typer.Option(help="Only in this document, as `held` names it.")
    ] = None,
    period_end: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], metavar="DAY", help="Only about the time that ends on this day."
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what was accepted last.")] = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Let a value that is held count from its own time on: a person knows that it is right.

    What the provider says next on that scale counts, too. All that is held of the field is meant,
    unless --document or --period-end name some of it; what was accepted, or taken back, is listed.
    Exit code 1 when nothing is held there.
    """
    from pipeline.commands.ledger import connect
    from pipeline.settings import load_settings
    from pipeline.snapshots.accepting import Meant
    from pipeline.snapshots.accepting import accept as accept_values
    from pipeline.store.database import Database
    from pipeline.store.session import LedgerSession
    from pipeline.store.subjects import subjects

    settings = load_settings()
    with connect(settings) as connection:
        check_asked(connection, provider, symbol)
        found = subjects(connection, provider, [symbol])
    if not found:
        raise CommandError(
            f"{provider} is no longer asked about {symbol}; `minuteledger snapshots held` lists "
            "what is held"
        )
    meant = Meant(found[0], field, document, period_end and period_end.date())
    with LedgerSession(Database.from_settings(settings)) as session:
        values = accept_values(session, meant, undo=undo)
    if as_json:
        print_json([asdict(one) for one in values])
        return
    since = min(one.fetched_at for one in values)
    verb = "counts no longer as accepted" if undo else "counts"
    say(f"{field} of {symbol} at {provider} {verb} from {since:%Y-%m-%d %H:%M} UTC on:")
    print_table(
        [
            {
                "document": one.document,
                "period": f"{one.period} {one.period_end or ''}".strip(),
                "fetched_at": one.fetched_at,
                "value": _exact(one.value),
            }
            for one in values
        ]
    )
