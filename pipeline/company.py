"""Who was silent together: is it the provider's outage, or one listing's halt?

What belongs here: weighing what other listings of a provider did during a silence that is beyond
the habit of one. A listing whose own silence covers at least half of that one, and is at least half
covered by it, was silent together with it. One that had bars for more than half of the time was
trading. A silence so much longer than the one in question (a listing that is hardly ever traded, or
not any more) says nothing. It is an outage when somebody was silent together with it, and at most
one in ten of those who say something was trading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from pipeline.intervals import Interval
from pipeline.store.gaps import Gap
from pipeline.store.outages import Witness

_SHOWN = 5
_SILENT_PER_TRADING = 9


def explained(gaps: Iterable[Gap], witnesses: Iterable[Witness]) -> Iterator[Gap]:
    """Yield each gap with its reason and company.

    Args:
        gaps: Silences beyond habit.
        witnesses: What others did during them, the witnesses of one gap one after another.
    """
    seen = {
        key: list(group)
        for key, group in groupby(witnesses, key=lambda one: (one.listing_id, one.during))
    }
    for gap in gaps:
        mine = seen.get((gap.listing_id, gap.during), [])
        together = [one.peer for one in mine if silent_together(one.during, one.silent)]
        trading = [one.peer for one in mine if _was_trading(one.during, one.silent)]
        outage = together and len(together) >= _SILENT_PER_TRADING * len(trading)
        said = [_named("silent together with", together), _named("while trading:", trading)]
        yield replace(
            gap,
            reason="outage" if outage else "halt",
            company=", ".join(part for part in said if part),
        )


def silent_together(gap: Interval, other: Interval | None) -> bool:
    """Return whether another listing's silence (None: it had a bar) is the same as a gap's."""
    shared = _shared(gap, other)
    return other is not None and 2 * shared >= max(gap.minutes, other.minutes)


def _was_trading(gap: Interval, other: Interval | None) -> bool:
    return 2 * _shared(gap, other) < gap.minutes


def _shared(gap: Interval, other: Interval | None) -> int:
    both = gap.intersection(other) if other is not None else None
    return both.minutes if both is not None else 0


def _named(what: str, keys: Sequence[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{what} {' '.join(keys[:_SHOWN])}{more}"
