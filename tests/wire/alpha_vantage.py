"""What the tests of Alpha Vantage's client share: a venue in New York, and a key that is marked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pydantic import SecretStr

from pipeline.bars import BAR_SCHEMA
from pipeline.intervals import Interval
from pipeline.providers.alpha_vantage_client import AlphaVantageProvider
from venue import VenueProcess

NOW = datetime(2024, 6, 3, 18, 0, 30, tzinfo=UTC)
KEY = "MARKEDFAKEKEY42X"
_STOCK = {"listed_at": "2023-08-01T08:00:00Z", "price": 180, "volume": 900}
MARKETS = {
    "MSFT": {**_STOCK, "quiet": 0.1, "quiet_extended": 0.5, "name": "Microsoft Corporation"},
    "BRK-B": {**_STOCK, "quiet": 0.4, "listed_on": "NYSE"},
    "SPY": {**_STOCK, "kind": "etf", "listed_on": "NYSE ARCA"},
    "GONE": {**_STOCK, "delisted_at": "2024-04-10T16:00:00Z"},
}
AlphaVantageOpener = Callable[..., AlphaVantageProvider]


def keys(key: str = KEY) -> dict[str, SecretStr]:
    """Return the key as options have it."""
    return {"ALPHAVANTAGE_API_KEY": SecretStr(key)}


def month(year: int, number: int) -> Interval:
    """Return a month of UTC."""
    return Interval.month(datetime(year, number, 1, tzinfo=UTC).date())


def plain(bars: pa.Table) -> list[dict[str, Any]]:
    """Return a provider's rows without the optional columns, in order of time."""
    assert bars.schema == BAR_SCHEMA
    rows: list[dict[str, Any]] = bars.drop_columns(["vwap", "trades"]).sort_by("ts").to_pylist()
    return rows


def published(venue: VenueProcess, symbol: str, window: Interval) -> list[dict[str, Any]]:
    """Return what a perfect download holds."""
    start, end = (int(bound.timestamp()) * 1000 for bound in (window.start, window.end))
    columns = venue.truth("alpha_vantage", symbol, start, end)
    columns["ts"] = [datetime.fromtimestamp(ms / 1000, UTC) for ms in columns["ts"]]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
