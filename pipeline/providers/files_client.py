"""1-minute bars out of files that people own already.

What belongs here: `ArchiveProvider` for files, as the sum of its parts: where files are
(`files_finding`), what bytes and stamps mean (`files_reading`, `files_stamps`), serving months of
what was read (`files_unpacking`), and which minutes a file is evidence for (`files_evidence`).
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.bars import BAR_SCHEMA
from pipeline.intervals import Interval, floor_minute
from pipeline.providers.errors import (
    BrokenFile,
    ProviderError,
    UnknownSymbol,
    Unsupported,
)
from pipeline.providers.files_columns import UnusableFile
from pipeline.providers.files_evidence import Evidence
from pipeline.providers.files_finding import Finder, Source
from pipeline.providers.files_reading import check_sum
from pipeline.providers.files_unpacking import FILE_SCHEMA, Held, Unpacked, unpack
from pipeline.providers.limiter import Limiter
from pipeline.providers.options import ProviderOptions
from pipeline.providers.protocol import FirstTrade, Holdings, Market, MonthVersion


def open_client(name: str, options: ProviderOptions, limiter: Limiter) -> FilesProvider:
    """Return a client for files; see `registry.open_provider`. There is no limit to keep."""
    del limiter
    return FilesProvider(name, options)


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file.

    Attributes:
        name: The file.
        held: What it holds of the symbol; None for nothing.
        error: Why it cannot be used; empty if it can.
    """

    name: str
    held: Held | None
    error: str = ""


class FilesProvider:
    """An `ArchiveProvider` for files, safe to call from many threads.

    Each file is read once, into a temporary folder that `close` removes.

    Args:
        name: The provider's name in the universe.
        options: How it is configured.

    Raises:
        Unsupported: No files are declared, or a package for their address is not installed.
    """

    def __init__(
        self,
        name: str,
        options: ProviderOptions,
    ) -> None:
        if options.files is None:
            raise Unsupported(name, "declares no files", "write `files:` in the universe")
        self.name = name
        self.capabilities = options.capabilities(name)
        self.requests_sent = 0
        self.clock_skew: timedelta | None = timedelta(0)
        self._config = options.files
        self._declared = hashlib.sha256(options.files.model_dump_json().encode()).hexdigest()
        self._symbols = options.symbols
        self._clock = options.now
        self._finder = Finder(name, options.files)
        self._evidence = Evidence(name, self._finder, self._read)
        self._folder = tempfile.TemporaryDirectory(prefix="minuteledger-files-")
        self._read_already: dict[Source, Unpacked | ProviderError] = {}
        self._reading = threading.Lock()

    def markets(self) -> Sequence[Market]:
        """Return the listed symbols that have files; of others nothing is known."""
        return [
            Market(symbol, "", symbol, "", active=None)
            for symbol in self._symbols
            if self._finder.sources(symbol)
        ]

    def find_market(self, symbol: str, asset_class: str) -> Market:
        """Return the market of a symbol.

        Raises:
            UnknownSymbol: There is no file for it.
        """
        self._sources(symbol)
        return Market(symbol, asset_class, symbol, "", active=None)

    def first_trade(self, symbol: str, asset_class: str) -> FirstTrade | None:
        """Return the first minute in the files of a symbol; None if the first file is broken.

        Raises:
            UnknownSymbol: There is no file for it, or no row in any.
            BrokenFile: A file without a period in its name is broken: it may hold the first row.
        """
        del asset_class
        sources = self._sources(symbol)
        for _, together in groupby(sources, key=lambda one: one.period):
            try:
                read = [self._read(one) for one in together]
            except BrokenFile:
                if not self._config.by_period:
                    raise
                return None
            firsts = [
                (one.held[key].first, str(one.source))
                for one in read
                if (key := self._key(symbol)) in one.held
            ]
            if firsts:
                first, file = min(firsts)
                return FirstTrade(floor_minute(first), f"first row of the files, in {file}")
        raise UnknownSymbol(
            self.name, f"no file has a row of {symbol!r}", "correct the listing's symbol"
        )

    def versions(
        self, symbol: str, asset_class: str, months: Sequence[date]
    ) -> Mapping[date, MonthVersion]:
        """Return a hash of the files that hold each month, of their place, and of `files:`."""
        del asset_class
        sources = self._finder.sources(symbol)
        files: dict[date, list[str]] = {month: [] for month in months}
        for source in sources:
            touched = months if source.period is None else source.period.first_days()
            for month in touched:
                if month in files:
                    files[month].append(source.version)
        periods = [one.period for one in sources if one.period]
        return {
            month: MonthVersion(self._hash(*versions, _place(month, periods)), bool(versions))
            for month, versions in files.items()
        }

    def holdings(self, symbol: str, asset_class: str, during: Interval) -> Holdings:
        """Return what of a time the files are evidence for; those that may be are read.

        Raises:
            UnknownSymbol: There is no file for it.
        """
        del asset_class
        sources = self._sources(symbol)
        if self._config.by_period:
            return self._evidence.by_period(symbol, sources, during)
        return self._evidence.by_rows(self._key(symbol), sources, during)

    def fetch_bars(self, symbol: str, asset_class: str, window: Interval) -> pa.Table:
        """Return the bars of a window that lies in one piece of the holdings.

        Returns:
            A table with `FILE_SCHEMA`. A row that several files have alike is there once.

        Raises:
            ProviderError: A file that holds minutes of it cannot be read.
        """
        del asset_class
        self.requests_sent += 1
        sources = [
            one
            for one in self._sources(symbol)
            if one.period is None or one.period.intersection(window)
        ]
        found = [self._read(one).load(self._key(symbol), window) for one in sources]
        return _without_repetition([one for one in found if one.num_rows])

    def files(self, symbol: str) -> list[FileReport]:
        """Read every file of a symbol and return what became of each.

        Raises:
            UnknownSymbol: There is no file for it.
        """
        reports = []
        for source in self._sources(symbol):
            try:
                held = self._read(source).held.get(self._key(symbol))
                reports.append(FileReport(str(source), held))
            except BrokenFile as error:
                reports.append(FileReport(str(source), None, str(error)))
        return reports

    def close(self) -> None:
        """Remove what was unpacked."""
        self._folder.cleanup()

    def _key(self, symbol: str) -> str:
        return symbol if "symbol" in self._config.names else ""

    def _sources(self, symbol: str) -> list[Source]:
        if found := self._finder.sources(symbol):
            return found
        raise UnknownSymbol(
            self.name,
            f"there is no file for {symbol!r}: looked for {self._finder.pattern(symbol)}",
            "correct `path:` or the listing's symbol, or put the files there",
        )

    def _read(self, source: Source) -> Unpacked:
        """Return a file as it was read, the first time or now.

        Raises:
            BrokenFile: It cannot be read, or does not hold what was declared.
            ProviderUnavailable: It cannot be reached; the next call asks again.
        """
        with self._reading:
            read = self._read_already.get(source)
            if read is None:
                try:
                    read = self._unpack(source)
                except UnusableFile as error:
                    read = BrokenFile(self.name, f"{source}: {error}", error.fix)
                self._read_already[source] = read
        if isinstance(read, ProviderError):
            raise read
        return read

    def _unpack(self, source: Source) -> Unpacked:
        number = len(self._read_already)
        folder = Path(self._folder.name) / str(number)
        with self._finder.local_copy(source, folder.with_suffix(".copy")) as file:
            for published in self._finder.checksums(source):
                check_sum(file, published)
            return unpack(
                source, file, folder, self._config, symbols=self._symbols, now=self._clock()
            )

    def _hash(self, *parts: str) -> str:
        return hashlib.sha256(" ".join([self._declared, *parts]).encode()).hexdigest()


def _place(month: date, periods: Sequence[Interval]) -> str:
    """Say where a month lies: one that comes to lie between others is missing from then on."""
    whole = Interval.month(month)
    before = any(one.start < whole.start for one in periods)
    after = any(one.end > whole.end for one in periods)
    return f"{before} {after}"


def _without_repetition(found: Sequence[pa.Table]) -> pa.Table:
    """Put the rows of several files together; what a second file repeats exactly is left out."""
    table = pa.concat_tables([FILE_SCHEMA.empty_table(), *found])
    if len(found) <= 1:
        return table
    frame: pd.DataFrame = table.to_pandas()
    first = frame.groupby(BAR_SCHEMA.names, dropna=False, sort=False)["file"].transform("first")
    return table.filter(pa.array(first == frame["file"]))
