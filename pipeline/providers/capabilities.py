"""What there is to know of a provider: what it can serve, and how it behaves.

What belongs here: the words. The facts themselves are in `table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from pipeline.intervals import MINUTE, Interval, floor_minute
from pipeline.settling import DEFAULT as DEFAULT_SETTLING
from pipeline.settling import Settling

REACH_MARGIN = timedelta(minutes=2)
"""How far we stay from the edge of a provider's moving history, for the time that an answer
takes."""

LOSS_WARNING = timedelta(days=5)
"""How long before a minute leaves a provider's moving history it counts as endangered."""
_ENDANGERED_SHARE = 5
"""At most this part of a history is endangered, or one of some hours would always be."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` (weighted) in any window of `seconds`."""

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Sharing:
    """One request may ask for up to `listings` listings, for `minutes` minutes of all together."""

    listings: int
    minutes: int


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can serve and how it behaves.

    Attributes:
        limit: The provider's published rate limit.
        budget: A second limit, for a longer time such as a day; None where there is none.
        request_weight: What one request for bars costs against the limit.
        list_weight: What one request for the market list costs against the limit.
        list_requests: How many requests a run takes before its first bars: the list of spot
            markets, or cookies; 0 where bars need nothing of the kind.
        bars_per_request: Longest window of one request, in minutes; 0 if it serves no bars.
        documents: What it can be asked for about a company or a coin, by its own names; empty if it
            serves no fundamentals.
        sharing: How several listings share a request; None if each needs its own.
        history_minutes: Only this many newest minutes can be asked for; None for the whole history.
        history_since: No earlier minute can be asked for, UTC; None for the whole history.
        quiet_minutes: What a minute without a trade looks like: left out, or a flat bar of volume
            0.
        ends_window: Whether the API honours the end of the asked window; if not, the client cuts
            later rows off.
        first_trade: How the first minute is found: the API answers "from the beginning" with its
            first bar, or daily bars are searched, or it cannot be found.
        lag: How long after its end a minute may still be missing at the provider.
        refresh: How long a minute that can be had may wait to be asked for.
        settling: When answered minutes are asked again, until they are final.
        concurrency: How many requests are worth having under way at once.
        refusal_pause: How long everybody waits after a refusal (429) that does not say how long.
        client: The kind of client that talks to it.
        tcp: Whether it is reached over TCP without HTTP: its address is `tcp://host:port`.
        asset_classes: What it serves; empty for whatever its own market list says.
        keys: The environment variables that hold its keys; all of them are needed.
        optional_keys: Those of keys that it answers without, but less willingly.
        feeds: The feeds that it has, the default first; empty where there is but one.
        feed_lags: The lag of a feed, where it is another.
        says_when_cut: Whether an answer that does not hold all of its window says so. If not, a
            silence at its edge is asked again by itself.
        has_list: Whether it tells all that it has; if not, symbols are looked up one by one.
        archive: Whether it is what it holds, and somebody adds to it: its client is an
            `ArchiveProvider`.
        native: Whether it makes longer bars itself: its client is a `NativeProvider`.
        documentation: Where it describes its API itself; empty where nobody looked.
    """

    limit: RateLimit
    bars_per_request: int = 0
    documents: tuple[str, ...] = ()
    budget: RateLimit | None = None
    request_weight: int = 1
    list_weight: int = 1
    list_requests: int = 1
    sharing: Sharing | None = None
    history_minutes: int | None = None
    history_since: datetime | None = None
    quiet_minutes: Literal["omitted", "flat"] = "omitted"
    ends_window: bool = True
    first_trade: Literal["earliest", "search", "unknown"] = "earliest"
    lag: timedelta = timedelta(seconds=10)
    refresh: timedelta = timedelta(minutes=15)
    settling: Settling = DEFAULT_SETTLING
    concurrency: int = 4
    refusal_pause: timedelta = timedelta(seconds=60)
    client: str = "ccxt"
    tcp: bool = False
    asset_classes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    optional_keys: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()
    feed_lags: Mapping[str, timedelta] = field(default_factory=dict)
    says_when_cut: bool = False
    has_list: bool = True
    archive: bool = False
    native: bool = True
    documentation: str = ""

    @property
    def bars(self) -> bool:
        """Whether it serves bars."""
        return self.bars_per_request > 0

    def edge_of_history(self, now: datetime) -> datetime | None:
        """Return the first minute that can still be asked for, UTC; None when all of them can."""
        if self.history_minutes is None:
            return self.history_since
        moving = floor_minute(now) - self.history_minutes * MINUTE + REACH_MARGIN
        return max(moving, self.history_since or moving)

    def endangered(self, now: datetime, within: timedelta = LOSS_WARNING) -> Interval | None:
        """Return the minutes that can still be asked for, but soon no more; None if all stay.

        Args:
            now: The present, UTC.
            within: How soon; of a short history at most a fifth.
        """
        edge = self.edge_of_history(now)
        if edge is None or self.history_minutes is None:
            return None
        minutes = min(within // MINUTE, self.history_minutes // _ENDANGERED_SHARE)
        return Interval(edge, edge + minutes * MINUTE)

    def lost_at(self, minute: datetime, now: datetime) -> datetime:
        """Return when a minute that is endangered can no longer be asked for, UTC."""
        return floor_minute(now) + (minute - (self.edge_of_history(now) or minute))
