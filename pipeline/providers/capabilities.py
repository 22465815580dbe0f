"""The capability table: what each provider can serve, and how it behaves.

What belongs here: facts about providers, as data. A client asks this table instead of branching on names. The
universe may override limits and page sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


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
        bars_per_request: Longest window of one request, in minutes.
        history_minutes: Only this many newest minutes can be asked for; None for the whole history.
        quiet_minutes: What a minute without a trade looks like: left out, or a flat bar of volume 0.
        ends_window: Whether the API honours the end of the asked window; if not, the client cuts later rows off.
        first_trade: How the first minute is found: the API answers "from the beginning" with its first bar,
            or daily bars are searched, or it cannot be found.
        lag: How long after its end a minute may still be missing at the provider.
        settle_after: How long after its end a minute may still change at the provider.
        concurrency: How many requests are worth having under way at once.
    """

    limit: RateLimit
    bars_per_request: int
    request_weight: int = 1
    history_minutes: int | None = None
    quiet_minutes: Literal["omitted", "flat"] = "omitted"
    ends_window: bool = True
    first_trade: Literal["earliest", "search", "unknown"] = "earliest"
    lag: timedelta = timedelta(seconds=10)
    settle_after: timedelta = timedelta(days=1)
    concurrency: int = 4
