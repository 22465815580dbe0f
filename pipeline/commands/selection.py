"""`minuteledger selection`: who is asked first, who stands by, and why."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.output import CommandError, JsonOption, print_json, print_table, say

if TYPE_CHECKING:
    from pipeline.store.standby import Asked


def selection(
    *,
    instrument: Annotated[str | None, typer.Argument(help="Only this instrument.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many decisions to show.")] = 20,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Show whom each instrument is collected from, and the latest decisions with their reasons.

    A primary is collected in full. A standby is asked only for what nobody before it delivered:
    minutes that failed, fell into an outage, or are no longer served, and all that is pending of a
    provider that is out of service.
    """
    from pipeline.commands.ledger import connect
    from pipeline.settings import load_settings
    from pipeline.store.standby import decisions, order

    with connect(load_settings()) as connection:
        asked = order(connection, instrument)
        latest = decisions(connection, instrument, limit)
    if not asked:
        raise CommandError(
            f"no instrument here is called {instrument}"
            if instrument
            else "the ledger knows no instrument yet; run `minuteledger migrate`"
        )
    if as_json:
        print_json({"order": list(map(asdict, asked)), "decisions": list(map(asdict, latest))})
        return
    print_table([_row(one) for one in asked])
    if latest:
        say()
        print_table([asdict(one) for one in latest], title="Latest decisions")


def _row(one: Asked) -> dict[str, object]:
    return {
        "instrument": one.instrument,
        "provider": one.provider,
        "listing": one.listing,
        "role": "primary" if one.standby is None else f"standby {one.standby}",
        "wanted_minutes": "all" if one.wanted_minutes is None else one.wanted_minutes,
        "out_of_service": one.out_of_service,
    }
