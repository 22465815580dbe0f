"""Reading a file once, and serving any month of any symbol from what it held.

What belongs here: the unpacked copy of one file, in a folder that lives as long as the client. A
file may be larger than memory, and a month of it is asked for again and again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from pipeline.bars import BAR_SCHEMA, inside
from pipeline.intervals import Interval
from pipeline.providers.files_columns import Batches, UnusableFile
from pipeline.providers.files_finding import Source
from pipeline.providers.files_local_time import LocalTime
from pipeline.providers.files_reading import read_batches
from pipeline.providers.files_stamps import US_PER_MINUTE, BadStamp, Stamps, read_stamps
from pipeline.universe.files import AMOUNTS, PRICES, FilesConfig

FILE_SCHEMA: Final = pa.schema(
    [*BAR_SCHEMA, pa.field("file", pa.string()), pa.field("line", pa.int64())]
)
"""Bars, and where each was found: evidence for those that are refused."""

_ROWS: Final = pa.schema([*BAR_SCHEMA, FILE_SCHEMA.field("line")])
_PARTS: Final = pa.schema([("symbol", pa.int32()), ("month", pa.int32())])
_KEPT: Final = pa.schema([*_ROWS, *_PARTS])
_MOST_OPEN: Final = 200
_PACKED: Final = pa.ipc.IpcWriteOptions(compression="lz4")
_TOMORROW: Final = timedelta(days=1)
_ANY_SYMBOL: Final = ""


@dataclass(slots=True)
class Held:
    """What a file holds of one symbol: how many rows, and from when to when, UTC."""

    rows: int
    first: datetime
    last: datetime

    def add(self, other: Held) -> None:
        """Take more rows into account."""
        self.rows += other.rows
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A file that was read to its end.

    Attributes:
        source: The file.
        folder: Where its rows are kept, by number of the symbol and month.
        held: What it holds, by symbol; by "" where its name says the symbol.
        last: Its last stamp of any symbol, UTC; None if it has no row.
    """

    source: Source
    folder: Path
    held: Mapping[str, Held]
    last: datetime | None

    def load(self, symbol: str, window: Interval) -> pa.Table:
        """Return the bars of a window, with `FILE_SCHEMA`."""
        names = list(self.held)
        number = names.index(symbol) if symbol in self.held else None
        months = [] if number is None else [_month(piece.start) for piece in window.months()]
        folders = [self.folder / str(number) / str(month) for month in months]
        found = pa.concat_tables(
            [
                _ROWS.empty_table(),
                *(ds.dataset(one, format="ipc").to_table() for one in folders if one.is_dir()),
            ]
        )
        found = found.filter(inside(found, window))
        files = pa.repeat(str(self.source), found.num_rows)
        return found.append_column("file", files).select(FILE_SCHEMA.names)


def unpack(
    source: Source,
    file: Path,
    folder: Path,
    config: FilesConfig,
    *,
    symbols: Collection[str],
    now: datetime,
) -> Unpacked:
    """Read a file to its end.

    Args:
        source: Which file.
        file: A local copy of it.
        folder: Where its rows are to be kept; not there yet.
        config: What is declared.
        symbols: Which symbols to keep of a file of many; empty for all.
        now: The present, UTC.

    Raises:
        UnusableFile: It cannot be read, or does not hold what was declared.
    """
    unpacking = _Unpacking(source, config, frozenset(symbols), now)
    with closing(_Parts(folder)) as parts:
        for rows in unpacking.rows(file):
            parts.write(rows)
    return Unpacked(source, folder, unpacking.held, unpacking.last)


class _Parts:
    """Writes rows to a folder by number of the symbol and month, in the memory of one batch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[tuple[int, int], pa.RecordBatchWriter] = {}
        self._written = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """Write a batch, with the columns of `_KEPT`."""
        symbols, months = (rows[name].to_numpy() for name in _PARTS.names)
        order = np.lexsort((months, symbols))
        steps = np.flatnonzero(np.diff(symbols[order]) | np.diff(months[order])) + 1
        bare = rows.select(_ROWS.names)
        for places in np.split(order, steps):
            if len(places):
                part = (int(symbols[places[0]]), int(months[places[0]]))
                self._writer(part).write_batch(bare.take(pa.array(places)))

    def close(self) -> None:
        """End all files."""
        for writer in self._open.values():
            writer.close()
        self._open.clear()

    def _writer(self, part: tuple[int, int]) -> pa.RecordBatchWriter:
        if part not in self._open:
            if len(self._open) >= _MOST_OPEN:
                self.close()
            file = self._folder / str(part[0]) / str(part[1]) / f"{self._written}.arrow"
            file.parent.mkdir(parents=True, exist_ok=True)
            self._open[part] = pa.ipc.new_file(file, _ROWS, options=_PACKED)
            self._written += 1
        return self._open[part]


class _Unpacking:
    """The reading of one file, and what was seen of it so far; see `unpack` and `Unpacked`."""

    def __init__(
        self, source: Source, config: FilesConfig, symbols: Collection[str], now: datetime
    ) -> None:
        self.held: dict[str, Held] = {}
        self.last: datetime | None = None
        self._source = source
        self._config = config
        self._symbols = symbols
        self._latest = _us(now + _TOMORROW)

    def rows(self, file: Path) -> Batches:
        """Yield the rows that are kept."""
        batches = read_batches(file, self._source.path, self._source.member, self._config)
        for batch, stamps in self._in_utc(batches):
            if batch.num_rows:
                starts = stamps - (US_PER_MINUTE if self._config.stamp == "end" else 0)
                self._check_time(batch, starts)
                last = _moment(starts.max())
                self.last = max(self.last or last, last)
                yield self._numbered(self._bars(batch, starts), batch)

    def _in_utc(self, batches: Batches) -> Iterator[tuple[pa.RecordBatch, Stamps]]:
        local = LocalTime(self._config.period_zone, ends=self._config.stamp == "end")
        batch: pa.RecordBatch = None
        try:
            for batch in batches:
                stamps, is_utc = read_stamps(batch, self._config, self._source.day)
                yield (batch, stamps) if is_utc else local.to_utc(batch, stamps)
            yield from local.rest()
        except BadStamp as bad:
            where = "" if bad.row is None else _line(batch, bad.row)
            raise UnusableFile(bad.what, bad.fix, where) from None

    def _check_time(self, batch: pa.RecordBatch, starts: Stamps) -> None:
        """Refuse bars from the future, or of another time than the file's name says."""
        fix = "correct `zone:`, `stamp:` or `time:`"
        if (row := _first(starts >= self._latest)) is not None:
            what = f"the bar of {_moment(starts[row]):%Y-%m-%d %H:%M} UTC is in the future"
            raise UnusableFile(what, fix, _line(batch, row))
        period = self._source.period
        if period is None:
            return
        outside = (starts < _us(period.start)) | (starts >= _us(period.end))
        if (row := _first(outside)) is not None:
            raise UnusableFile(
                f"the bar of {_moment(starts[row]):%Y-%m-%d %H:%M} UTC is not of the period in "
                f"the file's name, {period} UTC",
                f"{fix} or the name, or declare `covers: rows`",
                _line(batch, row),
            )

    def _bars(self, batch: pa.RecordBatch, starts: Stamps) -> dict[str, pa.Array]:
        stamps = pa.array(starts.view("M8[us]")).cast(BAR_SCHEMA.field("ts").type)
        columns = {"ts": stamps, "line": batch["line"]}
        for name in (*PRICES, *AMOUNTS):
            given = name in batch.schema.names
            values = batch[name] if given else pa.nulls(len(starts), pa.float64())
            scaled = name in {*PRICES, "vwap"} and self._config.price_scale != 1
            columns[name] = pc.divide(values, self._config.price_scale) if scaled else values
        try:
            columns["trades"] = columns["trades"].cast(pa.int64())
        except pa.ArrowInvalid:
            raise UnusableFile("trades are no whole numbers", "correct `columns:`") from None
        months = starts.view("M8[us]").astype("M8[M]").astype(np.int64) + _month(_moment(0))
        columns["month"] = pa.array(months.astype(np.int32))
        return columns

    def _numbered(self, columns: dict[str, pa.Array], batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows of symbols that are kept, each with the number of its symbol."""
        if "symbol" not in batch.schema.names:
            names = [_ANY_SYMBOL]
            places = np.zeros(batch.num_rows, dtype=np.int32)
        else:
            written = batch["symbol"].cast(pa.string())
            if (row := _first(pc.is_null(written).to_numpy(zero_copy_only=False))) is not None:
                raise UnusableFile("names no symbol", "correct the row", _line(batch, row))
            coded = written.dictionary_encode()
            names = coded.dictionary.to_pylist()
            places = coded.indices.to_numpy(zero_copy_only=False)
        wanted = np.array(
            [name == _ANY_SYMBOL or not self._symbols or name in self._symbols for name in names]
        )
        kept = pa.array(wanted[places])
        for place in np.flatnonzero(wanted):
            self._count(names[place], columns["ts"].filter(pa.array(places == place)))
        numbers = {name: number for number, name in enumerate(self.held)}
        of_place = np.array([numbers.get(name, -1) for name in names], dtype=np.int32)
        columns["symbol"] = pa.array(of_place[places])
        return pa.RecordBatch.from_pydict(columns).select(_KEPT.names).cast(_KEPT).filter(kept)

    def _count(self, symbol: str, stamps: pa.Array) -> None:
        bounds = pc.min_max(stamps).as_py()
        more = Held(len(stamps), bounds["min"], bounds["max"])
        known = self.held.setdefault(symbol, more)
        if known is not more:
            known.add(more)


def _line(batch: pa.RecordBatch, row: int) -> str:
    return f"line {batch['line'][row].as_py()}"


def _first(bad: np.ndarray) -> int | None:
    return int(np.argmax(bad)) if bad.any() else None


def _month(moment: datetime) -> int:
    """Count months, so that each has a number."""
    return moment.year * 12 + moment.month


def _us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def _moment(micros: int | np.int64) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(micros))
