"""How many of the holes cut into recorded markets are found, by their length.

Needs the recorded data beside the project. For each series and length, holes are cut one at a
time. Each begins at a minute with a bar, drawn by a seeded generator: the market was trading when
it broke. A hole is found when the silence that holds it is called beyond habit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure
from pipeline.silences import HABIT_DAYS, Silences, unusual
from tests.realdata import bittrex, published
from tests.realdata.bittrex import JANUARY, NOVEMBER

HOLES = 200
LENGTHS = (5, 15, 30, 60, 120, 240)
SEED = 1
DATA = Path(__file__).resolve().parents[2] / "shared" / "market-data"
YEARS = (("BTCUSD", 2015), ("BTCUSD", 2016), ("ETHUSD", 2016), ("LTCUSD", 2014))

Minutes = NDArray[np.int64]
_AROUND = (HABIT_DAYS + 1) * 24 * 60


def run() -> Iterator[Figure]:
    """Measure each series; yield its share of holes found, for each length."""
    if not DATA.is_dir():
        yield Figure("recorded market data", f"absent: expected at {DATA}")
        return
    for name, bars in _series():
        quiet = 1 - len(bars) / (bars[-1] - bars[0] + 1)
        found = (f"{minutes} min: {_found(bars, minutes):.0%}" for minutes in LENGTHS)
        yield Figure(f"{name}, {quiet:.1%} quiet", ", ".join(found))


def _series() -> Iterator[tuple[str, Minutes]]:
    for market, year in YEARS:
        yield f"{market} {year}", _minutes(published.merged(DATA, market, year))
    for key, files in NOVEMBER.items():
        yield f"{key} 2017-11", _minutes(bittrex.bars(DATA, files))
    for key, files in JANUARY.items():
        yield f"{key} 2018-01", _minutes(bittrex.bars(DATA, files[:1]))


def _minutes(bars: Mapping[datetime, object]) -> Minutes:
    """Return the minutes that have a bar, in minutes since 1970, UTC, ascending."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return np.array(sorted((ts - epoch) // published.MINUTE for ts in bars), np.int64)


def _found(bars: Minutes, minutes: int) -> float:
    """Return the share of the holes of a length that are found."""
    chance = np.random.default_rng([SEED, minutes])
    begins = chance.choice(bars[bars + minutes <= bars[-1]], HOLES)
    return sum(_is_found(bars, int(start), int(start) + minutes) for start in begins) / HOLES


def _is_found(bars: Minutes, start: int, end: int) -> bool:
    first, last = np.searchsorted(bars, [start - _AROUND, end + _AROUND])
    near = bars[first:last]
    left = near[(near < start) | (near >= end)]
    # What was asked for lasts from the first bar to the last one, whether or not they are left.
    edges = np.concatenate([[near[0] - 1], left, [near[-1] + 1]])
    silent = np.flatnonzero(np.diff(edges) > 1)
    observed = np.array([[near[0], near[-1] + 1]])
    silences = Silences(edges[silent] + 1, edges[silent + 1], observed)
    return any(one.start <= start and one.end >= end for one in unusual(silences))
