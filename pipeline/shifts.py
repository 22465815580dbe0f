"""Whether bars differ from others only by a shift of their stamps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

Values = tuple[float | None, ...]
"""Open, high, low, close and volume of a bar."""


def likeliest_shift(
    stored: Mapping[datetime, Values], delivered: Mapping[datetime, Values]
) -> tuple[timedelta, int] | None:
    """Return the shift of the delivered stamps that explains most stored bars, and how many.

    It is looked for among bars whose values occur once on each side, and then tried on all. Bars of
    minutes without trades look alike, and suggest none. None: no bar suggests a shift.
    """
    delivered_at, stored_at = _once(delivered), _once(stored)
    shifts = Counter(
        delivered_at[values] - ts for values, ts in stored_at.items() if values in delivered_at
    )
    del shifts[timedelta(0)]
    if not shifts:
        return None
    # Of equally likely ones the shortest.
    shift = max(shifts, key=lambda by: (shifts[by], -abs(by)))
    return shift, sum(delivered.get(ts + shift) == values for ts, values in stored.items())


def _once(bars: Mapping[datetime, Values]) -> dict[Values, datetime]:
    """Map values that only one bar has to its time."""
    counts = Counter(bars.values())
    return {values: ts for ts, values in bars.items() if counts[values] == 1 and _traded(values)}


def _traded(values: Values) -> bool:
    *prices, volume = values
    return bool(volume) or len(set(prices)) > 1
