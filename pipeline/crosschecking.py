"""Asking a provider for its own longer bars, to compare ours with.

What belongs here: the order of the steps. What is compared, and how, is `crosscheck`'s. The ledger
is only read, and nothing that comes is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.aggregation import Market, Spans
from pipeline.answers import judge
from pipeline.bars import empty_bars, inside
from pipeline.crosscheck import Comparison, compare
from pipeline.intervals import MINUTE, Interval, ceil_minute
from pipeline.listing import Listing
from pipeline.providers.capabilities import REACH_MARGIN
from pipeline.providers.errors import MalformedAnswer
from pipeline.providers.protocol import NativeProvider
from pipeline.store import timeframes as store
from pipeline.timeframes import Timeframe

USUAL_LENGTH: Final = timedelta(days=30)
"""How much is compared if nothing is said."""
FEW_REQUESTS: Final = 10
"""How many questions are asked at most for what nobody has said the length of."""
_DAY_MINUTES: Final = 24 * 60


class NothingToCompare(Exception):
    """There are no bars of both sides; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Crosscheck:
    """What is to be compared, before anything is asked.

    Attributes:
        listing: The listing.
        timeframe: How long the bars are.
        during: Where our bars begin, UTC.
        ours: Those bars, with `TIMEFRAME_SCHEMA`.
        market: When the listing should have bars.
        windows: What is asked, in order of time.
        others: The timeframes that both sides have.
        history_since: Where the provider's history of such bars begins, if that is later than what
            was wanted.
    """

    listing: Listing
    timeframe: Timeframe
    during: Interval
    ours: pa.Table
    market: Market
    windows: Sequence[Interval]
    others: Sequence[Timeframe]
    history_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to have compared.

    Attributes:
        listing: The listing.
        timeframe: How long the bars are.
        since: Where bars begin, UTC; None for the usual length.
        before: Where none begins any more; None for the end of the newest complete bar.
    """

    listing: Listing
    timeframe: Timeframe
    since: datetime | None = None
    before: datetime | None = None


def prepare(
    connection: psycopg.Connection, client: NativeProvider, wish: Wish, now: datetime
) -> Crosscheck:
    """Work out what will be asked and compared; nothing is sent.

    Args:
        connection: An open connection; it is only read.
        client: The provider's client.
        wish: What is wanted.
        now: The present, UTC.

    Raises:
        NothingToCompare: The provider has no such bars, or we have no complete ones there.
    """
    listing, timeframe = wish.listing, wish.timeframe
    native = client.native_series()
    others = [one for one in store.timeframes(connection) if one.name in native]
    if timeframe.name not in native:
        names = ", ".join(one.name for one in others) or "none of those that are built"
        raise NothingToCompare(
            f"{listing.provider} has no bars of {timeframe} itself; it has {names}"
        )
    series = native[timeframe.name]
    wanted = _wanted(connection, wish, series.minutes_per_request, now)
    during, edge = wanted, None
    if series.history_minutes is not None:
        edge = ceil_minute(now) - series.history_minutes * MINUTE + REACH_MARGIN
    ours = store.stored_bars(connection, listing.id, timeframe, wanted)
    if edge is not None and wanted.start < edge:
        ours = ours.filter(pc.greater_equal(ours["ts"], pa.scalar(edge, ours["ts"].type)))
        if ours.num_rows:
            during = Interval(ours["ts"][0].as_py(), wanted.end)
    if not pc.any(ours["complete"]).as_py():
        reaches = f"; its own bars of it begin at {edge:%Y-%m-%d %H:%M} now" if edge else ""
        raise NothingToCompare(
            f"{listing.provider} {listing.key}: no complete bar of {timeframe} begins in "
            f"{wanted}{reaches}; choose another time with --since and --before"
        )
    market = _market(connection, listing, timeframe, during)
    windows = questions(during, timeframe, market.open, series.minutes_per_request)
    late = edge if during != wanted else None
    return Crosscheck(listing, timeframe, during, ours, market, windows, others, late)


def carry_out(client: NativeProvider, check: Crosscheck) -> Comparison:
    """Ask the provider for its own bars, and compare them with ours.

    Raises:
        ProviderError: A question had no answer.
    """
    listing, timeframe = check.listing, check.timeframe
    answers = [empty_bars()]
    for window in check.windows:
        found = client.fetch_native(listing.symbol, listing.asset_class, timeframe.name, window)
        answers.append(fitting(client.name, window, timeframe, found))
    theirs = pa.concat_tables(answers)
    return compare(
        check.ours, theirs, timeframe, check.market, during=check.during, others=check.others
    )


def _wanted(
    connection: psycopg.Connection, wish: Wish, minutes_per_request: int, now: datetime
) -> Interval:
    before = min(wish.before or now, now)
    newest = store.newest_complete(connection, wish.listing.id, wish.timeframe, before)
    if newest is None or (wish.since is not None and newest.start < wish.since):
        raise NothingToCompare(
            f"{wish.listing.provider} {wish.listing.key}: no complete bar of {wish.timeframe} "
            "begins there; `minuteledger status` tells what is missing"
        )
    if wish.since is None:
        return usual_range(newest, minutes_per_request)
    end = newest.end if wish.before is None else max(ceil_minute(before), newest.start + MINUTE)
    return Interval(ceil_minute(wish.since), end)


def _market(
    connection: psycopg.Connection, listing: Listing, timeframe: Timeframe, during: Interval
) -> Market:
    around = timeframe.reach + timedelta(days=1)
    whole = Interval(during.start - around, during.end + around)
    days = store.days_during(connection, listing.id, [whole])
    return store.market_of(connection, listing.id, days)


def usual_range(newest: Interval, minutes_per_request: int) -> Interval:
    """Return what is compared if nothing is said.

    Args:
        newest: The newest complete bar of ours.
        minutes_per_request: How much one question may be about.

    Returns:
        The latest `USUAL_LENGTH`, or what `FEW_REQUESTS` hold of it, and the newest bar at least.
    """
    # One question less, because the first may have to begin earlier than our bars.
    most = timedelta(minutes=min(minutes_per_request, _DAY_MINUTES * 366) * (FEW_REQUESTS - 1))
    return Interval(min(newest.start, newest.end - min(USUAL_LENGTH, most)), newest.end)


def questions(
    during: Interval, timeframe: Timeframe, open_: Spans, minutes_per_request: int
) -> Sequence[Interval]:
    """Return the windows to ask for, in order of time.

    Args:
        during: Where our bars begin.
        timeframe: How long they are.
        open_: When the market is open.
        minutes_per_request: How much one question may be about.
    """
    start = during.start
    before = np.array([int((start - MINUTE).timestamp()) // 60], dtype=np.int64)
    if not open_.hold(before)[0]:
        # While the market is closed theirs may have begun already: at midnight, on the hour.
        start -= timedelta(minutes=min(timeframe.shortest, _DAY_MINUTES))
    whole = Interval(start, during.end)
    return list(whole.split(min(minutes_per_request, whole.minutes)))


def fitting(provider: str, window: Interval, timeframe: Timeframe, answer: pa.Table) -> pa.Table:
    """Return the bars of an answer, each once.

    Args:
        provider: The provider's name, for errors.
        window: What was asked.
        timeframe: How long the bars are.
        answer: What came, with `BAR_SCHEMA`. The bar in which the window begins may be there, too.

    Raises:
        MalformedAnswer: There are bars that were not asked for, or two of one time.
    """
    lead = Interval(window.start - timeframe.longest * MINUTE, window.start)
    kept = answer.filter(pc.invert(pc.fill_null(inside(answer, lead), fill_value=False)))
    bars = judge(provider, window, kept, says_when_cut=True).bars
    once = bars.group_by(bars.column_names).aggregate([])
    if once.num_rows > pc.count_distinct(once["ts"]).as_py():
        raise MalformedAnswer(provider, f"asked for {window}, two bars of one time came")
    return once
