"""Progress of backfills: a bar for each provider on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.commands.output import say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from pipeline.orchestration.backfills import Wave

_SECONDS_BETWEEN_LINES = 15.0


@contextmanager
def shown() -> Iterator[Callable[[Sequence[Wave]], None]]:
    """Yield a function that shows where waves are."""
    if not sys.stdout.isatty():
        yield _Lines().show
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TextColumn("listing-months"), TimeElapsedColumn()) as progress:
        yield _Bars(progress).show


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, waves: Sequence[Wave]) -> None:
        for wave in waves:
            if wave.backfill not in self._tasks:
                self._tasks[wave.backfill] = self._progress.add_task(
                    wave.provider, total=len(wave.cells)
                )
            self._progress.update(self._tasks[wave.backfill], completed=wave.done)


class _Lines:
    def __init__(self) -> None:
        self._said = ""
        self._due = 0.0

    def show(self, waves: Sequence[Wave]) -> None:
        text = ", ".join(f"{wave.provider} {wave.done}/{len(wave.cells)}" for wave in waves)
        over = all(wave.ended for wave in waves)
        if text != self._said and (over or time.monotonic() >= self._due):
            say(f"  listing-months done: {text}")
            self._said, self._due = text, time.monotonic() + _SECONDS_BETWEEN_LINES
