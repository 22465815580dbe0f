"""What a backfill will cost a provider, before it begins.

What belongs here: counting what a `Downloader` would do, without asking anybody anything. Not here:
which cells are to be downloaded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from math import ceil

import psycopg

from pipeline.intervals import Interval, floor_minute
from pipeline.listing import Listing
from pipeline.pages import pages
from pipeline.providers.capabilities import Capabilities
from pipeline.providers.first_trade import REQUESTS_FROM_THE_BEGINNING, requests_by_daily_bars
from pipeline.store.cells import Cell, known_listings
from pipeline.store.limits import budget_left
from pipeline.store.sizes import bytes_per_bar
from pipeline.store.work import AlikeWork, Rules, alike_work

CELLS_PER_RUN = 60
"""Enough that a run lasts for minutes, for each costs two CPU seconds before it does anything, and
a market list."""
TRADED = {"flat": 1.0, "omitted": 0.5}
"""The share of minutes with a bar where nothing is known yet, by what quiet minutes look like. The
half is a guess: of liquid markets nearly all minutes have one, of others few."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What it will take to download some cells of one provider.

    Attributes:
        provider: The provider.
        cells: Number of listing-months.
        minutes: Minutes to ask for.
        requests: Requests if none fails: for bars as many as the minutes take, for market lists
            one list a run, for first trades at most what it takes where they lie before the start.
        bars: Bars to expect, by the listing's or provider's habit so far, else by `TRADED`.
        seconds: How long the requests take at the provider's limits.
        disk_bytes: What the bars take on disk, with their index.
        unknown: Listings whose first trade has to be asked for; before it there is nothing to ask.
    """

    provider: str
    cells: int
    minutes: int
    requests: int
    bars: int
    seconds: float
    disk_bytes: int
    unknown: int


def plan(
    connection: psycopg.Connection,
    provider: str,
    capabilities: Capabilities,
    cells: Collection[Cell],
    now: datetime,
) -> Plan:
    """Count what it will take to download some cells.

    Args:
        connection: An open connection; its session is in UTC.
        provider: The provider's name in the universe.
        capabilities: What it can serve, and its limit.
        cells: The cells, each once.
        now: The present, UTC.
    """
    work = alike_work(
        connection,
        provider,
        cells,
        Rules(now, capabilities.settling),
        final=floor_minute(now - capabilities.lag),
        reach=capabilities.edge_of_history(now),
    )
    known = known_listings(connection, provider, {cell.listing for cell in cells})
    unknown = _without_first_trade(known.values(), cells, capabilities, now)
    lookups = [_lookup_requests(listing, capabilities) for listing in unknown]
    for_bars = sum(lookups) + sum(_requests(alike, capabilities) for alike in work)
    # A run that asks nothing needs no market list.
    asking = sum(alike.cells for alike in work) + sum(map(bool, lookups))
    lists = min(_runs(cells), asking) * capabilities.list_requests
    weight = for_bars * capabilities.request_weight + lists * capabilities.list_weight
    bars = round(sum(_bars(alike, capabilities) for alike in work))
    return Plan(
        provider=provider,
        cells=len(cells),
        minutes=sum(_minutes(alike.needed) * alike.cells for alike in work),
        requests=for_bars + lists,
        bars=bars,
        seconds=_seconds(
            weight, capabilities, budget_left(connection, provider, capabilities.budget)
        ),
        disk_bytes=round(bars * bytes_per_bar(connection)),
        unknown=len(unknown),
    )


def _seconds(weight: int, capabilities: Capabilities, left: int | None) -> float:
    """Return how long a weight takes at the limits; `left` of the longer one can go at once."""
    limit, budget = capabilities.limit, capabilities.budget
    seconds = weight * limit.seconds / limit.requests
    if budget is None or left is None:
        return seconds
    return max(seconds, max(0, weight - left) * budget.seconds / budget.requests)


def _requests(alike: AlikeWork, capabilities: Capabilities) -> int:
    sharing = capabilities.sharing
    windows = pages(alike.needed, alike.askable, capabilities.bars_per_request)
    if sharing is None:
        return alike.cells * len(windows)
    together = (min(sharing.listings, sharing.minutes // window.minutes) for window in windows)
    return sum(ceil(alike.cells / max(1, listings)) for listings in together)


def _bars(alike: AlikeWork, capabilities: Capabilities) -> float:
    share = alike.habit
    if share is None:
        share = alike.cells * TRADED[capabilities.quiet_minutes]
    return share * _minutes(alike.new)


def _minutes(intervals: Iterable[Interval]) -> int:
    return sum(interval.minutes for interval in intervals)


def _without_first_trade(
    listings: Iterable[Listing],
    cells: Iterable[Cell],
    capabilities: Capabilities,
    now: datetime,
) -> list[Listing]:
    """Return the listings whose first trade is looked up along with the cells."""
    months: dict[str, list[date]] = {}
    for cell in cells:
        months.setdefault(cell.listing, []).append(cell.month)
    return [
        listing
        for listing in listings
        if listing.in_universe
        and listing.first_trade_due(now)
        and any(
            listing.wanted(Interval.month(month), now, capabilities.lag)
            for month in months[listing.key]
        )
    ]


def _lookup_requests(listing: Listing, capabilities: Capabilities) -> int:
    if capabilities.first_trade == "unknown":
        return 0
    if capabilities.first_trade == "earliest":
        return REQUESTS_FROM_THE_BEGINNING
    return requests_by_daily_bars(listing.starts_at, capabilities.bars_per_request)


def _runs(cells: Collection[Cell]) -> int:
    """Return how many runs Dagster makes of the cells.

    A run takes neighbours in one dimension; the other, of which fewer are selected, stays the same.
    """
    months = {cell.month: cell.month.year * 12 + cell.month.month for cell in cells}
    names = {name: place for place, name in enumerate(sorted({cell.listing for cell in cells}))}
    places = [(months[cell.month], names[cell.listing]) for cell in cells]
    if len(months) > len(names):
        places = [(listing, month) for month, listing in places]
    rows = groupby(enumerate(sorted(places)), key=lambda at: (at[1][0], at[1][1] - at[0]))
    return sum(ceil(len(list(row)) / CELLS_PER_RUN) for _, row in rows)
