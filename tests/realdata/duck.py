"""Bars of all timeframes as DuckDB makes them of published files: in SQL, by its own calendar.

For markets that never close, whose days are UTC's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from pipeline.intervals import Interval
from tests.oracle import Bar

_LENGTHS: Final = {
    "5m": "5 minutes",
    "15m": "15 minutes",
    "30m": "30 minutes",
    "1h": "1 hour",
    "90m": "90 minutes",
    "4h": "4 hours",
    "1d": "1 day",
    "1w": "1 week",
    "1mo": "1 month",
    "1y": "1 year",
}
_CALENDAR: Final = {"1d": "day", "1w": "week", "1mo": "month", "1y": "year"}

# All minutes from the first bar on, to be counted: files have none for those without a trade.
_LOAD: Final = """
CREATE TABLE minute AS
WITH bar AS (
    SELECT epoch_ms(ms) AS moment, * FROM read_csv($files, header = false, columns = {
        'ms': 'BIGINT', 'open': 'DOUBLE', 'close': 'DOUBLE', 'high': 'DOUBLE', 'low': 'DOUBLE',
        'volume': 'DOUBLE'})
), clock AS (
    SELECT moment FROM range($since, $before + INTERVAL 1 YEAR, INTERVAL 1 MINUTE) AS all_(moment)
    WHERE moment >= (SELECT min(moment) FROM bar)
)
SELECT *, moment < $before AS answered FROM clock LEFT JOIN bar USING (moment)
"""
_BARS: Final = """
SELECT {bucket} AS start, start + INTERVAL '{length}', start::DATE,
       arg_min(open, moment), max(high), min(low), arg_max(close, moment), fsum(volume), NULL, NULL,
       count(*), count(ms), bool_and(answered)
FROM minute GROUP BY start HAVING count(ms) > 0 ORDER BY start
"""


class PublishedFiles:
    """Files of minutes in DuckDB, of rows of milliseconds, open, CLOSE, HIGH, LOW, volume.

    Attributes:
        files: The files.
        answered: For which time they say everything.
    """

    def __init__(self, files: Sequence[Path], answered: Interval) -> None:
        values: dict[str, Any] = {
            "files": list(map(str, files)),
            "since": answered.start.replace(tzinfo=None),
            "before": answered.end.replace(tzinfo=None),
        }
        self._connection = duckdb.connect()
        self._connection.execute(_LOAD, values)

    def bars(self, timeframe: str) -> list[Bar]:
        """Return the bars of a timeframe."""
        length = _LENGTHS[timeframe]
        bucket = (
            f"date_trunc('{_CALENDAR[timeframe]}', moment)"
            if timeframe in _CALENDAR
            else f"time_bucket(INTERVAL '{length}', moment, TIMESTAMP '2000-01-01')"
        )
        rows = self._connection.execute(_BARS.format(bucket=bucket, length=length)).fetchall()
        return [Bar(_utc(ts), _utc(before), *others) for ts, before, *others in rows]

    def close(self) -> None:
        """Forget them."""
        self._connection.close()


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
