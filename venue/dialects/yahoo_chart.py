"""A chart of Yahoo's, made of rows: what it says of itself, its quiet minutes, the latest price.

What belongs here: the document. Not here: how it is asked for (`yahoo`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from venue.bars import DAY_MS, MINUTE_MS, UNIT
from venue.hours import NEW_YORK, Phase, sessions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from venue.market import Market
    from venue.pages import Window

_VALID_RANGES = ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"]
_COLUMNS = ("high", "close", "open", "volume", "low")
_KINDS = (("^", "INDEX"), ("=X", "CURRENCY"), ("=F", "FUTURE"))
_CLOSED_SECONDS_LATE = 4  # the closing auction is printed so long after the close


def chart_of(
    found: Sequence[list[Any]], market: Market, window: Window, query: Mapping[str, str]
) -> tuple[dict[str, Any], int]:
    """Return a chart, and how many rows it has.

    `found` has what was traded: seconds, open, high, low, close, volume and phase of the day.
    """
    extended = query.get("includePrePost", "false").lower() == "true"
    latest = _latest(market, window.now_ms)
    rows = [_row(values) for values in found if extended or values[-1] == Phase.REGULAR]
    if window.step_ms == MINUTE_MS:
        rows = _with_nulls(rows, market, extended=extended)
        rows = _with_latest(rows, latest, window)
    return {"meta": _meta(market, query, window, latest), **_columns(rows)}, len(rows)


def _single(price: float) -> float:
    return float(np.float32(price))


def _row(values: list[Any]) -> list[Any]:
    """Return seconds, open, high, low, close, volume as Yahoo has them."""
    second, *prices, volume, phase = values
    return [second, *map(_single, prices), int(volume) if phase == Phase.REGULAR else 0]


def _with_nulls(rows: list[list[Any]], market: Market, *, extended: bool) -> list[list[Any]]:
    """Put a row of nulls into every other quiet minute, and 0 for the first volume."""
    if not rows:
        return rows
    ts = np.array([row[0] for row in rows], np.int64)
    minutes = np.setdiff1d(np.arange(ts[0], ts[-1], 60), ts)
    minutes = minutes[minutes // 60 % 2 == 0]
    if market.hours:
        phases = market.hours.phases(minutes * 1000)
        minutes = minutes[phases > Phase.CLOSED if extended else phases == Phase.REGULAR]
    nulls: list[list[Any]] = [[int(minute), *[None] * 5] for minute in minutes]
    rows[0][-1] = 0
    return sorted(rows + nulls, key=lambda row: int(row[0]))


def _with_latest(
    rows: list[list[Any]], latest: tuple[int, float], window: Window
) -> list[list[Any]]:
    """Let the latest price be the last row, as long as the asked time ends on its day."""
    second, price = latest
    if window.stop_ms < second * 1000 - DAY_MS or window.start_ms > second * 1000:
        return rows
    forming = window.now_ms // MINUTE_MS * MINUTE_MS // 1000
    rows = [row for row in rows if row[0] < forming]
    if second < forming:
        second -= second % 60  # the market is closed
    if rows and rows[-1][0] >= second:
        return rows
    return [*rows, [second, *[_single(price)] * 4, 0]]


def _latest(market: Market, now_ms: int) -> tuple[int, float]:
    """Return when the latest trade of regular hours was, in seconds, and its price.

    The last one of a day is the closing auction, seconds after the end: the first of the next bar.
    Whatever is quiet when the day ends has none; its last one is in its last bar.
    """
    bars = market.bars_until(MINUTE_MS, now_ms - 7 * DAY_MS, now_ms + 1, now_ms)
    if not len(bars):
        return market.listed_at // 1000, 0.0
    if market.hours is None or market.hours.phases(np.array([now_ms]))[0] == Phase.REGULAR:
        return now_ms // 1000, int(bars.close[-1]) / UNIT
    regular = bars.take(market.hours.phases(bars.ts) == Phase.REGULAR)
    end_ms = int(regular.ts[-1]) + MINUTE_MS
    if market.hours.phases(np.array([end_ms]))[0] == Phase.REGULAR:
        return end_ms // 1000 - 1, int(regular.close[-1]) / UNIT
    auction = bars.between(end_ms, end_ms + 1)
    price = auction.open[0] if len(auction) else regular.close[-1]
    return end_ms // 1000 + _CLOSED_SECONDS_LATE, int(price) / UNIT


def _columns(rows: list[list[Any]]) -> dict[str, Any]:
    """Return a chart's columns; without a row there are none, and no stamps."""
    if not rows:
        return {"indicators": {"quote": [{}]}}
    stamps, opened, high, low, close, volume = (list(column) for column in zip(*rows, strict=True))
    named = {"open": opened, "high": high, "low": low, "close": close, "volume": volume}
    quote = {name: named[name] for name in _COLUMNS}
    return {"timestamp": stamps, "indicators": {"quote": [quote]}}


def _kind(market: Market) -> str:
    name = str(market.symbol)
    for mark, kind in _KINDS:
        if name.startswith(mark) or name.endswith(mark):
            return kind
    if market.kind:
        return market.kind.upper()
    return "EQUITY" if market.hours else "CRYPTOCURRENCY"


def _meta(
    market: Market, query: Mapping[str, str], window: Window, latest: tuple[int, float]
) -> dict[str, Any]:
    zone = NEW_YORK if market.hours else UTC
    local = datetime.fromtimestamp(window.now_ms // 1000, zone)
    offset = local.utcoffset()
    place = {
        "timezone": local.tzname(),
        "gmtoffset": int(offset.total_seconds()) if offset else 0,
    }
    meta: dict[str, Any] = {
        "currency": "USD",
        "symbol": str(market.symbol),
        "exchangeName": "NMS" if market.hours else "CCC",
        "instrumentType": _kind(market),
        "firstTradeDate": market.listed_at // 1000,
        "regularMarketTime": latest[0],
        "hasPrePostMarketData": market.hours is not None,
        **place,
        "exchangeTimezoneName": str(zone) if market.hours else "UTC",
        "regularMarketPrice": round(latest[1], market.price_decimals),
        "longName": market.name,
        "shortName": market.name,
        "scale": 3,
        "priceHint": 2,
        "currentTradingPeriod": _periods(market, window.now_ms, place),
        "dataGranularity": query.get("interval", "1d"),
        "range": query.get("range", ""),
        "validRanges": _VALID_RANGES,
    }
    return meta


def _periods(market: Market, now_ms: int, place: Mapping[str, Any]) -> dict[str, Any]:
    """Return the phases of the running trading day, or of the next one."""
    if market.hours:
        edges = next(one for one in sessions(market.hours, now_ms) if one[-1] > now_ms)
    else:
        day = now_ms // DAY_MS * DAY_MS
        edges = (day, day, day + DAY_MS - MINUTE_MS, day + DAY_MS - MINUTE_MS)
    bounds = zip(("pre", "regular", "post"), edges, edges[1:], strict=False)
    return {
        name: {
            "timezone": place["timezone"],
            "start": start // 1000,
            "end": end // 1000,
            "gmtoffset": place["gmtoffset"],
        }
        for name, start, end in bounds
    }
