"""Exporting bars to Parquet: a file for each listing, timeframe and year.

What belongs here: which files there should be, and whether one has to be written. A file is decided
on, read from the ledger and replaced by one export at a time, wherever others run: each holds a
lock in the ledger meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from pipeline.folders import Folder
from pipeline.parquet import Manifest, checksum, encoded, sound
from pipeline.store.arrow import ArrowReader
from pipeline.store.catalog import Catalog
from pipeline.store.database import Database
from pipeline.store.series import Series, UnknownTimeframe, life, no_timeframe
from pipeline.store.views import MarketReader
from pipeline.timeframes import MINUTE_NAME

_LOCK = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended(%s, 0))"


@dataclass(frozen=True, slots=True)
class Selection:
    """What to export; empty names mean all.

    Attributes:
        providers: Names of providers.
        listings: Names of listings.
        timeframes: As in `1m`, `1h`, `1d`.
        since: Only years that end after this moment, aware; None: all.
        before: Only years that begin before this moment, aware; None: all.
    """

    providers: Collection[str] = ()
    listings: Collection[str] = ()
    timeframes: Collection[str] = ()
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A file that there should be if the ledger has bars for it."""

    series: Series
    year: int

    @property
    def names(self) -> tuple[str, str, str, int]:
        """Provider, listing, timeframe and year."""
        return self.series.provider, self.series.listing, self.series.timeframe, self.year

    @property
    def path(self) -> str:
        """Its place below the destination; what a path, or Hive's layout, cannot have is quoted."""
        one = self.series
        return (
            f"provider={one.provider}/timeframe={one.timeframe}/year={self.year}/"
            f"{quote(one.listing, safe='')}.parquet"
        )


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of a file.

    Attributes:
        path: Its place below the destination.
        rows: How many bars it holds.
        checksum: SHA-256 of their values.
        outcome: `written`; `kept`: it was there, sound and up to date; `removed`: the ledger has no
            bars for it any more.
    """

    provider: str
    listing: str
    timeframe: str
    year: int
    path: str
    rows: int
    checksum: str
    outcome: Literal["written", "kept", "removed"]


class Exporter:
    """Exports bars of a ledger.

    Args:
        database: The ledger; a login with the role `analyst` is enough.
        destination: A local folder, or any fsspec URL.

    Raises:
        DatabaseError: The ledger cannot be reached.
        DestinationError: Nothing is known of such URLs.
    """

    def __init__(self, database: Database, destination: str) -> None:
        self._folder = Folder(destination)
        self._arrow = ArrowReader(database)
        self._catalog, self._reader = Catalog(self._arrow), MarketReader(self._arrow)
        self._connection = database.connect()
        self._connection.autocommit = True

    def close(self) -> None:
        """Close the connections."""
        self._arrow.close()
        self._connection.close()

    def targets(self, selection: Selection) -> list[Target]:
        """Return the files to look at, by provider, listing, timeframe and year.

        Raises:
            UnknownListing, UnknownTimeframe: Something that is named is not there; the message
                names what is.
        """
        for provider in selection.providers:
            self._catalog.known(provider, None)
        for listing in selection.listings:
            self._catalog.known(None, listing)
        timeframes = self._timeframes(selection)
        return [
            target
            for (provider, listing), (first, last) in sorted(self._catalog.lives().items())
            if _named(provider, selection.providers) and _named(listing, selection.listings)
            for timeframe in timeframes
            for target in _years(
                Series(provider, listing, timeframe, life(first, last, timeframe)), selection
            )
        ]

    def export(self, target: Target) -> Exported | None:
        """Bring a file up to date; None if it is not there and should not be.

        Raises:
            DestinationError: It cannot be read or written.
            psycopg.Error: The ledger cannot be read.
        """
        with self._alone(target.path), self._arrow.snapshot():
            there = sound(self._folder, target.path)
            mark = self._mark(target)
            if there and mark and _names(there) == (*target.names, mark):
                return _exported(target, there, "kept")
            return self._replace(target, there, mark)

    def forget_abandoned(self) -> None:
        """Remove what killed exports have left."""
        self._folder.forget_abandoned()

    def _replace(self, target: Target, there: Manifest | None, mark: str | None) -> Exported | None:
        table = self._bars(target)
        manifest = Manifest(*target.names, table.num_rows, checksum(table), mark)
        if not table.num_rows:
            if there is None:
                return None
            self._folder.remove(target.path)
            return _exported(target, manifest, "removed")
        if there == manifest:
            return _exported(target, manifest, "kept")
        self._folder.write(target.path, encoded(table, manifest))
        return _exported(target, manifest, "written")

    def _bars(self, target: Target) -> pa.Table:
        """Return the bars of a file, with the name of their listing."""
        one = target.series
        since, before = _year(target.year), _year(target.year + 1)
        tables = list(self._reader.bars(one, since, before))
        bars = pa.concat_tables([one.schema.empty_table(), *tables])
        listing = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(bars.num_rows, dtype=np.int32)), pa.array([one.listing])
        )
        return bars.add_column(0, "listing", listing)

    def _mark(self, target: Target) -> str | None:
        # Bars that are built follow their minutes only later, and are few: they are compared.
        one = target.series
        if one.timeframe != MINUTE_NAME:
            return None
        return self._catalog.mark(one, _year(target.year), _year(target.year + 1))

    def _timeframes(self, selection: Selection) -> list[str]:
        built = self._catalog.timeframes()
        for name in selection.timeframes:
            if name not in built:
                raise UnknownTimeframe(no_timeframe(name, built))
        return [name for name in built if _named(name, selection.timeframes)]

    @contextmanager
    def _alone(self, path: str) -> Iterator[None]:
        """Keep other exports from a file; a killed one keeps nobody."""
        name = [f"minuteledger export {self._folder.name}/{path}"]
        self._connection.execute(_LOCK, name)
        try:
            yield
        finally:
            if not self._connection.closed:
                self._connection.execute(_UNLOCK, name)


def _named(name: str, names: Collection[str]) -> bool:
    return not names or name in names


def _names(there: Manifest) -> tuple[str, str, str, int, str | None]:
    return there.provider, there.listing, there.timeframe, there.year, there.mark


def _year(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


def _years(series: Series, selection: Selection) -> Iterator[Target]:
    whole = series.between(selection.since, selection.before)
    if whole is not None:
        yield from (Target(series, piece.start.year) for piece in whole.years())


def _exported(
    target: Target, manifest: Manifest, outcome: Literal["written", "kept", "removed"]
) -> Exported:
    return Exported(*target.names, target.path, manifest.rows, manifest.checksum, outcome)
