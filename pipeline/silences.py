"""When is a listing silent far beyond its habit? A rule, and its statistics.

What belongs here: judging the silences of one listing (runs of answered minutes without a bar) by
its other silences. Not here: where they come from (`store.gaps`), and what other listings of the
provider did meanwhile (`gaps`).

The rule. Quiet markets leave out minutes; how often and for how long differs from listing to
listing and from season to season, and busy and quiet hours come in clusters, so that no single
probability of a quiet minute describes a listing. A silence is therefore compared with the lengths
of the silences near it: those of the 30 days before it, and those of the 30 days after it. Each
side tells how many silences at least as long a month should have; the tail of the lengths beyond
their 99th percentile is taken as exponential, on the scale of the distance from the 90th to the
99th percentile (peaks over threshold; Coles, An Introduction to Statistical Modeling of Extreme
Values, 2001, chapter 4). Quantiles, because other outages are among the lengths and must not hide
this one. A listing that is hardly ever silent has no such tail: there each further quiet minute is
as likely as its few silences say if they all fell into the same hour of the day.

A silence is beyond habit when *both* sides expect fewer than one in a thousand months to have one
like it. `docs/gaps.md` has the error rates measured on recorded markets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

HABIT_DAYS: Final = 30
"""How far to each side of a silence the habit of its listing is looked for."""
EXPECTED: Final = 1e-3
"""A silence is beyond habit when fewer than so many like it are expected in such a month."""

_DAY: Final = 1440
_HOURS: Final = 24
_TAIL: Final = 0.01
_FEWEST_IN_TAIL: Final = 10
_FEW_SILENCES: Final = 20

Minutes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Silences:
    """The silences of one listing, and what was observed of it; times in minutes since 1970, UTC.

    Attributes:
        starts: First silent minute of each, ascending; shape (n,).
        ends: First minute after each; shape (n,).
        observed: Ranges of answered minutes, ascending and disjoint: starts and ends; shape (m, 2).
    """

    starts: Minutes
    ends: Minutes
    observed: Minutes


@dataclass(frozen=True, slots=True)
class Habit:
    """The silences on one side of a silence.

    Attributes:
        observed: Answered minutes on that side; at least a day.
        lengths: Lengths of the silences there, in minutes; shape (n,).
        minutes: Length of the silence in question.
    """

    observed: int
    lengths: Minutes
    minutes: int

    @property
    def expected(self) -> float:
        """How many silences of that length or longer are to be expected in as long a time."""
        return expected_silences(self.lengths, self.observed, self.minutes)

    @property
    def longest_usual(self) -> float:
        """The length that one in a hundred silences reaches, in minutes; 0 when there are none."""
        return float(np.quantile(self.lengths, 1 - _TAIL)) if len(self.lengths) else 0.0


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence, and the habit that it is to be compared with.

    Attributes:
        start: First silent minute, in minutes since 1970, UTC.
        end: First minute after it.
        before: The silences before it; None when less than a day was observed there.
        after: The silences after it; likewise.
    """

    start: int
    end: int
    before: Habit | None
    after: Habit | None

    @property
    def habits(self) -> list[Habit]:
        """The sides that have something to say."""
        return [side for side in (self.before, self.after) if side is not None]

    @property
    def expected(self) -> float:
        """How many such silences a month should have; 0 when there is nothing to compare with."""
        return max((side.expected for side in self.habits), default=0.0)

    @property
    def beyond_habit(self) -> bool:
        """Whether no side expects it; with nothing to compare, whether it lasts for a day."""
        if not self.habits:
            return self.end - self.start >= _DAY
        return all(side.expected < EXPECTED for side in self.habits)

    @property
    def first_of_its_kind(self) -> bool:
        """Whether the listing is hardly ever silent."""
        return all(len(side.lengths) < _FEW_SILENCES for side in self.habits)


def unusual(silences: Silences, *, sends_quiet_minutes: bool = False) -> list[Silence]:
    """Return the silences beyond habit, in order of time.

    Where less than a day was observed on either side, nothing can be compared, and only a silence
    of a whole day is called unusual.

    Args:
        silences: All silences from 30 days before those in question to 30 days after.
        sends_quiet_minutes: The provider sends a bar for a minute without a trade, too. Then no
            silence is usual, unless the listing shows that its provider does not do so for it.
    """
    sides = _Sides(silences)
    found = []
    for i in np.flatnonzero(sides.conceivable()).tolist():
        one = Silence(int(silences.starts[i]), int(silences.ends[i]), *sides.of(i))
        if one.beyond_habit or (sends_quiet_minutes and one.first_of_its_kind):
            found.append(one)
    return found


def expected_silences(lengths: Minutes, observed: int, minutes: int) -> float:
    """Return how many silences of at least `minutes` a listing should have had.

    Args:
        lengths: Lengths of the silences that it had, in minutes, in any order.
        observed: Answered minutes in which it had them; positive.
        minutes: The length in question.
    """
    count = len(lengths)
    quiet = min(0.5, _HOURS * (count + 1) / observed)
    # The chance that a silence goes on for another minute: a Beta prior with the mean `quiet`.
    goes_on = (np.count_nonzero(lengths > 1) + 1) / (count + 1 / quiet)
    scale = -1 / np.log(min(goes_on, 0.999))
    expected = (count + 1) * np.exp(-(minutes - 1) / scale)
    if count >= _FEW_SILENCES:
        tail = max(_TAIL, _FEWEST_IN_TAIL / count)
        body, edge = np.quantile(lengths, [max(0.0, 1 - 10 * tail), 1 - tail])
        scale = max(scale, (edge - body) / np.log(min(10.0, 1 / tail)))
        expected = max(expected, count * tail * np.exp(-(minutes - edge) / scale))
    reached = np.count_nonzero(lengths >= minutes)
    return float(max(expected, reached) if reached > _many(count) else expected)


class _Sides:
    """The habit on each side of each silence."""

    def __init__(self, silences: Silences) -> None:
        starts, ends, reach = silences.starts, silences.ends, HABIT_DAYS * _DAY
        self._lengths = ends - starts
        self._first = np.searchsorted(starts, starts - reach)
        self._last = np.searchsorted(ends, ends + reach, side="right")
        self._before = _observed(silences, starts - reach, starts)
        self._after = _observed(silences, ends, ends + reach)

    def of(self, i: int) -> tuple[Habit | None, Habit | None]:
        """Return the habits before and after silence `i`."""
        before = self._lengths[self._first[i] : i]
        after = self._lengths[i + 1 : self._last[i]]
        return self._habit(i, before, self._before[i]), self._habit(i, after, self._after[i])

    def conceivable(self) -> NDArray[np.bool_]:
        """Return which silences may be beyond habit at all, at little cost.

        One that many others on a side reach cannot be: their number alone is expected.
        """
        possible = np.zeros(len(self._lengths), dtype=bool)
        for length in np.unique(self._lengths):
            these = np.flatnonzero(self._lengths == length)
            reached = np.concatenate([[0], np.cumsum(self._lengths >= length)])
            first, last = self._first[these], self._last[these]
            before = reached[these] - reached[first] <= _many(these - first)
            after = reached[last] - reached[these + 1] <= _many(last - these - 1)
            possible[these] = (before | (self._before[these] < _DAY)) & (
                after | (self._after[these] < _DAY)
            )
        return possible

    def _habit(self, i: int, lengths: Minutes, observed: np.int64) -> Habit | None:
        if observed < _DAY:
            return None
        return Habit(int(observed), lengths, int(self._lengths[i]))


def _observed(silences: Silences, since: Minutes, before: Minutes) -> Minutes:
    """Return how many minutes were observed in each of some ranges."""
    if not len(silences.observed):
        return np.zeros_like(since)
    lasted = np.cumsum(silences.observed[:, 1] - silences.observed[:, 0])
    until = np.stack([np.concatenate([[0], lasted[:-1]]), lasted], axis=1).ravel()
    moments = silences.observed.ravel()
    between = np.interp(before, moments, until) - np.interp(since, moments, until)
    minutes: Minutes = np.rint(between).astype(np.int64)
    return minutes


def _many(count: Minutes | int) -> NDArray[np.float64]:
    """Return how many may be outages themselves, and so prove nothing, of a number of silences."""
    many: NDArray[np.float64] = np.maximum(_FEWEST_IN_TAIL, np.ceil(_TAIL * np.asarray(count)))
    return many
