"""Reading the views of the schema `market`, as Arrow tables.

What belongs here: the statements, and the one rule of which bars a range of time and a limit mean.
Nothing outside of `market` is read, so the role `analyst` is enough. Bars are read in pieces as
long as a partition: each is sorted in memory, and years of them pass without being held at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import LiteralString

import pyarrow as pa
from psycopg import sql

from pipeline.aggregation import Spans, moments_of
from pipeline.consolidation import CONSOLIDATED
from pipeline.intervals import MINUTE, Interval
from pipeline.store.arrow import ArrowReader
from pipeline.store.copying import column_list
from pipeline.store.series import Series
from pipeline.timeframes import MINUTE_NAME

_SESSION: LiteralString = """
SELECT s.since, s.before FROM market.sessions s JOIN market.listings l USING (session)
WHERE l.provider = {provider} AND l.listing = {listing}
  AND s.before > {since}::timestamptz AND s.since < {before}::timestamptz
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


_FUNDAMENTALS: LiteralString = """
SELECT instrument, field, value, words, day, unit, currency, period, period_end, filed_at, provider,
       rule, state, spread, since, confirmed_at, age, snapshot, found_at,
       candidates::text AS candidates
FROM market.fundamentals_asof(coalesce({at}::timestamptz, now()))
WHERE instrument = coalesce({instrument}::text, instrument) ORDER BY instrument, field
"""


class MarketReader:
    """Reads bars, gaps and coverage.

    Args:
        arrow: The connection. What should be of one moment is to be read in one `snapshot` of it.
    """

    def __init__(self, arrow: ArrowReader) -> None:
        self._arrow = arrow

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

    def fundamentals(self, instrument: str | None = None, at: datetime | None = None) -> pa.Table:
        """Return `market.fundamentals_asof`, by instrument and field."""
        return self._arrow.ask(_FUNDAMENTALS, instrument=instrument, at=at)

    def gaps(
        self,
        provider: str | None = None,
        listing: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> pa.Table:
        """Return `market.gaps` that touch `[since, before)`, by provider, listing and time."""
        return self._arrow.ask(
            _GAPS, provider=provider, listing=listing, since=since, before=before
        )

    def coverage(
        self,
        provider: str | None = None,
        listing: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> pa.Table:
        """Return the months of `market.coverage` that touch `[since, before)`, in that order."""
        return self._arrow.ask(
            _COVERAGE, provider=provider, listing=listing, since=since, before=before
        )

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
        rows = self._arrow.ask(_SESSION, **names, since=first, before=last + MINUTE).to_pylist()
        open_ = Spans(Interval(row["since"], row["before"]) for row in rows)
        extended = ~open_.hold(moments_of(bars))
        return bars.append_column("extended", pa.array(extended)).cast(series.schema)


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
