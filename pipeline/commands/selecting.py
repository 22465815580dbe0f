"""Options that name providers, listings and months, checked."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

import typer

from pipeline.commands.output import CommandError

if TYPE_CHECKING:
    import psycopg

    from pipeline.universe import Universe


def months(first: str | None, last: str | None) -> tuple[date | None, date | None]:
    """Return the first days of the months that `--from` and `--to` name.

    Raises:
        typer.BadParameter: One is no month, or the last is before the first.
    """
    since, until = _month("--from", first), _month("--to", last)
    if since and until and until < since:
        raise typer.BadParameter(f"{last} is before --from {first}", param_hint="--to")
    return since, until


def check_names(universe: Universe, provider: str | None, listing: str | None) -> None:
    """Make sure that the universe has what is named.

    Raises:
        typer.BadParameter: It has not; the message names what is close.
    """
    from pipeline.universe.wording import nearest

    if provider and provider not in universe.providers:
        hint = nearest(provider, universe.providers)
        raise typer.BadParameter(
            f"{provider} is no provider of the universe{hint}", param_hint="--provider"
        )
    keys = {spec.key for spec in universe.listings(provider)}
    if listing and listing not in keys:
        hint = nearest(listing, keys)
        raise typer.BadParameter(
            f"{listing} is no listing of the universe{hint}", param_hint="--listing"
        )


def check_asked(
    connection: psycopg.Connection, provider: str | None, instrument: str | None
) -> None:
    """Make sure that somebody is, or was, asked for the fundamentals that are named.

    Raises:
        CommandError: Nobody was; the message names what is close.
    """
    from pipeline.store.subjects import every_subject
    from pipeline.universe.wording import nearest

    asked = sorted({(one.provider, one.instrument) for one in every_subject(connection)})
    providers, instruments = ({pair[n] for pair in asked} for n in (0, 1))
    if provider and provider not in providers:
        hint = nearest(provider, providers)
        raise CommandError(f"{provider} is not asked for fundamentals of anything{hint}")
    if instrument and instrument not in instruments:
        hint = nearest(instrument, instruments)
        raise CommandError(f"nobody is asked for fundamentals of {instrument}{hint}")
    if provider and instrument and (provider, instrument) not in asked:
        others = ", ".join(name for name, key in asked if key == instrument)
        raise CommandError(f"{provider} is not asked about {instrument}; these are: {others}")


def _month(option: str, text: str | None) -> date | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text, re.ASCII):
        raise typer.BadParameter(f"{text!r} is no month; write 2015-11", param_hint=option)
    return date.fromisoformat(f"{text}-01")
