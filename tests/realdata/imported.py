"""Ledgers filled from a vendor's files, by the same path as `minuteledger import`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pipeline.intervals import Interval
from pipeline.store.database import Database
from pipeline.timeframes import USUAL
from tests.files.conftest import OHLCV, Home, declared
from tests.making import span
from tests.realdata import published


def home_for(
    database: Database,
    path: Path,
    symbol: str,
    life: Interval,
    *,
    session: str = "24x7",
    timeframes: Sequence[str] = USUAL,
    **options: Any,
) -> Home:
    """Put a symbol into an empty ledger, whose files are declared with some options."""
    return Home(
        database,
        declared(path, **options),
        session=session,
        timeframes=timeframes,
        symbols=(symbol,),
        start=f"{life.start:%Y-%m-%d}",
        end=f"{life.end:%Y-%m-%d}",
    )


def months(life: Interval) -> list[str]:
    """Return the months of a time, as in 2024-01."""
    return [f"{month.start:%Y-%m}" for month in life.months()]


def filled(home: Home, life: Interval) -> Home:
    """Import the months of a ledger's only symbol."""
    home.reports = home.download(*months(life), symbol=home.symbols[0])
    return home


def fxy(database: Database, folder: Path, timeframes: Sequence[str] = USUAL) -> Home:
    """Import two years of FXY."""
    life = span("2023-07-01", "2025-08-01")
    home = home_for(
        database,
        folder / published.FXY / "{symbol}_1min_*.csv",
        "FXY",
        life,
        session="XNYS",
        timeframes=timeframes,
        columns={name: "timestamp" if name == "time" else name for name in OHLCV},
    )
    return filled(home, life)


def spy(database: Database, folder: Path, timeframes: Sequence[str] = USUAL) -> Home:
    """Import March 2011 of SPY."""
    life = span("2011-03-01", "2011-04-01")
    home = home_for(
        database,
        folder / published.SPY / "nt-{symbol}-minute-{year}-{month}.csv",
        "spy",
        life,
        session="XNYS",
        timeframes=timeframes,
        time="%Y%m%d %H%M%S",
        delimiter=";",
        # New York's hours are found in UTC before as after the change of clocks, an hour apart.
        stamp="end",
    )
    return filled(home, life)


def lean(
    database: Database, folder: Path, share: str, month: date, *, session: str = "24x7"
) -> Home:
    """Import a month of Lean's zips of a share."""
    life = Interval.month(month)
    home = home_for(
        database,
        folder / published.LEAN / "minute/{symbol}/{year}{month}{day}_trade.zip",
        share,
        life,
        session=session,
        time="ms_of_day",
        zone="America/New_York",
        price_scale=10_000,
    )
    return filled(home, life)


def bitcoin(
    database: Database, folder: Path, life: Interval, timeframes: Sequence[str] = USUAL
) -> Home:
    """Put Bitfinex's bitcoin into an empty ledger, and nothing of it yet."""
    return home_for(
        database,
        folder / published.FOLDER / "{symbol}/Candles_1m/{year}/merged.csv.gz",
        "BTCUSD",
        life,
        timeframes=timeframes,
        columns=["time", "open", "close", "high", "low", "volume"],
        time="epoch_ms",
        zone=None,
    )
