"""The capability table: one row a provider, and what its row makes of the universe's wishes.

What belongs here: facts about providers, as data. A client asks its row instead of branching on
names. The universe may override limits, page sizes and settling delays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pipeline.fundamentals.documents import DOCUMENTS
from pipeline.providers.capabilities import Capabilities, RateLimit, Sharing
from pipeline.settling import Settling

CAPABILITIES: Final[Mapping[str, Capabilities]] = {
    "bitfinex": Capabilities(
        limit=RateLimit(30, 60.0),
        bars_per_request=10_000,
        concurrency=2,
        documentation="https://docs.bitfinex.com/",
    ),
    "binance": Capabilities(
        limit=RateLimit(6000, 60.0),
        bars_per_request=1000,
        request_weight=2,
        list_weight=20,
        quiet_minutes="flat",
        concurrency=8,
        documentation="https://developers.binance.com/",
    ),
    "kraken": Capabilities(
        limit=RateLimit(1, 1.0),
        bars_per_request=720,
        # OHLC knows the newest 720 minutes, the running one included. Five fewer are asked for,
        # because the reach moves on while a request waits for its turn.
        history_minutes=715,
        quiet_minutes="flat",
        ends_window=False,
        first_trade="unknown",
        concurrency=2,
        documentation="https://docs.kraken.com/api-reference/",
    ),
    "coinbase": Capabilities(
        limit=RateLimit(10, 1.0),
        bars_per_request=300,
        list_requests=2,
        first_trade="search",
        concurrency=8,
        documentation="https://docs.cdp.coinbase.com/",
    ),
    "okx": Capabilities(limit=RateLimit(20, 2.0), bars_per_request=100, quiet_minutes="flat"),
    "bybit": Capabilities(limit=RateLimit(50, 1.0), bars_per_request=1000, quiet_minutes="flat"),
    "kucoin": Capabilities(
        limit=RateLimit(2000, 30.0),
        bars_per_request=1500,
        request_weight=3,
        ends_window=False,
        first_trade="search",
    ),
    "alpaca": Capabilities(
        limit=RateLimit(200, 60.0),
        # A page holds 10,000 bars: in 14 days, 10 of them trading days from 04:00 to 20:00 New
        # York, there are 9,600 at most. Longer answers come in several pages.
        bars_per_request=14 * 24 * 60,
        sharing=Sharing(listings=500, minutes=10_000),
        # What the free plan is served of the feed of all exchanges is a quarter of an hour old.
        lag=timedelta(minutes=16),
        feed_lags={"iex": timedelta(minutes=1)},
        client="alpaca",
        asset_classes=("equity", "etf"),
        keys=("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"),
        feeds=("sip", "iex"),
        documentation="https://docs.alpaca.markets/",
    ),
    "yahoo": Capabilities(
        # Nothing is published. Who asks faster is refused for hours.
        limit=RateLimit(1, 2.0),
        # Seven days, less the hour by which each question begins early.
        bars_per_request=7 * 24 * 60 - 60,
        # Cookies and a crumb.
        list_requests=2,
        # 30 days, less the time that a window may wait for its turn.
        history_minutes=30 * 24 * 60 - 30,
        first_trade="unknown",
        # Some exchanges are shown 15 to 20 minutes late.
        lag=timedelta(minutes=20),
        settling=Settling(tuple(timedelta(days=days) for days in (1, 3, 7))),
        concurrency=1,
        refusal_pause=timedelta(minutes=15),
        client="yahoo",
        native=False,
        has_list=False,
        asset_classes=("equity", "etf", "index", "fx", "crypto_spot"),
        documents=tuple(DOCUMENTS["yahoo"]),
    ),
    "alpha_vantage": Capabilities(
        # What a free key may ask.
        limit=RateLimit(5, 60.0),
        budget=RateLimit(25, 86_400.0),
        # A month in New York.
        bars_per_request=31 * 24 * 60,
        list_requests=0,
        history_since=datetime(2000, 1, 1, 5, tzinfo=UTC),
        first_trade="unknown",
        # A free key sees a day when it is over.
        lag=timedelta(days=1),
        # A request a listing, of 25 a day.
        refresh=timedelta(days=1),
        settling=Settling((timedelta(days=2), timedelta(days=7))),
        concurrency=1,
        client="alpha_vantage",
        native=False,
        asset_classes=("equity", "etf"),
        keys=("ALPHAVANTAGE_API_KEY",),
        says_when_cut=True,
        documents=tuple(DOCUMENTS["alpha_vantage"]),
        documentation="https://www.alphavantage.co/documentation/",
    ),
    "fmp": Capabilities(
        # What the smallest paid plan may ask; a free key has the budget.
        limit=RateLimit(300, 60.0),
        budget=RateLimit(250, 86_400.0),
        list_requests=0,
        concurrency=2,
        # It does not say whether the minute's limit is reached, or the day's.
        refusal_pause=timedelta(minutes=5),
        client="fmp",
        native=False,
        has_list=False,
        asset_classes=("equity", "etf"),
        keys=("FMP_API_KEY",),
        documents=tuple(DOCUMENTS["fmp"]),
        documentation="https://site.financialmodelingprep.com/developer/docs",
    ),
    "coingecko": Capabilities(
        # Without a key; how many there are depends on how busy it is, from 10 a minute on.
        limit=RateLimit(10, 60.0),
        list_requests=0,
        concurrency=1,
        client="coingecko",
        native=False,
        has_list=False,
        asset_classes=("crypto_spot",),
        optional_keys=("COINGECKO_DEMO_API_KEY",),
        documents=tuple(DOCUMENTS["coingecko"]),
        documentation="https://docs.coingecko.com/",
    ),
    "ibkr": Capabilities(
        # Who asks more is left without an answer.
        limit=RateLimit(60, 600.0),
        list_requests=0,
        concurrency=1,
        refusal_pause=timedelta(minutes=10),
        client="ibkr",
        tcp=True,
        native=False,
        has_list=False,
        asset_classes=("equity",),
        documents=tuple(DOCUMENTS["ibkr"]),
        documentation="https://ibkrcampus.com/campus/ibkr-api-page/",
    ),
    # Reading costs no request; a window is what one file answers of a month, and never more.
    "files": Capabilities(
        limit=RateLimit(1000, 1.0),
        bars_per_request=31 * 24 * 60,
        list_requests=0,
        first_trade="unknown",
        lag=timedelta(0),
        refresh=timedelta(hours=1),
        settling=Settling((timedelta(hours=1),)),
        concurrency=2,
        client="files",
        native=False,
        has_list=False,
        says_when_cut=True,
        archive=True,
    ),
}
"""What is known of each provider: exchanges by ccxt's id, with the limits for keyless use, and the
others by the name of their client."""

CLIENTS: Final = ("ccxt", *sorted({row.client for row in CAPABILITIES.values()} - {"ccxt"}))
"""The kinds of clients; the module of each is `pipeline.providers.<kind>_client`."""

KEYS: Final = tuple(
    dict.fromkeys(key for row in CAPABILITIES.values() for key in (*row.keys, *row.optional_keys))
)
"""The environment variables that hold vendors' keys."""

_UNKNOWN: Final = Capabilities(
    limit=RateLimit(1, 1.0), ends_window=False, first_trade="search", concurrency=2
)
"""What is assumed of an exchange without a row, but for its limit and page size."""
_CAREFUL_SECONDS: Final = 0.1
_CAREFUL_PAGE: Final = 100
_LONGEST_PAGE: Final = 10_000


def capabilities_for(
    source: str,
    limit: RateLimit | None = None,
    bars_per_request: int | None = None,
    settling: Settling | None = None,
    *,
    budget: RateLimit | None = None,
    lag: timedelta | None = None,
    refresh: timedelta | None = None,
    feed: str | None = None,
) -> Capabilities:
    """Return a row of the table, or a careful default made of ccxt's own table.

    Args:
        source: ccxt's id of an exchange, or the name of another client.
        limit: Replaces the row's limit.
        bars_per_request: Replaces the row's page size, in minutes.
        settling: Replaces the row's settling delays.
        budget: Replaces the row's budget.
        lag: Replaces the row's lag, whatever the feed.
        refresh: Replaces the row's refresh.
        feed: Which feed is asked; None for the row's first.

    Raises:
        ValueError: There is no such client or exchange, or an override is not positive.
    """
    row = CAPABILITIES.get(source) or _derived(source)
    if bars_per_request is not None:
        if bars_per_request < 1:
            raise ValueError(f"bars_per_request {bars_per_request} must be at least 1")
        row = replace(row, bars_per_request=bars_per_request)
    lag, refresh = pace_for(source, lag=lag, refresh=refresh, feed=feed)
    row = replace(row, lag=lag, refresh=refresh)
    if settling is not None:
        row = replace(row, settling=settling)
    for one in filter(None, (limit, budget)):
        if one.requests < 1 or one.seconds <= 0:
            raise ValueError(f"{one} allows nothing; give at least 1 request in more than 0 s")
    if budget is not None:
        row = replace(row, budget=budget)
    if limit is not None:
        # A limit that the universe counts in requests must admit the heaviest single one.
        row = replace(
            row,
            limit=limit,
            request_weight=min(row.request_weight, limit.requests),
            list_weight=min(row.list_weight, limit.requests),
        )
    return row


def pace_for(
    source: str,
    *,
    lag: timedelta | None = None,
    refresh: timedelta | None = None,
    feed: str | None = None,
) -> tuple[timedelta, timedelta]:
    """Return lag and refresh of a row of the table, or those of an exchange that has none.

    The arguments are those of `capabilities_for`; but no exchange is looked up.
    """
    row = CAPABILITIES.get(source, _UNKNOWN)
    return lag or row.feed_lags.get(feed or "", row.lag), refresh or row.refresh


def _derived(exchange: str) -> Capabilities:
    """Return the default for an exchange without a row: ccxt's pace, at most 10 a second."""
    import ccxt

    if exchange not in ccxt.exchanges:
        raise ValueError(f"ccxt has no exchange {exchange!r}; `ccxt.exchanges` lists what it has")
    client: Any = getattr(ccxt, exchange)()
    seconds = max(float(client.rateLimit) / 1000, _CAREFUL_SECONDS)
    return replace(
        _UNKNOWN,
        limit=RateLimit(1, seconds),
        bars_per_request=min(_page_size(client.features or {}), _LONGEST_PAGE),
    )


def _page_size(features: Mapping[str, Any]) -> int:
    """Return how many bars a request may ask for, by ccxt's feature table."""
    spot = features.get("spot") or {}
    swap = (features.get("swap") or {}).get("linear") or {}
    for section in (spot, swap):
        if size := (section.get("fetchOHLCV") or {}).get("limit"):
            return int(size)
    return _CAREFUL_PAGE
