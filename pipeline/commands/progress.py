"""Progress through a piece of work: a bar a stage on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.commands.output import say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_SECONDS_BETWEEN_LINES = 15.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a piece of work is.

    Attributes:
        key: What tells it from others.
        name: What it is called.
        done: How many of its parts are done.
        total: How many there are.
        ended: Whether no more will be done.
    """

    key: str
    name: str
    done: int
    total: int
    ended: bool


@contextmanager
def shown(unit: str = "listing-months") -> Iterator[Callable[[Sequence[Stage]], None]]:
    """Yield a function that shows where all stages are; `unit` says what is counted."""
    if not sys.stdout.isatty():
        yield _Lines(unit).show
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TextColumn(unit), TimeElapsedColumn()) as progress:
        yield _Bars(progress).show


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, stages: Sequence[Stage]) -> None:
        for stage in stages:
            if stage.key not in self._tasks:
                self._tasks[stage.key] = self._progress.add_task(stage.name, total=stage.total)
            self._progress.update(self._tasks[stage.key], completed=stage.done)


class _Lines:
    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._said = ""
        self._due = 0.0

    def show(self, stages: Sequence[Stage]) -> None:
        text = ", ".join(f"{stage.name} {stage.done}/{stage.total}" for stage in stages)
        over = all(stage.ended for stage in stages)
        if text != self._said and (over or time.monotonic() >= self._due):
            say(f"  {self._unit} done: {text}")
            self._said, self._due = text, time.monotonic() + _SECONDS_BETWEEN_LINES
