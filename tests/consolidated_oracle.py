"""Who serves which minute of an instrument, as anybody would tell by hand: minute by minute.

Written apart from the code under test, shares nothing with it, and is as slow as it looks.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests import oracle
from tests.oracle import Bar, Day, Minute

_MINUTE = timedelta(minutes=1)


@dataclass
class Feed:
    """What a listing has answered, what of that was an outage, and its bars."""

    provider: str
    answered: set[datetime] = field(default_factory=set)
    outage: set[datetime] = field(default_factory=set)
    minutes: dict[datetime, Minute] = field(default_factory=dict)
    first_trade: datetime | None = None
    builds: bool = True
    """Whether it has the session of the first listing."""
    removed: bool = False
    """Whether the universe has it no more."""

    @property
    def delivered(self) -> set[datetime]:
        return self.answered - self.outage


def served(method: str, feeds: Sequence[Feed]) -> dict[datetime, str]:
    """Return who serves each minute that anybody delivered; `median` where several are combined.

    Args:
        method: primary, best_quality or median.
        feeds: The listings, the first in order first.
    """
    found: dict[datetime, str] = {}
    removed = {feed.provider for feed in feeds if feed.removed}
    months = {(ts.year, ts.month) for feed in feeds for ts in feed.delivered}
    for month in months:
        mine = {
            feed.provider: {ts for ts in feed.delivered if (ts.year, ts.month) == month}
            for feed in feeds
        }
        order = [feed.provider for feed in feeds]
        if method == "best_quality":
            bars = {
                feed.provider: sum((ts.year, ts.month) == month for ts in feed.minutes)
                for feed in feeds
            }
            order.sort(key=lambda name: (len(mine[name]), bars[name]), reverse=True)
        for ts in set().union(*mine.values()):
            having = [name for name in order if ts in mine[name]]
            current = [name for name in having if name not in removed]
            several = method == "median" and len(current) > 1
            found[ts] = "median" if several else having[0]
    return found


def minutes(
    feeds: Sequence[Feed], who: Mapping[datetime, str]
) -> dict[datetime, tuple[str, Minute]]:
    """Return whose bar each minute has, and the bar."""
    by_name = {feed.provider: feed for feed in feeds}
    found = {}
    for ts, name in who.items():
        if name != "median":
            if ts in by_name[name].minutes:
                found[ts] = name, by_name[name].minutes[ts]
            continue
        having = [feed for feed in feeds if ts in feed.minutes and not feed.removed]
        if having:
            rows = [feed.minutes[ts] for feed in having]
            volumes = [row.volume for row in rows if row.volume is not None]
            bar = Minute(
                open=statistics.median(row.open for row in rows),
                high=statistics.median(row.high for row in rows),
                low=statistics.median(row.low for row in rows),
                close=statistics.median(row.close for row in rows),
                volume=statistics.median(volumes) if volumes else None,
            )
            found[ts] = "+".join(sorted(feed.provider for feed in having)), bar
    return found


def bars(
    timeframe: str, days: Sequence[Day], feeds: Sequence[Feed], who: Mapping[datetime, str]
) -> list[tuple[Bar, str]]:
    """Return the bars of a timeframe, and whose minutes each is made of.

    Where one listing alone serves the minutes in which the market is open, and traded as early as
    any, the bar is that listing's own.
    """
    known = minutes(feeds, who)
    firsts = [feed.first_trade for feed in feeds if feed.first_trade is not None]
    first = min(firsts) if len(firsts) == len(feeds) else None
    answered = set().union(*(feed.answered for feed in feeds))
    built = oracle.bars(
        timeframe, days, {ts: bar for ts, (_, bar) in known.items()}, answered, first
    )
    own = {
        feed.provider: {
            bar.ts: bar
            for bar in oracle.bars(timeframe, days, feed.minutes, feed.answered, feed.first_trade)
        }
        for feed in feeds
        if feed.builds
    }
    is_open = {ts for day in days for ts in day.minutes}
    by_name = {feed.provider: feed for feed in feeds}
    found = []
    for bar in built:
        inside = _minutes(bar.ts, bar.before)
        serving = {who[ts] for ts in inside if ts in who and ts in is_open}
        present = [ts for ts in inside if ts in known and ts in is_open]
        names = {name for ts in present for name in known[ts][0].split("+")}
        name = next(iter(serving))
        if len(serving) == 1 and name in own and _speaks(by_name[name], first, inside, is_open):
            found.append((own[name][bar.ts], name))
        else:
            found.append((bar, "+".join(sorted(names))))
    return found


def _speaks(
    feed: Feed, first: datetime | None, inside: Sequence[datetime], is_open: set[datetime]
) -> bool:
    """Whether no minute of a bar is expected of the instrument before the listing's first trade."""
    if feed.first_trade is None:
        return True
    return not any(
        ts in is_open and (first is None or ts >= first) for ts in inside if ts < feed.first_trade
    )


def _minutes(since: datetime, before: datetime) -> list[datetime]:
    number = (before - since) // _MINUTE
    return [since + n * _MINUTE for n in range(number)]
