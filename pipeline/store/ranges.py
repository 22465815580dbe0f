"""Intervals as PostgreSQL's ranges, and back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from pipeline.intervals import Interval


def to_range(interval: Interval) -> Range[datetime]:
    """Return the interval as a `tstzrange` parameter."""
    return Range(interval.start, interval.end)


def to_multirange(intervals: Iterable[Interval]) -> Multirange[datetime]:
    """Return the intervals as a parameter to cast to `tstzmultirange`: an empty one has no type."""
    return Multirange([to_range(interval) for interval in intervals])


def from_range(value: Range[datetime]) -> Interval:
    """Return a bounded `tstzrange` as an interval.

    Raises:
        ValueError: The range is empty or open to one side.
    """
    if value.lower is None or value.upper is None:
        raise ValueError(f"range {value} has no two bounds")
    return Interval(value.lower.astimezone(UTC), value.upper.astimezone(UTC))


def from_multirange(value: Multirange[datetime]) -> list[Interval]:
    """Return a `tstzmultirange` as intervals in order of time."""
    return [from_range(piece) for piece in value]
