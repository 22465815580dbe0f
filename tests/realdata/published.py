"""Bars as they were published, read with the plainest means there are.

Nothing of the project is used: what the ledger is compared with must not share its misreadings.
Times are starts of minutes, UTC.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

FOLDER = "Zombie-3000_Bitfinex-historical-data"
BITTREX = "freqtrade_freqtrade"
LEAN = "QuantConnect_Lean_history/restated_minutes"
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


def bittrex(folder: Path, file: str) -> Bars:
    """Return the bars of one of Bittrex's answers; times are without an offset, in UTC."""
    with gzip.open(folder / BITTREX / file) as opened:
        rows = json.load(opened)
    return {
        datetime.fromisoformat(row["T"]).replace(tzinfo=UTC): tuple(row[name] for name in "OHLCV")
        for row in rows
    }


def restated(folder: Path, share: str, *days: str) -> list[Bars]:
    """Return what was published of some days (`20131007`), the oldest publication first.

    Rows are milliseconds since midnight in New York, and prices in ten-thousandths of a dollar. A
    few have a volume below zero, which no exchange could have sent: they are left out.
    """
    by_day = [
        sorted((folder / LEAN / share).glob(f"{day}_*.zip"), key=_published_at) for day in days
    ]
    return [
        {ts: bar for day, path in zip(days, paths, strict=True) for ts, bar in _lean(day, path)}
        for paths in zip(*by_day, strict=True)
    ]


def _published_at(path: Path) -> tuple[int, ...]:
    with zipfile.ZipFile(path) as archive:
        return archive.infolist()[0].date_time


def _lean(day: str, path: Path) -> Iterator[tuple[datetime, tuple[float, ...]]]:
    midnight = datetime.strptime(day, "%Y%m%d").replace(tzinfo=ZoneInfo("America/New_York"))
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    for ms, *prices, volume in csv.reader(io.StringIO(text)):
        ts = (midnight + timedelta(milliseconds=int(ms))).astimezone(UTC)
        if int(volume) >= 0:
            yield ts, (*(int(price) / 10_000 for price in prices), float(volume))


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


def silences(
    bars: Iterable[datetime], start: datetime, end: datetime
) -> Sequence[tuple[datetime, datetime]]:
    """Return each run without a bar in [start, end): its first minute, and the first after it."""
    moments = [start - MINUTE, *sorted(bars), end]
    return [
        (earlier + MINUTE, later)
        for earlier, later in pairwise(moments)
        if later - earlier > MINUTE
    ]
