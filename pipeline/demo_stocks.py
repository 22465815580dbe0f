"""The stocks of the demo: two at Alpaca, around days that are not like others, and one at Yahoo.

What belongs here: which of them, which days, and what is known of the companies. Where they are
served is `pipeline.demo`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from pipeline.calendars import open_months, session_named
from pipeline.intervals import Interval

SHOWN: Final = ("AAPL", "MSFT")
"""Listings whose trading days are shown."""

SAID: Final = (
    ("AAPL", "revenue"),
    ("AAPL", "total_debt"),
    ("AAPL", "earnings_per_share"),
    ("IBM", "market_cap"),
    ("BTC-USD", "market_cap"),
)
"""Instruments and fields of which is shown who says what."""

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_YEAR: Final = timedelta(days=400)
_WHOLE_DAY: Final = 390
_NEW_YORK: Final = ZoneInfo("America/New_York")
_MARKETS: Final = {
    "alpaca": {
        "AAPL": {"price": 180, "volume": 60_000, "name": "Apple Inc. Common Stock"},
        "MSFT": {"price": 330, "volume": 50_000, "name": "Microsoft Corporation Common Stock"},
    },
    "yahoo": {"IBM": {"price": 190, "volume": 9_000, "quiet": 0.05, "listed_on": "NYSE"}},
}
_COMPANIES: Final = {
    "AAPL": {
        "name": "Apple Inc.",
        "revenue": 274.5e9,
        "growth": 0.07,
        "margin": 0.24,
        "shares": 15.3e9,
        "price": 180,
        "dividend": 1.0,
        "year_end": "09-28",
        "employees": 164_000,
        "industry": "Consumer Electronics",
    },
    "MSFT": {
        "name": "Microsoft Corporation",
        "revenue": 143e9,
        "growth": 0.13,
        "margin": 0.35,
        "shares": 7.43e9,
        "price": 330,
        "dividend": 3.0,
        "year_end": "06-30",
        "employees": 221_000,
    },
    "IBM": {
        "name": "International Business Machines Corporation",
        "revenue": 55.2e9,
        "growth": 0.03,
        "margin": 0.1,
        "shares": 0.92e9,
        "price": 190,
        "dividend": 6.6,
        "employees": 282_200,
        "industry": "Information Technology Services",
        "listed_on": "NYSE",
        "filed_after_days": 56,
    },
}
_ASKED: Final = ("fmp", "yahoo")
"""Who is asked about all of them."""
_NAMES: Final = {"AAPL": "Apple", "MSFT": "Microsoft", "IBM": "IBM"}


def venue() -> dict[str, Any]:
    """Return the venue's markets and companies."""
    listed = {"listed_at": datetime(2020, 1, 2, 9, tzinfo=UTC)}
    found: dict[str, Any] = {
        name: {"markets": {symbol: listed | market for symbol, market in markets.items()}}
        for name, markets in _MARKETS.items()
    }
    for name in _ASKED:
        found.setdefault(name, {})["companies"] = _COMPANIES
    return found


def providers(url: str) -> dict[str, dict[str, Any]]:
    """Return the providers of the universe."""
    return {name: {"base_url": f"{url}/{name}"} for name in sorted({*_MARKETS, *_ASKED})}


def instruments(created: datetime) -> dict[str, Any]:
    """Return the instruments of the universe.

    Args:
        created: The minute that the demo was made; UTC.
    """
    # What is served some minutes late is not waited for.
    now = created - _HOUR
    days = list(_trading_days(now))
    half_day = max(day.start for day in days if day.minutes < _WHOLE_DAY)
    changed = max(
        later.start
        for earlier, later in pairwise(days)
        if _offset(earlier.start) != _offset(later.start)
    )
    spans = {
        "AAPL": ("alpaca", half_day - 2 * _DAY, half_day + 4 * _DAY),
        "MSFT": ("alpaca", changed - 4 * _DAY, changed + 3 * _DAY),
        "IBM": ("yahoo", now - 6 * _DAY, now),
    }
    return {
        symbol: {
            "class": "equity",
            "name": _NAMES[symbol],
            "listings": {
                provider: {
                    "symbol": symbol,
                    "start": f"{start:%Y-%m-%d}",
                    "end": f"{min(end, now):%Y-%m-%dT%H:%MZ}",
                }
            },
            "fundamentals": dict.fromkeys(_ASKED, symbol),
        }
        for symbol, (provider, start, end) in spans.items()
    }


def _trading_days(now: datetime) -> Iterator[Interval]:
    """Yield the regular sessions of the last year that are over, in order of time."""
    for month in open_months(session_named("XNYS"), (now - _YEAR).date(), now.date()):
        yield from (day for day in month.open if day.end < now)


def _offset(moment: datetime) -> timedelta | None:
    return moment.astimezone(_NEW_YORK).utcoffset()
