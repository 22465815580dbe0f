"""Whether an answer fits the question that was asked.

What belongs here: judging one answer as a whole. Not here: the single bar (`quality`), and what is
already stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.intervals import MINUTE, Interval
from pipeline.providers.errors import MalformedAnswer

_US_PER_MINUTE = 60_000_000


class OutsideWindow(MalformedAnswer):
    """An answer holds bars of minutes that were not asked for, so none of its bars can be trusted.

    Args:
        rows: The bars outside the asked window, with `BAR_SCHEMA`.
    """

    def __init__(self, provider: str, window: Interval, rows: pa.Table) -> None:
        stamps = pc.min_max(rows["ts"]).as_py()
        super().__init__(
            provider,
            f"asked for {window}, {rows.num_rows} bars came from {stamps['min']} to "
            f"{stamps['max']}",
            "nothing of this answer was stored; a shifted clock or garbage before the listing "
            "looks like this",
        )
        self.rows = rows


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that fits its question.

    Attributes:
        bars: The bars, with `BAR_SCHEMA`, all inside `answered`.
        answered: What part of the asked window this answer settles.
        unsure: Silent edges of the window that have to be asked again by themselves.
    """

    bars: pa.Table
    answered: Interval
    unsure: tuple[Interval, ...]


def judge(
    provider: str, window: Interval, bars: pa.Table, *, says_when_cut: bool = False
) -> Answer:
    """Judge the answer to one question.

    A silence at an edge of the answer that is longer than every silence inside it may be a cut-off
    page (a page size smaller than we believe, a tail that was dropped) as well as a quiet market.
    It is asked again by itself; when that answer is empty, the silence is real. An answer without
    any bar is taken as it is.

    Args:
        provider: The provider's name, for errors.
        window: What was asked.
        bars: What came, with `BAR_SCHEMA`, in any order.
        says_when_cut: The provider says so itself when an answer is not whole.

    Raises:
        OutsideWindow: A bar lies outside the window.
        MalformedAnswer: A bar has no readable time.
    """
    if bars.num_rows == 0:
        return Answer(bars, window, ())
    if bars["ts"].null_count:
        raise MalformedAnswer(provider, f"asked for {window}, bars without a readable time came")
    stamps = bars["ts"].cast(pa.int64()).to_numpy()
    start, end = _us(window.start), _us(window.end)
    outside = (stamps < start) | (stamps >= end)
    if outside.any():
        raise OutsideWindow(provider, window, bars.filter(pa.array(outside)))
    if says_when_cut:
        return Answer(bars, window, ())
    minutes = np.unique(stamps // _US_PER_MINUTE)
    inside = int(np.diff(minutes).max(initial=1)) - 1
    first, last = _minute(int(minutes[0])), _minute(int(minutes[-1])) + MINUTE
    unsure = []
    if (first - window.start) // MINUTE > inside:
        unsure.append(Interval(window.start, first))
    else:
        first = window.start
    if (window.end - last) // MINUTE > inside:
        unsure.append(Interval(last, window.end))
    else:
        last = window.end
    return Answer(bars, Interval(first, last), tuple(unsure))


def _us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def _minute(number: int) -> datetime:
    return datetime.fromtimestamp(number * 60, tz=UTC)
