"""What a benchmark measured, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Attributes:
        what: What was measured.
        value: The figure with its unit, as a person reads it.
        target: What it should be; empty for a figure that is only told.
        held: Whether it is so; None where there is no target.
    """

    what: str
    value: str
    target: str = ""
    held: bool | None = None


def show(title: str, figures: Iterable[Figure]) -> bool:
    """Print figures as a table; return whether every target was held."""
    figures = list(figures)
    table = Table("what", "measured", "target", "held", title=title, title_justify="left")
    for figure in figures:
        held = "" if figure.held is None else "yes" if figure.held else "NO"
        table.add_row(figure.what, figure.value, figure.target, held)
    Console().print(table)
    return all(figure.held is not False for figure in figures)
