"""A folder of files, what is declared of them, and the ledger they are imported into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.asking import Patience
from pipeline.download import Downloader
from pipeline.heal import find_due
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.providers.files_client import FilesProvider
from pipeline.providers.options import ProviderOptions
from pipeline.providers.table import CAPABILITIES
from pipeline.reports import MonthReport
from pipeline.store.coverage import CoverageRow, coverage
from pipeline.store.database import Database
from pipeline.store.listings import listings, sync_universe
from pipeline.store.ranges import from_multirange
from pipeline.timeframes import USUAL
from pipeline.universe import Universe
from pipeline.universe.files import FilesConfig
from tests.making import at

NAME = "history"
OHLCV = ("time", "open", "high", "low", "close", "volume")
NOW = at("2026-01-15T12:00")
PATIENT = Patience(attempts=1)


def declared(path: str | Path, **options: Any) -> FilesConfig:
    """Return a declaration with what tests have in common."""
    usual = {"columns": OHLCV, "zone": "UTC", "stamp": "start"}
    return FilesConfig.model_validate(usual | {"path": str(path)} | options)


def opened(files: FilesConfig, symbols: Sequence[str] = (), now: datetime = NOW) -> FilesProvider:
    """Return a client for declared files."""
    options = ProviderOptions(source="files", files=files, symbols=symbols, now=lambda: now)
    return FilesProvider(NAME, options)


def lines(stamps: Iterable[str], price: float = 100.0) -> str:
    """Return CSV rows, each minute's price its own."""
    rows = enumerate(stamps)
    return "".join(
        f"{stamp},{price + n},{price + n + 2},{price + n - 1},{price + n + 1},{n + 1}\n"
        for n, stamp in rows
    )


def minutes(start: str, number: int) -> list[str]:
    """Return the ISO stamps of consecutive minutes."""
    whole = Interval(at(start), at(start) + timedelta(minutes=number))
    return [f"{piece.start:%Y-%m-%d %H:%M}" for piece in whole.split(1)]


@dataclass
class Home:
    """A ledger with listings of one provider of files."""

    database: Database
    files: FilesConfig
    symbols: Sequence[str] = ("SPY",)
    start: str = "2024-01-01"
    end: str | None = None
    session: str = "24x7"
    timeframes: Sequence[str] = USUAL
    now: datetime = NOW
    reports: list[MonthReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        with self.database.connect() as connection:
            sync_universe(connection, self.universe)

    @property
    def universe(self) -> Universe:
        listing = {"end": self.end} if self.end else {}
        return Universe.model_validate(
            {
                "start": self.start,
                "timeframes": list(self.timeframes),
                "providers": {NAME: {"client": "files", "files": self.files.model_dump()}},
                "instruments": {
                    symbol: {
                        "class": "etf",
                        "session": self.session,
                        "listings": {NAME: {"symbol": symbol} | listing},
                    }
                    for symbol in self.symbols
                },
            }
        )

    def download(
        self, *months: str, symbol: str = "SPY", only_due: bool = False
    ) -> list[MonthReport]:
        """Download months of a symbol with a fresh client."""
        with (
            closing(opened(self.files, self.symbols, self.now)) as provider,
            Downloader(self.database, provider, patience=PATIENT, now=lambda: self.now) as loader,
        ):
            reports = []
            for month in months:
                first = date.fromisoformat(f"{month}-01")
                listing = self.listing(symbol)
                reports.append(loader.download(listing, first, only_due=only_due))
            return reports

    def look(self, symbol: str = "SPY") -> None:
        """Notice what has changed in the files."""
        with (
            closing(opened(self.files, self.symbols, self.now)) as provider,
            Downloader(self.database, provider, now=lambda: self.now) as loader,
        ):
            loader.look([self.listing(symbol)])

    def due(self, symbol: str = "SPY") -> set[str]:
        """Return the months in which something is to be asked."""
        capabilities = CAPABILITIES["files"]
        with self.database.connect() as connection:
            found = find_due(connection, NAME, capabilities, self.now, [symbol])
        return {f"{cell.month:%Y-%m}" for cell in found}

    def listing(self, symbol: str = "SPY") -> Listing:
        with self.database.connect() as connection:
            return listings(connection, NAME, [symbol])[0]

    def query(self, statement: str, *values: object) -> list[Any]:
        with self.database.connect() as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def stored(self, symbol: str = "SPY") -> dict[datetime, tuple[float, ...]]:
        rows = self.query(
            """
            SELECT b.ts, b.open, b.high, b.low, b.close, b.volume FROM ledger.bars_1m b
            JOIN ledger.listing l ON l.id = b.listing_id WHERE l.key = %s ORDER BY ts
            """,
            symbol,
        )
        return {ts: tuple(values) for ts, *values in rows}

    def answered(self, month: str, symbol: str = "SPY") -> list[Interval]:
        rows = self.query(
            """
            SELECT c.answered FROM ledger.coverage c JOIN ledger.listing l ON l.id = c.listing_id
            WHERE l.key = %s AND c.month = %s
            """,
            symbol,
            f"{month}-01",
        )
        return from_multirange(rows[0][0]) if rows else []

    def failures(self) -> list[tuple[Any, ...]]:
        return self.query(
            "SELECT lower(during), upper(during), error, message, attempts, given_up"
            " FROM ledger.fetch_failure ORDER BY 1"
        )

    def coverage(self, month: str, symbol: str = "SPY") -> CoverageRow:
        with self.database.connect() as connection:
            rows = coverage(connection, NAME, [symbol], [date.fromisoformat(f"{month}-01")])
        return rows[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "vendor"
    folder.mkdir()
    return folder
