"""The capability table: what each provider can serve, and how it behaves.

What belongs here: facts about providers, as data. A client asks this table instead of branching on
names. The universe may override limits and page sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from pipeline.intervals import MINUTE, floor_minute
from pipeline.settling import DEFAULT as DEFAULT_SETTLING
from pipeline.settling import Settling

REACH_MARGIN = timedelta(minutes=2)
"""How far we stay from the edge of a provider's moving history, for the time that an answer
takes."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` (weighted) in any window of `seconds`."""

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can serve and how it behaves.

    Attributes:
        limit: The provider's published rate limit for bars.
        request_weight: What one request for bars costs against the limit.
        list_weight: What one request for the market list costs against the limit.
        list_requests: How many requests the list of spot markets takes.
        bars_per_request: Longest window of one request, in minutes.
        history_minutes: Only this many newest minutes can be asked for; None for the whole history.
        quiet_minutes: What a minute without a trade looks like: left out, or a flat bar of volume
            0.
        ends_window: Whether the API honours the end of the asked window; if not, the client cuts
            later rows off.
        first_trade: How the first minute is found: the API answers "from the beginning" with its
            first bar, or daily bars are searched, or it cannot be found.
        lag: How long after its end a minute may still be missing at the provider.
        settling: When answered minutes are asked again, until they are final.
        concurrency: How many requests are worth having under way at once.
        refusal_pause: How long everybody waits after a refusal (429) that does not say how long.
    """

    limit: RateLimit
    bars_per_request: int
    request_weight: int = 1
    list_weight: int = 1
    list_requests: int = 1
    history_minutes: int | None = None
    quiet_minutes: Literal["omitted", "flat"] = "omitted"
    ends_window: bool = True
    first_trade: Literal["earliest", "search", "unknown"] = "earliest"
    lag: timedelta = timedelta(seconds=10)
    settling: Settling = DEFAULT_SETTLING
    concurrency: int = 4
    refusal_pause: timedelta = timedelta(seconds=60)

    def edge_of_history(self, now: datetime) -> datetime | None:
        """Return the first minute that can still be asked for, UTC; None when all of them can."""
        if self.history_minutes is None:
            return None
        return floor_minute(now) - self.history_minutes * MINUTE + REACH_MARGIN


CCXT_CAPABILITIES: Final[Mapping[str, Capabilities]] = {
    "bitfinex": Capabilities(limit=RateLimit(30, 60.0), bars_per_request=10_000, concurrency=2),
    "binance": Capabilities(
        limit=RateLimit(6000, 60.0),
        bars_per_request=1000,
        request_weight=2,
        list_weight=20,
        quiet_minutes="flat",
        concurrency=8,
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
    ),
    "coinbase": Capabilities(
        limit=RateLimit(10, 1.0),
        bars_per_request=300,
        list_requests=2,
        first_trade="search",
        concurrency=8,
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
}
"""What is known of exchanges served through ccxt, by ccxt's id. The limits are for keyless use."""

_CAREFUL_SECONDS: Final = 0.1
_CAREFUL_PAGE: Final = 100
_LONGEST_PAGE: Final = 10_000


def capabilities_for(
    exchange: str,
    limit: RateLimit | None = None,
    bars_per_request: int | None = None,
    settling: Settling | None = None,
) -> Capabilities:
    """Return the table's row of a ccxt exchange, or a careful default made of ccxt's own table.

    Args:
        exchange: ccxt's id of the exchange.
        limit: Replaces the row's limit.
        bars_per_request: Replaces the row's page size, in minutes.
        settling: Replaces the row's settling delays.

    Raises:
        ValueError: ccxt has no such exchange, or an override is not positive.
    """
    row = CCXT_CAPABILITIES.get(exchange) or _derived(exchange)
    if bars_per_request is not None:
        if bars_per_request < 1:
            raise ValueError(f"bars_per_request {bars_per_request} must be at least 1")
        row = replace(row, bars_per_request=bars_per_request)
    if settling is not None:
        row = replace(row, settling=settling)
    if limit is not None:
        if limit.requests < 1 or limit.seconds <= 0:
            raise ValueError(f"{limit} allows nothing; give at least 1 request in more than 0 s")
        # A limit that the universe counts in requests must admit the heaviest single one.
        row = replace(
            row,
            limit=limit,
            request_weight=min(row.request_weight, limit.requests),
            list_weight=min(row.list_weight, limit.requests),
        )
    return row


def _derived(exchange: str) -> Capabilities:
    """Return the default for an exchange without a row: ccxt's pace, at most 10 a second."""
    import ccxt

    if exchange not in ccxt.exchanges:
        raise ValueError(f"ccxt has no exchange {exchange!r}; `ccxt.exchanges` lists what it has")
    client: Any = getattr(ccxt, exchange)()
    seconds = max(float(client.rateLimit) / 1000, _CAREFUL_SECONDS)
    return Capabilities(
        limit=RateLimit(1, seconds),
        bars_per_request=min(_page_size(client.features or {}), _LONGEST_PAGE),
        ends_window=False,
        first_trade="search",
        concurrency=2,
    )


def _page_size(features: Mapping[str, Any]) -> int:
    """Return how many bars a request may ask for, by ccxt's feature table."""
    spot = features.get("spot") or {}
    swap = (features.get("swap") or {}).get("linear") or {}
    for section in (spot, swap):
        if size := (section.get("fetchOHLCV") or {}).get("limit"):
            return int(size)
    return _CAREFUL_PAGE
