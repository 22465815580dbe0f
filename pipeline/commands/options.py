"""Reading what several commands take."""

from __future__ import annotations

from datetime import datetime

import typer


def instant(option: str, text: str | None) -> datetime | None:
    """Return the moment, in UTC, that an option names; None without one.

    Raises:
        typer.BadParameter: The text is no date and no time.
    """
    from pipeline.universe.values import instant as parse

    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
