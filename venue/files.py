"""Recorded markets, served again as they were published.

Times are those of the bar's start. Read are, each also with gzip (`.gz`):

- a CSV without a header, or JSON rows `[[ms, ...], ...]`: time in UTC milliseconds, then the
  columns in the order that the configuration names, by default that of Bitfinex;
- a folder of such JSON bodies, one answer a file;
- a CSV with the header `ts,open,high,low,close,volume`;
- Bittrex's JSON `[{O, H, L, C, V, T}, ...]`: time in ISO 8601, UTC; V in units of what is traded;
- a CSV with the header `timestamp,open,high,low,close,volume`: time as `2024-07-03 13:30:00`, UTC;
- Alpha Vantage's series, JSON or a CSV with the header `time,...`: New York's time of the END;
- Yahoo's chart of minutes; of its single-precision prices the shortest decimals;
- a day of Lean's trades (`20240703_trade.zip`), or a folder of them: milliseconds since midnight in
  New York, prices in units of 1/10000.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import orjson

from venue.bars import MINUTE_MS, Bars, empty, from_floats
from venue.hours import from_local

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Table = npt.NDArray[np.float64]
_PLAIN_HEADER = b"ts,open,high,low,close,volume"
_STAMPED_HEADER = b"timestamp,open,high,low,close,volume"
_BY_END_HEADER = b"time,open,high,low,close,volume"
_PLAIN_ORDER = "ohlcv"
_LEAN_SUFFIX = "_trade.zip"
_LEAN_PRICE = 10_000


@dataclass(frozen=True)
class Files:
    """The bars of some files or folders, together. Read once, when first asked for.

    From its first row to its last one, a file replaces all that those named before it say: it is
    what the exchange answered later.
    """

    paths: tuple[Path, ...]
    order: str = "ochlv"
    """Initials of the columns after the time, where a file does not name them."""

    @property
    def span(self) -> tuple[int, int]:
        """First recorded minute and the end (exclusive) of the last; (0, 0) without a row."""
        ts = self._all.ts
        return (int(ts[0]), int(ts[-1]) + MINUTE_MS) if len(ts) else (0, 0)

    def bars(self, start_ms: int, stop_ms: int) -> Bars:
        """Return the recorded minutes with start <= ts < stop."""
        return self._all.between(start_ms, stop_ms)

    @cached_property
    def _all(self) -> Bars:
        rows = np.empty((0, 6))
        for path in self.paths:
            table = np.concatenate([rows[:0], *(_read(one, self.order) for one in _members(path))])
            ts = table[:, 0]
            if len(table):
                rows = rows[(rows[:, 0] < ts.min()) | (rows[:, 0] > ts.max())]
                rows = np.concatenate([rows, table])
        if not len(rows):
            return empty()
        _, first = np.unique(rows[:, 0], return_index=True)
        return from_floats(rows[first])


def _members(path: Path) -> list[Path]:
    """Return the file itself, or every body or day in a folder; FileNotFoundError if neither."""
    if path.is_dir():
        return sorted([*path.rglob("*.json"), *path.rglob(f"*{_LEAN_SUFFIX}")])
    if not path.exists():
        raise FileNotFoundError(f"market data file {path} does not exist")
    return [path]


def _read(path: Path, order: str) -> Table:
    """Return an (n, 6) table in the order time, open, high, low, close, volume."""
    if path.name.endswith(_LEAN_SUFFIX):
        return _from_lean(path)
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if ".json" not in path.suffixes and not data.startswith(b"{"):
        if data.startswith(_BY_END_HEADER):
            return _by_start(_from_stamped_csv(data))
        if data.startswith(_STAMPED_HEADER):
            return _from_stamped_csv(data)
        if data.startswith(_PLAIN_HEADER):
            data, order = data.removeprefix(_PLAIN_HEADER), _PLAIN_ORDER
        records = data.split()
        data = b"[[" + b"],[".join(records) + b"]]" if records else b"[]"
    rows = orjson.loads(data)
    if isinstance(rows, dict):
        return _from_yahoo(rows) if "chart" in rows else _from_alpha_vantage(rows)
    if rows and isinstance(rows[0], dict):
        rows, order = [_from_bittrex(row) for row in rows], _PLAIN_ORDER
    table = np.array(rows, np.float64).reshape(len(rows), 6)
    return table[:, [0, *(1 + order.index(column) for column in _PLAIN_ORDER)]]


def _from_bittrex(row: Mapping[str, Any]) -> list[float]:
    moment = datetime.fromisoformat(row["T"]).replace(tzinfo=UTC)
    return [moment.timestamp() * 1000, *(row[column] for column in "OHLCV")]


def _from_yahoo(document: Mapping[str, Any]) -> Table:
    (chart,) = document["chart"]["result"]
    quote = chart["indicators"]["quote"][0]
    columns = [quote[name] for name in ("open", "high", "low", "close", "volume")]
    prices = [[float(str(np.float32(value))) for value in column] for column in columns[:4]]
    return np.array([[stamp * 1000 for stamp in chart["timestamp"]], *prices, columns[4]]).T


def _from_alpha_vantage(document: Mapping[str, Any]) -> Table:
    series = document["Time Series (1min)"]
    ends = np.array(list(series), "datetime64[ms]").astype(np.int64)
    rows = [[float(value) for value in row.values()] for row in series.values()]
    return _by_start(np.column_stack([ends, rows]))


def _by_start(rows: Table) -> Table:
    """Return rows by the starts of their minutes that were stamped with the ends in New York."""
    rows[:, 0] = from_local(rows[:, 0].astype(np.int64) - MINUTE_MS)
    return rows


def _from_stamped_csv(data: bytes) -> Table:
    lines = [line.split(b",", 1) for line in data.splitlines()[1:] if line]
    ts = np.array([at.decode() for at, _ in lines], "datetime64[ms]").astype(np.int64)
    rows = np.loadtxt(io.BytesIO(b"\n".join(rest for _, rest in lines)), delimiter=",", ndmin=2)
    return np.column_stack([ts, rows])


def _from_lean(path: Path) -> Table:
    with zipfile.ZipFile(path) as archive:
        rows = np.loadtxt(archive.open(archive.namelist()[0]), delimiter=",", ndmin=2)
    day = f"{path.name[:4]}-{path.name[4:6]}-{path.name[6:8]}"
    midnight = np.datetime64(day, "ms").astype(np.int64)
    rows[:, 0] = from_local(rows[:, 0].astype(np.int64) + midnight)
    rows[:, 1:5] /= _LEAN_PRICE
    return rows
