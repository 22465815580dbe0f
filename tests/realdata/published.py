"""Bitfinex's bars as they were published, read with the plainest means there are.

Nothing of the project is used: what the ledger is compared with must not share its misreadings.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

FOLDER = "Zombie-3000_Bitfinex-historical-data"
MINUTE = timedelta(minutes=1)
BODY_SPAN = timedelta(hours=2)
COLUMNS = ("open", "high", "low", "close", "volume")

Bars = Mapping[datetime, tuple[float, ...]]
"""Time to open, high, low, close and volume."""


def merged(folder: Path, market: str, *years: int) -> Bars:
    """Return the bars of a market's yearly files: time, open, CLOSE, HIGH, LOW, volume."""
    rows = []
    for year in years:
        path = folder / FOLDER / market / "Candles_1m" / str(year) / "merged.csv.gz"
        with gzip.open(path, "rt", newline="") as file:
            rows += list(csv.reader(file))
    return dict(_bar([float(cell) for cell in row]) for row in rows)


def bodies(folder: Path, market: str, month: str) -> dict[datetime, Bars]:
    """Return what each two-hour request of a month (`2013/05`) was answered: start to bars."""
    year, number = month.split("/")
    found = folder / FOLDER / market / "Candles_1m" / year / "raw" / number
    return {
        datetime.strptime(path.stem, "%y-%m-%d %H-%M-%S").replace(tzinfo=UTC): dict(
            _bar([float(cell) for cell in row]) for row in json.loads(path.read_text())
        )
        for path in sorted(found.glob("*.json"))
    }


def _bar(row: list[float]) -> tuple[datetime, tuple[float, ...]]:
    ms, open_, close, high, low, volume = row
    return datetime.fromtimestamp(ms / 1000, UTC), (open_, high, low, close, volume)


def between(bars: Bars, start: datetime, end: datetime) -> Bars:
    """Return the bars of [start, end)."""
    return {ts: bar for ts, bar in bars.items() if start <= ts < end}


def differences(stored: Bars, published: Bars) -> list[str]:
    """Return, for each column, the first bar that differs, and the first minutes on one side."""
    found = [f"{ts} is stored but not published" for ts in sorted(stored.keys() - published)[:3]]
    found += [f"{ts} is published but not stored" for ts in sorted(published.keys() - stored)[:3]]
    both = sorted(stored.keys() & published)
    for number, column in enumerate(COLUMNS):
        wrong = (ts for ts in both if stored[ts][number] != published[ts][number])
        found += [
            f"{column} of {ts}: {stored[ts][number]} stored, {published[ts][number]} published"
            for ts in list(wrong)[:3]
        ]
    return found


def silences(bars: Iterable[datetime]) -> Iterator[int]:
    """Yield the length, in minutes, of each run without a bar between the first and the last."""
    for earlier, later in pairwise(sorted(bars)):
        if later - earlier > MINUTE:
            yield (later - earlier) // MINUTE - 1
