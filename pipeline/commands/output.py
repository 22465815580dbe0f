"""How commands speak: tables for people, plain lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

import typer

JsonOption = typer.Option("--json", help="Print JSON instead of a table.")

Row = Mapping[str, object]


class CommandError(Exception):
    """The command cannot do what was asked; the message says why and what to do."""


def say(text: str = "") -> None:
    """Print a line at once, also into a pipe."""
    typer.echo(text)
    sys.stdout.flush()


def warn(text: str) -> None:
    """Print a line to standard error."""
    typer.echo(text, err=True)


def print_json(value: object) -> None:
    """Print `value` as JSON; times in ISO 8601."""
    typer.echo(json.dumps(value, indent=2, default=plain))


def plain(value: object) -> str:
    """Write a value as text: times in ISO 8601 with `Z`, paths as they are."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no text form")


def print_table(rows: Sequence[Row], *, title: str | None = None) -> None:
    """Print rows that share their keys: a Rich table on a terminal, aligned text elsewhere."""
    if not rows:
        return
    names = list(rows[0])
    right = {name for name in names if all(_is_number(row[name]) for row in rows)}
    lines = [[_cell(row[name]) for name in names] for row in rows]
    if sys.stdout.isatty():
        _print_rich(names, right, lines, title)
        return
    if title:
        say(title)
    columns = zip(*[names, *lines], strict=True)
    widths = [max(map(len, column)) for column in columns]
    for line in [names, *lines]:
        parts = (
            text.rjust(width) if name in right else text.ljust(width)
            for name, text, width in zip(names, line, widths, strict=True)
        )
        say("  ".join(parts).rstrip())


def _print_rich(
    names: Sequence[str], right: set[str], lines: Iterable[Sequence[str]], title: str | None
) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for line in lines:
        table.add_row(*line)
    Console(highlight=False).print(table, markup=False)


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return value if isinstance(value, str) else plain(value)
