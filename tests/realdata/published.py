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
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from pyarrow import feather

from tests.oracle import Minute

FOLDER = "Zombie-3000_Bitfinex-historical-data"
BITTREX = "freqtrade_freqtrade"
FREQTRADE = "freqtrade_freqtrade/HEAD"
FXY = "Wat-Street_money-making/Datasets"
SPY = "gbeced_pyalgotrade/testcases/data"
LEAN = "QuantConnect_Lean/Data/equity/usa"
RESTATED = "QuantConnect_Lean_history/restated_minutes"
NEW_YORK = ZoneInfo("America/New_York")
MINUTE = timedelta(minutes=1)
BODY_SPAN = timedelta(hours=2)
COLUMNS = ("open", "high", "low", "close", "volume")

_TEN_THOUSAND = 10_000

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


def freqtrade(folder: Path, name: str) -> Bars:
    """Return the bars of one of freqtrade's files, such as `XRP_ETH-5m`."""
    table = feather.read_table(folder / FREQTRADE / f"{name}.feather")
    stamps, *values = (table[name].to_pylist() for name in ("date", *COLUMNS))
    moments = [stamp.to_pydatetime().astimezone(UTC) for stamp in stamps]
    return dict(zip(moments, zip(*values, strict=True), strict=True))


def fxy(folder: Path) -> Bars:
    """Return two years of a fund of yen.

    They are in UTC: in summer as in winter most is traded at 09:30 and 15:59 in New York, and
    nothing before 04:00.
    """
    (path,) = (folder / FXY).glob("FXY_1min_*.csv")
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return dict(_row(datetime.fromisoformat(row[0]).replace(tzinfo=UTC), row[1:]) for row in rows)


def spy(folder: Path) -> Bars:
    """Return March 2011 of SPY, whose file has the ends of minutes, in UTC."""
    with (folder / SPY / "nt-spy-minute-2011-03.csv").open(newline="") as file:
        rows = list(csv.reader(file, delimiter=";"))
    return dict(
        _row(datetime.strptime(row[0], "%Y%m%d %H%M%S").replace(tzinfo=UTC) - MINUTE, row[1:])
        for row in rows
    )


def days_of_lean(folder: Path, share: str, month: date) -> list[date]:
    """Return the days of a month of which Lean has minutes."""
    files = (folder / LEAN / "minute" / share).glob(f"{month:%Y%m}*_trade.zip")
    return sorted(date.fromisoformat(file.name[:8]) for file in files)


def lean(folder: Path, share: str, *days: date) -> Bars:
    """Return the minutes that Lean has of some days."""
    root = folder / LEAN / "minute" / share
    paths = {day: root / f"{day:%Y%m%d}_trade.zip" for day in days}
    return {ts: bar for day, path in paths.items() for ts, bar in _minutes_of_lean(day, path)}


def lean_above(folder: Path, share: str, length: str) -> Bars:
    """Return Lean's own bars of a `daily` or `hour` file: of days from midnight in New York on."""
    rows = _rows_of_zip(folder / LEAN / length / f"{share}.zip")
    return dict(
        _row(
            datetime.strptime(stamp, "%Y%m%d %H:%M").replace(tzinfo=NEW_YORK), cells, _TEN_THOUSAND
        )
        for stamp, *cells in rows
    )


def restated(folder: Path, share: str, *days: str) -> list[Bars]:
    """Return what was published of some days (`20131007`), the oldest publication first.

    A few rows have a volume below zero, which no exchange could have sent: they are left out.
    """
    by_day = [
        sorted((folder / RESTATED / share).glob(f"{day}_*.zip"), key=_published_at) for day in days
    ]
    return [
        {
            ts: bar
            for day, path in zip(days, paths, strict=True)
            for ts, bar in _minutes_of_lean(date.fromisoformat(day), path)
            if bar[-1] >= 0
        }
        for paths in zip(*by_day, strict=True)
    ]


def _published_at(path: Path) -> tuple[int, ...]:
    with zipfile.ZipFile(path) as archive:
        return archive.infolist()[0].date_time


def _minutes_of_lean(day: date, path: Path) -> Iterator[tuple[datetime, tuple[float, ...]]]:
    """Rows are milliseconds since midnight in New York, and prices in ten-thousandths."""
    midnight = datetime.combine(day, time())
    for ms, *cells in _rows_of_zip(path):
        local = midnight + timedelta(milliseconds=int(ms))
        yield _row(local.replace(tzinfo=NEW_YORK), cells, _TEN_THOUSAND)


def _rows_of_zip(path: Path) -> Iterator[list[str]]:
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return csv.reader(io.StringIO(text))


def _row(
    ts: datetime, cells: Iterable[str], divisor: float = 1
) -> tuple[datetime, tuple[float, ...]]:
    *prices, volume = map(float, cells)
    return ts.astimezone(UTC), (*(price / divisor for price in prices), volume)


def _bar(row: list[float]) -> tuple[datetime, tuple[float, ...]]:
    ms, open_, close, high, low, volume = row
    return datetime.fromtimestamp(ms / 1000, UTC), (open_, high, low, close, volume)


def in_new_york(day: date, clock: time = time()) -> datetime:
    """Return when clocks in New York show that time of a day, in UTC."""
    return datetime.combine(day, clock, NEW_YORK).astimezone(UTC)


def as_minutes(bars: Bars) -> dict[datetime, Minute]:
    """Return bars in the form in which those above them are worked out."""
    return {ts: Minute._make((*bar, None, None)) for ts, bar in bars.items()}


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
