"""What the schema `market` has: listings, instruments, timeframes, and since when.

What belongs here: the statements that find a series to be read. Reading it is `store.views`'.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import LiteralString

from pipeline.consolidation import CONSOLIDATED
from pipeline.store.arrow import ArrowReader
from pipeline.store.series import (
    AmbiguousListing,
    Series,
    UnknownListing,
    UnknownTimeframe,
    life,
    no_instrument,
    no_listing,
    no_timeframe,
)
from pipeline.timeframes import MINUTE_NAME, Timeframe, in_order

_LISTINGS: LiteralString = """
SELECT provider, listing FROM market.listings
WHERE provider = coalesce({provider}::text, provider)
  AND listing = coalesce({listing}::text, listing)
ORDER BY provider, listing
"""

_LIVES: LiteralString = """
SELECT provider, listing, min(month) AS first, max(month) AS last FROM market.coverage
WHERE provider = coalesce({provider}::text, provider)
  AND listing = coalesce({listing}::text, listing) AND bars + extended > 0
GROUP BY provider, listing
"""

_INSTRUMENT_LIFE: LiteralString = """
SELECT instrument, min(month) AS first, max(month) AS last
FROM market.instruments LEFT JOIN market.listings USING (instrument)
LEFT JOIN (SELECT * FROM market.coverage WHERE bars + extended > 0) AS c USING (provider, listing)
WHERE instrument = {instrument} GROUP BY instrument
"""

_INSTRUMENT_NAMES: LiteralString = "SELECT instrument FROM market.instruments ORDER BY instrument"

# Minutes are never removed, a changed one leaves a revision, and so does a changed session.
_MARK: LiteralString = """
SELECT concat_ws(' ', l.session, c.bars, c.extended, r.count, r.latest, s.count, s.latest) AS mark
FROM market.listings l,
LATERAL (SELECT sum(bars) AS bars, sum(extended) AS extended FROM market.coverage c
         WHERE c.provider = l.provider AND c.listing = l.listing
           AND month >= {first}::date AND month < {after}::date) AS c,
LATERAL (SELECT count(*), coalesce(max(extract(epoch FROM seen_at)), 0) AS latest
         FROM market.revisions r WHERE r.provider = l.provider AND r.listing = l.listing
           AND ts >= {since}::timestamptz AND ts < {before}::timestamptz) AS r,
LATERAL (SELECT count(*), coalesce(max(extract(epoch FROM seen_at)), 0) AS latest
         FROM market.session_revisions s WHERE s.session = l.session
           AND month >= {first}::date AND month < {after}::date) AS s
WHERE l.provider = {provider} AND l.listing = {listing}
"""

_VIEWS: LiteralString = """
SELECT table_name AS name FROM information_schema.views WHERE table_schema = 'market'
"""


class Catalog:
    """Finds what can be read.

    Args:
        arrow: The connection. What should be of one moment is to be read in one `snapshot` of it.
    """

    def __init__(self, arrow: ArrowReader) -> None:
        self._arrow = arrow

    def listings(
        self, provider: str | None = None, listing: str | None = None
    ) -> list[tuple[str, str]]:
        """Return provider and name of all listings, or of those that are named, sorted."""
        found = self._arrow.ask(_LISTINGS, provider=provider, listing=listing)
        return [(row["provider"], row["listing"]) for row in found.to_pylist()]

    def timeframes(self) -> list[str]:
        """Return the names of the timeframes that can be read, the shortest first."""
        views = {row["name"] for row in self._arrow.ask(_VIEWS).to_pylist()}
        built = []
        for name in sorted(view.removeprefix("bars_") for view in views if view[:5] == "bars_"):
            try:
                built.append(Timeframe.named(name))
            except ValueError:  # a view of another kind, or the minutes
                continue
        return [MINUTE_NAME, *(timeframe.name for timeframe in in_order(map(str, built)))]

    def series(self, provider: str | None, listing: str, timeframe: str = MINUTE_NAME) -> Series:
        """Return the bars of a listing, or of an instrument as `consolidated`, to be read.

        Raises:
            UnknownListing, AmbiguousListing, UnknownTimeframe: There are none, or several; the
                message names what there is.
        """
        name, first, last = self._life(provider, listing)
        if timeframe != MINUTE_NAME and timeframe not in (built := self.timeframes()):
            raise UnknownTimeframe(no_timeframe(timeframe, built))
        return Series(name, listing, timeframe, life(first, last, timeframe))

    def _life(self, provider: str | None, listing: str) -> tuple[str, date | None, date | None]:
        """Return the one provider, and the months of the first and the last bar."""
        if provider == CONSOLIDATED:
            rows = self._arrow.ask(_INSTRUMENT_LIFE, instrument=listing).to_pylist()
            if not rows:
                names = self._arrow.ask(_INSTRUMENT_NAMES)["instrument"].to_pylist()
                raise UnknownListing(no_instrument(listing, names))
            return CONSOLIDATED, rows[0]["first"], rows[0]["last"]
        found = self.known(provider, listing)
        if len(found) > 1:
            raise AmbiguousListing(listing, [name for name, _ in found])
        [(name, _)] = found
        return name, *self.lives(name, listing).get((name, listing), (None, None))

    def lives(
        self, provider: str | None = None, listing: str | None = None
    ) -> dict[tuple[str, str], tuple[date, date]]:
        """Return the months of the first and the last minute with a bar, of each listing."""
        rows = self._arrow.ask(_LIVES, provider=provider, listing=listing).to_pylist()
        return {(row["provider"], row["listing"]): (row["first"], row["last"]) for row in rows}

    def mark(self, series: Series, since: datetime, before: datetime) -> str:
        """Return what changes whenever the minutes of whole months change, and seldom else."""
        names = {"provider": series.provider, "listing": series.listing}
        months = {"first": since.date(), "after": before.date()}
        found = self._arrow.ask(_MARK, **names, **months, since=since, before=before)
        return str(found["mark"][0].as_py())

    def known(self, provider: str | None, listing: str | None) -> list[tuple[str, str]]:
        """Return provider and name of the listings of this provider and name (None: any).

        Raises:
            UnknownListing: There is none.
        """
        found = self.listings(provider, listing)
        if not found:
            raise UnknownListing(no_listing(provider, listing, self.listings()))
        return found
