"""Recorded markets, served again as they were published.

Three kinds of file are read: Bitfinex's merged CSV without a header (time, open, CLOSE, HIGH, LOW,
volume; the order of its v2 API), a folder of Bitfinex answers (one JSON body a file), and a plain
CSV with the header `ts,open,high,low,close,volume`. Times are UTC milliseconds of the bar's start.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import orjson

from venue.bars import MINUTE_MS, Bars, empty, from_floats

if TYPE_CHECKING:
    from pathlib import Path

_PLAIN_HEADER = b"ts,open,high,low,close,volume"
_FROM_BITFINEX = [0, 1, 3, 4, 2, 5]  # to time, open, high, low, close, volume


@dataclass(frozen=True)
class Files:
    """The bars of some files or folders, together. Read once, when first asked for."""

    paths: tuple[Path, ...]

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
        tables = [_read(path) for root in self.paths for path in _members(root)]
        rows = np.concatenate([np.empty((0, 6)), *tables])
        if not len(rows):
            return empty()
        _, first = np.unique(rows[:, 0], return_index=True)
        return from_floats(rows[first])


def _members(path: Path) -> list[Path]:
    """Return the file itself, or every JSON body below a folder; FileNotFoundError if neither."""
    if path.is_dir():
        return sorted(path.rglob("*.json"))
    if not path.exists():
        raise FileNotFoundError(f"market data file {path} does not exist")
    return [path]


def _read(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return an (n, 6) table in the order time, open, high, low, close, volume."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    plain = data.startswith(_PLAIN_HEADER)
    if path.suffix != ".json":
        records = data.removeprefix(_PLAIN_HEADER).split()
        data = b"[[" + b"],[".join(records) + b"]]" if records else b"[]"
    rows = orjson.loads(data)
    table = np.array(rows, np.float64).reshape(len(rows), 6)
    return table if plain else table[:, _FROM_BITFINEX]
