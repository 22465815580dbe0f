"""A provider's own longer bars beside ours of the same listing: which agree, and which do not.

What belongs here: which bars can be compared at all, and what is equal. Not here: who is asked
(`commands.crosscheck`). Nothing of it is ever stored: bars of ours come from minutes alone.

A bar of theirs is about the same as one of ours if the same minutes of trading lie in both: on a
market that never closes they begin and end together; a stock's day is one whether it is counted
from midnight or from the opening. All others are counted and not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.aggregation import Column, Market, Moments, Spans, bars_around, moments_of
from pipeline.intervals import Interval, merged
from pipeline.timeframes import Period, Timeframe

TOLERANCE: Final = 1e-6
"""By which part volumes and numbers of trades may differ. A sum of minutes, each rounded to the
provider's last decimal, is not the rounded sum; a bar that lacks a usual minute is further off."""

_PRICES: Final = ("open", "high", "low", "close")
_SUMS: Final = ("volume", "trades")
_DAY_MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs.

    Attributes:
        ts: Start of our bar, UTC.
        column: Which value.
        ours: Our value.
        theirs: The provider's.
    """

    ts: datetime
    column: str
    ours: float
    theirs: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing our bars of a time with a provider's own.

    Attributes:
        agree: Bars that agree in all values that both have.
        differ: Bars that do not.
        differences: Their values that differ, in order of time.
        only_ours: Starts of our complete bars that they do not have, UTC.
        only_theirs: Starts of what we should have and they do, UTC, as ours would begin.
        incomplete: Our bars, or places for one, that are not complete and so were not compared.
        outside: Bars of theirs in which the market was closed by our session.
        cut_ours: Our complete bars that theirs are not about, because theirs are cut otherwise.
        cut_theirs: Bars of theirs that are about other minutes than any of ours could be.
        example: One of those, from its start to its end.
        comparable: Timeframes whose bars should be about the same minutes, where these are not.
    """

    agree: int
    differ: int
    differences: Sequence[Difference]
    only_ours: Sequence[datetime]
    only_theirs: Sequence[datetime]
    incomplete: int
    outside: int
    cut_ours: int
    cut_theirs: int
    example: Interval | None
    comparable: Sequence[str]

    @property
    def compared(self) -> int:
        """How many bars were compared."""
        return self.agree + self.differ

    @property
    def sound(self) -> bool:
        """Whether something was compared, and nothing differs or is missing on either side."""
        return bool(self.agree) and not (self.differ or self.only_ours or self.only_theirs)


def compare(
    ours: pa.Table,
    theirs: pa.Table,
    timeframe: Timeframe,
    market: Market,
    *,
    during: Interval,
    others: Iterable[Timeframe] = (),
) -> Comparison:
    """Compare our bars of a time with a provider's own.

    Args:
        ours: Our bars that begin in `during`, with `TIMEFRAME_SCHEMA`, in order of time.
        theirs: Theirs, with `BAR_SCHEMA`, in any order, each once.
        timeframe: How long they are.
        market: When the listing should have bars; all days of the bars, and one day more before.
        during: Where our bars begin.
        others: Timeframes that both have, to name what can be compared if this cannot.
    """
    placed = _place(theirs, timeframe, market, during)
    complete = ours["complete"].to_numpy()
    mine, their = moments_of(ours), placed.ts
    known = np.isin(their, mine[complete])
    # What is not complete is still to come, whether a part of it is there already or nothing.
    pending = ~known & (np.isin(their, mine[~complete]) | ~placed.answered)
    alone = complete & ~np.isin(mine, their)
    cut = alone & _overlap(mine, moments_of(ours, "before"), placed.cut)
    rows = np.searchsorted(mine, their[known])
    compared = theirs.take(pa.array(placed.rows[known]))
    differences = sorted(
        _differences(ours.take(pa.array(rows)), compared), key=lambda one: (one.ts, _place_of(one))
    )
    differ = len({one.ts for one in differences})
    places = np.union1d(mine[~complete], their[pending])
    return Comparison(
        agree=len(rows) - differ,
        differ=differ,
        differences=differences,
        only_ours=_moments(mine[alone & ~cut]),
        only_theirs=_moments(their[~known & ~pending]),
        incomplete=len(places),
        outside=placed.outside,
        cut_ours=int(cut.sum()),
        cut_theirs=len(placed.cut),
        example=placed.cut[0] if placed.cut else None,
        comparable=_comparable(placed, timeframe, market, others),
    )


@dataclass(frozen=True, slots=True)
class _Placed:
    """Bars of theirs, and where they belong among ours.

    Attributes:
        rows: Those that are about the same minutes as a bar of ours would be.
        ts: When that would begin.
        answered: Whether the provider has answered for all of its minutes.
        cut: What the others are about that begin in a bar of ours.
        offsets: How many minutes they begin after that one does.
        outside: How many hold no minute of trading.
    """

    rows: NDArray[np.intp]
    ts: Moments
    answered: NDArray[np.bool_]
    cut: Sequence[Interval]
    offsets: Moments
    outside: int


def _place(theirs: pa.Table, timeframe: Timeframe, market: Market, during: Interval) -> _Placed:
    starts = moments_of(theirs)
    ends = _ends(starts, timeframe)
    first = market.open.next(starts)
    trading = market.open.passed(ends) > market.open.passed(starts)
    bounds = market.days[0].start, market.days[-1].end
    inside = trading & _within(first, Interval(*bounds))
    rows = np.flatnonzero(inside)
    lower, upper, _ = bars_around(first[rows], market.days, timeframe)
    asked = _within(lower, during)
    rows, lower, upper = rows[asked], lower[asked], upper[asked]
    same = _open_between(market, starts[rows], ends[rows]) == _open_between(market, lower, upper)
    # Only one of theirs is the same as one of ours; a second one is the price of the moment.
    once = np.zeros_like(same)
    once[np.flatnonzero(same)[np.unique(lower[same], return_index=True)[1]]] = True
    answered = market.answered.passed(upper) - market.answered.passed(lower)
    expected = market.expected.passed(upper) - market.expected.passed(lower)
    cut = [Interval(*_moments(pair)) for pair in zip(starts[rows], ends[rows], strict=True)]
    return _Placed(
        rows=rows[once],
        ts=lower[once],
        answered=(answered == expected)[once],
        cut=[one for one, kept in zip(cut, once, strict=True) if not kept],
        offsets=(starts[rows] - lower)[~once],
        outside=int((~trading & _within(starts, during)).sum()),
    )


def _open_between(market: Market, starts: Moments, ends: Moments) -> NDArray[np.complex128]:
    """Return what tells apart which minutes of trading lie between some moments."""
    return market.open.passed(starts) + 1j * market.open.passed(ends)


def _ends(starts: Moments, timeframe: Timeframe) -> Moments:
    """Return when bars of theirs end: whole lengths, and months as long as they are."""
    if timeframe.length not in {Period.MONTH, Period.YEAR}:
        return starts + timeframe.shortest
    # A month begins at midnight somewhere: half a day later it is the first day everywhere.
    period = Period(timeframe.name)
    days = [(one + timedelta(hours=12)).date() for one in _moments(starts)]
    lengths = [(period.next_first_day(day) - period.first_day(day)).days for day in days]
    return starts + np.array(lengths, dtype=np.int64) * _DAY_MINUTES


def _differences(ours: pa.Table, theirs: pa.Table) -> Iterator[Difference]:
    """Yield the values that differ, of bars side by side."""
    stamps = ours["ts"].to_pylist()
    for name in (*_PRICES, *_SUMS):
        mine, their = (_numbers(bars, name) for bars in (ours, theirs))
        known = np.isfinite(mine) & np.isfinite(their)
        apart = np.abs(mine - their)
        allowed = TOLERANCE * np.maximum(np.abs(mine), np.abs(their)) if name in _SUMS else 0.0
        for at in np.flatnonzero(known & (apart > allowed)):
            yield Difference(stamps[at], name, float(mine[at]), float(their[at]))


def _numbers(bars: pa.Table, name: str) -> Column:
    """Return a column; what is missing is NaN."""
    column: Column = bars[name].to_numpy().astype(np.float64)
    return column


def _place_of(difference: Difference) -> int:
    return (*_PRICES, *_SUMS).index(difference.column)


def _overlap(starts: Moments, ends: Moments, pieces: Sequence[Interval]) -> NDArray[np.bool_]:
    """Return which of some bars share a minute with any of some pieces."""
    taken = Spans(merged(sorted(pieces)))
    return taken.passed(ends) > taken.passed(starts)


def _comparable(
    placed: _Placed, timeframe: Timeframe, market: Market, others: Iterable[Timeframe]
) -> Sequence[str]:
    """Return the timeframes in whole steps of which theirs begin before or after ours."""
    if not len(placed.offsets):
        return ()
    by_date, below_a_day = _closes(market), isinstance(timeframe.length, int)
    return [
        one.name
        for one in others
        if one != timeframe
        and (
            below_a_day
            if by_date and not isinstance(one.length, int)
            else one.period is None and not np.any(placed.offsets % one.shortest)
        )
    ]


def _closes(market: Market) -> bool:
    """Return whether there is a time in which the market is closed: then days have dates."""
    return any(one.end < other.start for one, other in pairwise(market.days))


def _within(moments: Moments, during: Interval) -> NDArray[np.bool_]:
    start, end = (int(bound.timestamp()) // 60 for bound in (during.start, during.end))
    return (moments >= start) & (moments < end)


def _moments(minutes: Iterable[int]) -> list[datetime]:
    return [datetime.fromtimestamp(int(minute) * 60, UTC) for minute in minutes]
