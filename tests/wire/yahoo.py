"""What the tests of Yahoo's client share: a venue in New York, on a Monday afternoon."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.bars import BAR_SCHEMA
from pipeline.intervals import MINUTE, Interval
from pipeline.providers.yahoo_client import YahooProvider
from venue import VenueProcess

NOW = datetime(2024, 6, 3, 18, 0, 30, tzinfo=UTC)  # a Monday, 14:00 in New York
EDGE = NOW.replace(second=0) - timedelta(days=30)
_STOCK = {"listed_at": "2024-03-04T09:00:00Z", "price": 180, "volume": 900}
MARKETS = {
    "AAPL": {**_STOCK, "quiet": 0.1, "name": "Apple Inc."},
    "BRK-B": {**_STOCK, "quiet": 0.4},
    "SPY": {**_STOCK, "kind": "etf"},
    "^VIX": _STOCK,
    "ES=F": {**_STOCK, "hours": "always"},
    "EURUSD=X": {**_STOCK, "hours": "always", "price": 1.1, "price_decimals": 6},
    "BTC-USD": {**_STOCK, "hours": "always", "price": 60000, "volume": 20, "quiet": 0.2},
}
YahooOpener = Callable[..., YahooProvider]


def between(start: str, end: str) -> Interval:
    """Return an interval of two times in UTC."""
    return Interval(*(datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end)))


FRIDAY = between("2024-05-31T14:00", "2024-05-31T19:00")  # 10:00 to 15:00 in New York


def published(venue: VenueProcess, symbol: str, window: Interval) -> list[dict[str, Any]]:
    """Return what a perfect download holds, in single-precision prices."""
    start, end = (int(bound.timestamp()) * 1000 for bound in (window.start, window.end))
    truth = venue.truth("yahoo", symbol, start, end)
    rows = []
    for at, ms in enumerate(truth["ts"]):
        prices = {
            name: float(np.float32(truth[name][at])) for name in ("open", "high", "low", "close")
        }
        ts = datetime.fromtimestamp(ms / 1000, UTC)
        rows.append({"ts": ts, **prices, "volume": truth["volume"][at]})
    return rows


def plain(bars: pa.Table) -> list[dict[str, Any]]:
    """Return a provider's rows without the optional columns."""
    assert bars.schema == BAR_SCHEMA
    rows: list[dict[str, Any]] = bars.drop_columns(["vwap", "trades"]).to_pylist()
    return rows


def minutes_of(bars: pa.Table) -> list[datetime]:
    """Return the stamps of bars."""
    stamps: list[datetime] = bars["ts"].to_pylist()
    return stamps


def minute_at(hour: int, minute: int) -> Interval:
    """Return a minute of the venue's present day, in UTC."""
    start = NOW.replace(hour=hour, minute=minute, second=0)
    return Interval(start, start + MINUTE)
