"""Which bars can be read: of which listing and timeframe, and since when.

What belongs here: the names, and what is said when one is not there. Reading is `views`'.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pyarrow as pa

from pipeline.aggregation import TIMEFRAME_SCHEMA
from pipeline.bars import BAR_SCHEMA, COMBINED_SCHEMA
from pipeline.consolidation import CONSOLIDATED
from pipeline.intervals import Interval, ceil_minute
from pipeline.timeframes import MINUTE_NAME, Timeframe

MINUTE_SCHEMA = BAR_SCHEMA.append(
    pa.field(
        "extended", pa.bool_(), metadata={"doc": "whether it lies outside of the regular session"}
    )
)
"""Columns of 1-minute bars as they are read."""


class ReadingError(LookupError):
    """What should be read is not there; the message names what is."""


class UnknownListing(ReadingError):
    """No provider, or not the one that was named, has such a listing."""


class UnknownTimeframe(ReadingError):
    """The ledger has no bars of this timeframe."""


class AmbiguousListing(ReadingError):
    """Several providers have such a listing.

    Attributes:
        listing: Its name.
        providers: Their names.
    """

    def __init__(self, listing: str, providers: Sequence[str]) -> None:
        super().__init__(
            f"{listing} is listed at {', '.join(providers)}; choose one with provider="
        )
        self.listing = listing
        self.providers = providers


@dataclass(frozen=True, slots=True)
class Series:
    """The bars of one timeframe of one listing, or of one instrument from all its listings.

    Attributes:
        provider: The provider; `consolidated` for that of an instrument.
        listing: Name of the listing among its provider's, or of the instrument.
        timeframe: As in `1m`, `1h`, `1d`.
        during: From the first stored bar, or earlier, to the last one, or later; None without any.
    """

    provider: str
    listing: str
    timeframe: str
    during: Interval | None

    @property
    def is_consolidated(self) -> bool:
        """Whether it is that of an instrument, whose rows say whose they are."""
        return self.provider == CONSOLIDATED

    @property
    def schema(self) -> pa.Schema:
        """Columns of its bars."""
        bars = MINUTE_SCHEMA if self.timeframe == MINUTE_NAME else TIMEFRAME_SCHEMA
        return bars.append(COMBINED_SCHEMA.field("provider")) if self.is_consolidated else bars

    def between(self, since: datetime | None, before: datetime | None) -> Interval | None:
        """Return the part of `[since, before)` in which there may be bars, if there is any."""
        if self.during is None:
            return None
        # No bar begins within a minute.
        start = ceil_minute(max(since or self.during.start, self.during.start))
        end = ceil_minute(min(before or self.during.end, self.during.end))
        return Interval(start, end) if start < end else None

    def pieces(self, whole: Interval) -> list[Interval]:
        """Return the times that a time is read in, one after the other."""
        if self.timeframe == MINUTE_NAME:
            return list(whole.months())
        if isinstance(Timeframe.named(self.timeframe).length, int):
            return list(whole.years())
        return [whole]


def life(first: date | None, last: date | None, timeframe: str) -> Interval | None:
    """Return when bars may begin, from the months of the first and the last minute."""
    if first is None or last is None:
        return None
    start = datetime(first.year, first.month, 1, tzinfo=UTC)
    if timeframe != MINUTE_NAME:
        start -= Timeframe.named(timeframe).reach
    return Interval(start, Interval.month(last).end)


def no_listing(provider: str | None, listing: str | None, known: Sequence[tuple[str, str]]) -> str:
    """Say that there is no such listing, and which there are."""
    where = f" at {provider}" if provider else ""
    names = sorted({key for name, key in known if provider in {None, name}})
    if listing is None or not names:
        there = ", ".join(sorted({name for name, _ in known}))
        where_not = f"{listing or ''}{where}".strip()
        return f"there is no listing {where_not}; " + (
            f"listings are at {there}" if there else "the ledger has none yet"
        )
    near = difflib.get_close_matches(listing, names, n=10, cutoff=0.3) or names[:10]
    more = f" and {len(names) - len(near)} more" if len(near) < len(names) else ""
    return f"there is no listing {listing}{where}; there are {', '.join(near)}{more}"


def no_instrument(name: str, known: Sequence[str]) -> str:
    """Say that there is no such instrument, and which there are."""
    near = difflib.get_close_matches(name, known, n=10, cutoff=0.3) or known[:10]
    there = f"there are {', '.join(near)}" if near else "the ledger has none yet"
    return f"there is no instrument {name}; {there}"


def no_timeframe(name: str, built: Sequence[str]) -> str:
    """Say that there are no bars of this timeframe, and of which there are."""
    there = f"the ledger has {', '.join(built)}"
    try:
        Timeframe.named(name)
    except ValueError as error:
        return f"the timeframe {error}; {there}"
    return (
        f"there are no bars of {name}; {there} (others are built once `timeframes:` of the "
        "universe names them)"
    )
