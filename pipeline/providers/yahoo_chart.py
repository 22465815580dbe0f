"""Yahoo's chart documents: whether one is an answer, what it is about, and which bars it holds.

What belongs here: the meaning of `/v8/finance/chart`. Not here: how it is asked for
(`yahoo_session`).

A chart holds columns: stamps in seconds since 1970, the starts of minutes, and one list for each of
open, high, low, close and volume. Of its rows

- one of nulls only is a minute in which nothing was traded, as is a minute without a row;
- the last one may be no bar but the latest price, put there although it lies outside the asked
  window. It is stamped with the second of that price, or with its minute where that is the minute
  of the regular market's latest trade. It is left out if it lies outside the window, or repeats a
  minute that has a row of its own. If it is the only word on its minute it is left in, so that it
  is refused as not on the minute, and that minute asked for again;
- the one stamped with the regular session's end (16:00 in New York) is kept under the minute that
  it names. It holds the closing auction, which is printed seconds after the end. Others put it into
  the minute before; but it was not traded in that minute, consolidated feeds give it the same
  stamp, and nothing is relabelled here. Being outside regular hours it changes no regular bar.

Prices are single-precision numbers. They are not adjusted for dividends; but Yahoo divides all
minutes before a split by it, as soon as the split has happened. Minutes stored before then differ
from what it answers afterwards, and such an answer is refused as contradictory: it says so to
whoever has to decide about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import orjson
import pyarrow as pa
from curl_cffi.requests import Response

from pipeline.bars import bar_table, empty_bars
from pipeline.intervals import Interval
from pipeline.providers.errors import MalformedAnswer, ProviderError
from pipeline.providers.yahoo_errors import by_status, check_refusal, error_of

Document = dict[str, Any]
Row = tuple[Any, ...]

_COLUMNS: Final = ("open", "high", "low", "close", "volume")
_MINUTE: Final = 60
_US: Final = 1_000_000
_LATEST_STAMP: Final = 10**11
_MOVED_ON: Final = "must be within the last"
_NO_DATA: Final = "Data doesn't exist for"


def decode(provider: str, response: Response) -> Document:
    """Return the document of an answer.

    Raises:
        ProviderError: It is none, or says that there is no answer to the question.
    """
    check_refusal(provider, response)
    status = response.status_code
    try:
        document = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        document = None
    if error := error_of(document):
        raise _meaning(provider, status, error)
    if status != HTTPStatus.OK:
        raise by_status(provider, status, f"status {status} without a reason")
    if not isinstance(document, dict):
        raise MalformedAnswer(provider, "the body is not whole JSON")
    return document


def _meaning(provider: str, status: int, error: str) -> ProviderError:
    if _MOVED_ON in error:
        return MalformedAnswer(provider, f"its history has moved on: {error}")
    if _NO_DATA in error:
        # It is also said of windows that have some, in times of trouble.
        return MalformedAnswer(provider, error)
    return by_status(provider, status, error)


def result_of(provider: str, document: Document, symbol: str, step: str) -> Mapping[str, Any]:
    """Return the one result of a document, which is about this symbol and step.

    Raises:
        MalformedAnswer: It is about something else, or has another shape.
    """
    chart = document.get("chart")
    results = chart.get("result") if isinstance(chart, dict) else None
    if not isinstance(results, list) or len(results) != 1 or not isinstance(results[0], dict):
        raise MalformedAnswer(provider, "the answer holds no chart")
    result: Mapping[str, Any] = results[0]
    meta = result.get("meta")
    about = (meta.get("symbol"), meta.get("dataGranularity")) if isinstance(meta, dict) else None
    if about is None or (str(about[0]).upper(), about[1]) != (symbol.upper(), step):
        raise MalformedAnswer(
            provider, f"asked for {symbol} by {step}, the answer is about {about}"
        )
    return result


def to_bars(
    provider: str, result: Mapping[str, Any], window: Interval, lead: timedelta
) -> pa.Table:
    """Convert a chart of minutes to a table with `BAR_SCHEMA`.

    Args:
        provider: The provider's name, for errors.
        result: A chart of minutes.
        window: The bars that are wanted.
        lead: How much was asked for besides, right before the window; left out again.

    Raises:
        MalformedAnswer: The chart is not made of columns of equal length.
    """
    rows = [row for row in _rows(provider, result) if not _is_quiet(row)]
    if rows and _ends_with_the_latest_price(rows, result["meta"], window):
        rows = rows[:-1]
    asked = [row for row in rows if not _is_between(row[0], window.start - lead, window.start)]
    if not asked:
        return empty_bars()
    stamps, *columns = zip(*asked, strict=True)
    numbers = {
        name: [_number(value) for value in column]
        for name, column in zip(_COLUMNS, columns, strict=True)
    }
    return bar_table({"ts": [stamp * _US for stamp in stamps], **numbers})


def _rows(provider: str, result: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a chart: stamp, open, high, low, close, volume."""
    try:
        quote = result["indicators"]["quote"][0]
        stamps = result.get("timestamp") or []
        columns = [quote.get(name) or [] for name in _COLUMNS]
        rows = list(zip(stamps, *columns, strict=True))
    except (AttributeError, LookupError, TypeError, ValueError):
        raise MalformedAnswer(provider, "the chart is not made of columns of one length") from None
    if not all(type(stamp) is int and 0 <= stamp < _LATEST_STAMP for stamp in stamps):
        raise MalformedAnswer(provider, "the chart has stamps that are no seconds since 1970")
    return rows


def _is_quiet(row: Row) -> bool:
    """Return whether a row says that nothing was traded."""
    _, *prices, volume = row
    return all(price is None for price in prices) and volume in {None, 0}


def _ends_with_the_latest_price(
    rows: Sequence[Row], meta: Mapping[str, Any], window: Interval
) -> bool:
    """Return whether the last row is the latest price, and not the only word on its minute."""
    last, traded_at = rows[-1][0], meta.get("regularMarketTime")
    minute = last - last % _MINUTE
    of_latest_trade = isinstance(traded_at, int) and last <= traded_at < last + _MINUTE
    if last == minute and not of_latest_trade:
        return False
    if not _is_between(last, window.start, window.end):
        return True
    return last != minute and any(row[0] == minute for row in rows[-3:-1])


def _is_between(stamp: int, start: datetime, end: datetime) -> bool:
    return start.timestamp() <= stamp < end.timestamp()


def _number(value: object) -> float | None:
    """Return a number as it is; what is none is as good as missing, and never 0."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
