"""Reading the views of the schema `market`, as Arrow tables.

What belongs here: the statements, and the one rule of which bars a range of time and a limit mean.
Nothing outside of `market` is read, so the role `analyst` is enough. Bars are read in pieces as
long as a partition: each is sorted in memory, and years of them pass without being held at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import LiteralString

import pyarrow as pa
from psycopg import sql

from pipeline.aggregation import Spans, moments_of
from pipeline.consolidation import CONSOLIDATED
from pipeline.intervals import MINUTE, Interval
from pipeline.store.arrow import ArrowReader
from pipeline.store.copying import column_list
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

_SESSION: LiteralString = """
SELECT s.since, s.before FROM market.sessions s JOIN market.listings l USING (session)
WHERE l.provider = {provider} AND l.listing = {listing}
  AND s.before > {since}::timestamptz AND s.since < {before}::timestamptz
"""

_LIVES: LiteralString = """
SELECT provider, listing, min(month) AS first, max(month) AS last FROM market.coverage
WHERE provider = coalesce({provider}::text, provider)
  AND listing = coalesce({listing}::text, listing) AND bars + extended > 0
GROUP BY provider, listing
"""

_INSTRUMENTS: LiteralString = """
SELECT instrument, min(month) AS first, max(month) AS last
FROM market.instruments LEFT JOIN market.listings USING (instrument)
LEFT JOIN (SELECT * FROM market.coverage WHERE bars + extended > 0) AS c USING (provider, listing)
GROUP BY instrument ORDER BY instrument
"""

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

_GAPS: LiteralString = """
SELECT provider, listing, symbol, since, before, minutes::bigint AS minutes, state, reason,
       evidence, attempts, error, next_attempt_at
FROM market.gaps
WHERE provider = coalesce({provider}::text, provider)
  AND listing = coalesce({listing}::text, listing)
  AND before > coalesce({since}::timestamptz, '-infinity')
  AND since < coalesce({before}::timestamptz, 'infinity')
ORDER BY provider, listing, since
"""

_COVERAGE: LiteralString = """
SELECT provider, listing, symbol, month, expected::bigint AS expected, bars::bigint AS bars,
       empty::bigint AS empty, failed::bigint AS failed, unavailable::bigint AS unavailable,
       pending::bigint AS pending, settled::bigint AS settled, percent::float8 AS percent,
       extended::bigint AS extended
FROM market.coverage
WHERE provider = coalesce({provider}::text, provider)
  AND listing = coalesce({listing}::text, listing)
  AND (month + interval '1 month') AT TIME ZONE 'UTC'
      > coalesce({since}::timestamptz, '-infinity')
  AND month::timestamp AT TIME ZONE 'UTC' < coalesce({before}::timestamptz, 'infinity')
ORDER BY provider, listing, month
"""

_BARS: LiteralString = """
SELECT {columns} FROM {view} WHERE {names} AND ts >= {since} AND ts < {before}
"""
_OF_LISTING: LiteralString = "provider = {provider} AND listing = {listing}"
_OF_INSTRUMENT: LiteralString = "instrument = {listing}"


class MarketReader:
    """Reads the schema `market`.

    Args:
        arrow: The connection. What should be of one moment is to be read in one `snapshot` of it.
    """

    def __init__(self, arrow: ArrowReader) -> None:
        self._arrow = arrow

    def listings(
        self, provider: str | None = None, listing: str | None = None
    ) -> list[tuple[str, str]]:
        """Return provider and name of all listings, or of those that are named, sorted."""
        found = self._read(_LISTINGS, provider=provider, listing=listing)
        return [(row["provider"], row["listing"]) for row in found.to_pylist()]

    def timeframes(self) -> list[str]:
        """Return the names of the timeframes that can be read, the shortest first."""
        views = {row["name"] for row in self._read(_VIEWS).to_pylist()}
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
            rows = {row.pop("instrument"): row for row in self._read(_INSTRUMENTS).to_pylist()}
            if listing not in rows:
                raise UnknownListing(no_instrument(listing, list(rows)))
            return CONSOLIDATED, rows[listing]["first"], rows[listing]["last"]
        found = self.known(provider, listing)
        if len(found) > 1:
            raise AmbiguousListing(listing, [name for name, _ in found])
        [(name, _)] = found
        return name, *self.lives(name, listing).get((name, listing), (None, None))

    def lives(
        self, provider: str | None = None, listing: str | None = None
    ) -> dict[tuple[str, str], tuple[date, date]]:
        """Return the months of the first and the last minute with a bar, of each listing."""
        rows = self._read(_LIVES, provider=provider, listing=listing).to_pylist()
        return {(row["provider"], row["listing"]): (row["first"], row["last"]) for row in rows}

    def mark(self, series: Series, since: datetime, before: datetime) -> str:
        """Return what changes whenever the minutes of whole months change, and seldom else."""
        names = {"provider": series.provider, "listing": series.listing}
        months = {"first": since.date(), "after": before.date()}
        found = self._read(_MARK, **names, **months, since=since, before=before)
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

    def bars(
        self,
        series: Series,
        since: datetime | None = None,
        before: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[pa.Table]:
        """Yield the bars that begin in `[since, before)` in order of time, in tables one by one.

        With a limit they are the oldest from `since` on; without `since` the newest ones.
        """
        whole = series.between(since, before)
        if whole is None:
            return
        for bars in self._stored(series, whole, limit, newest=since is None):
            if series.timeframe == MINUTE_NAME and not series.is_consolidated:
                yield self._with_extended(series, bars)
            else:
                yield bars.cast(series.schema)

    def gaps(
        self,
        provider: str | None = None,
        listing: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> pa.Table:
        """Return `market.gaps` that touch `[since, before)`, by provider, listing and time."""
        return self._read(_GAPS, provider=provider, listing=listing, since=since, before=before)

    def coverage(
        self,
        provider: str | None = None,
        listing: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> pa.Table:
        """Return the months of `market.coverage` that touch `[since, before)`, in that order."""
        return self._read(_COVERAGE, provider=provider, listing=listing, since=since, before=before)

    def _stored(
        self, series: Series, whole: Interval, limit: int | None, *, newest: bool
    ) -> Iterator[pa.Table]:
        pieces = series.pieces(whole)
        if limit is None:
            yield from (self._bars(series, piece) for piece in pieces)
            return
        # Counting first is cheap, and so the newest ones need not be held to be put in order.
        chosen: list[tuple[Interval, int]] = []
        while pieces and limit:
            piece = pieces.pop(-1 if newest else 0)
            count = self._count(series, piece, limit)
            chosen.append((piece, count))
            limit -= count
        for piece, count in reversed(chosen) if newest else chosen:
            yield self._bars(series, piece, count, newest=newest)

    def _bars(
        self, series: Series, piece: Interval, limit: int | None = None, *, newest: bool = False
    ) -> pa.Table:
        query = sql.SQL("{} ORDER BY ts {} LIMIT {}").format(
            bars_query(series, piece),
            sql.SQL("DESC" if newest else "ASC"),
            sql.Literal(limit),
        )
        if newest:
            query = sql.SQL("SELECT * FROM ({}) AS newest ORDER BY ts").format(query)
        return self._arrow.read(query)

    def _count(self, series: Series, piece: Interval, most: int) -> int:
        query = sql.SQL("SELECT count(*) AS bars FROM ({} LIMIT {}) AS counted").format(
            bars_query(series, piece), sql.Literal(most)
        )
        return int(self._arrow.read(query)["bars"][0].as_py())

    def _with_extended(self, series: Series, bars: pa.Table) -> pa.Table:
        """Mark the minutes outside of the session: in the view it costs as much as all reading."""
        if not bars.num_rows:
            return series.schema.empty_table()
        first, last = bars["ts"][0].as_py(), bars["ts"][-1].as_py()
        names = {"provider": series.provider, "listing": series.listing}
        rows = self._read(_SESSION, **names, since=first, before=last + MINUTE).to_pylist()
        open_ = Spans(Interval(row["since"], row["before"]) for row in rows)
        extended = ~open_.hold(moments_of(bars))
        return bars.append_column("extended", pa.array(extended)).cast(series.schema)

    def _read(self, query: LiteralString, **values: object) -> pa.Table:
        literals = {name: _literal(value) for name, value in values.items()}
        return self._arrow.read(sql.SQL(query).format(**literals))


def bars_query(series: Series, piece: Interval) -> sql.Composed:
    """Return the query of the bars that begin in a time, without an order."""
    names, kind, chosen = series.schema.names, CONSOLIDATED, _OF_INSTRUMENT
    if not series.is_consolidated:
        names, kind, chosen = [name for name in names if name != "extended"], "bars", _OF_LISTING
    listing = {"provider": sql.Literal(series.provider), "listing": sql.Literal(series.listing)}
    return sql.SQL(_BARS).format(
        columns=column_list(names),
        view=sql.Identifier("market", f"{kind}_{series.timeframe}"),
        names=sql.SQL(chosen).format(**listing),
        since=sql.Literal(piece.start),
        before=sql.Literal(piece.end),
    )


def _literal(value: object) -> sql.Composable:
    """Return a literal whose type PostgreSQL knows, also when it is null."""
    if isinstance(value, datetime):
        return sql.Literal(value)
    return sql.SQL("NULL") if value is None else sql.Literal(str(value))
