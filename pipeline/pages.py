"""Cutting what is to be asked into as few requests as possible."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from pipeline.intervals import Interval


def pages(needed: Iterable[Interval], askable: Sequence[Interval], minutes: int) -> list[Interval]:
    """Return the fewest windows that hold every needed minute, in order of time.

    A window begins and ends with a needed minute. What lies between comes with it for nothing, as
    long as it may be asked for at all.

    Args:
        needed: What has to be asked for; disjoint, in order of time, all of it inside `askable`.
        askable: What may be asked for; disjoint, in order of time. No window leaves it.
        minutes: The longest window.
    """
    ends = [allowed.end for allowed in askable]
    windows: list[Interval] = []
    limit = datetime.min.replace(tzinfo=UTC)
    for piece in needed:
        start = piece.start
        while start < piece.end:
            if start >= limit:
                # From the first minute not held yet as far as it goes: no choice holds more.
                limit = min(start + timedelta(minutes=minutes), ends[bisect_right(ends, start)])
                windows.append(Interval(start, start))
            windows[-1] = Interval(windows[-1].start, min(piece.end, limit))
            start = windows[-1].end
    return windows
