"""A feed whose stamps shift: nothing new of it is believed before it is right again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from pipeline.intervals import MINUTE, Interval
from pipeline.reports import MonthReport
from pipeline.store.database import Database
from tests.making import at, span
from tests.realdata.ledgers import Recording, fill, venue_of

LIFE = span("2024-02-25", "2024-03-06")
BEFORE, AFTER = at("2024-02-28T00:01"), at("2024-03-06T01:00")
HOUR = timedelta(hours=1)


def price(ts: datetime) -> float:
    return 100 + (ts - LIFE.start) // MINUTE / 8


def recorded(folder: Path, name: str, during: Interval, shift: timedelta = timedelta(0)) -> Path:
    """Write a bar for each minute, its stamp shifted."""
    file = folder / f"{name}.csv"
    minutes = [during.start + n * MINUTE for n in range(during.minutes)]
    lines = [
        f"{int((ts + shift).timestamp()) * 1000},{price(ts)},{price(ts)},{price(ts)},{price(ts)},1"
        for ts in minutes
        if ts + shift < during.end
    ]
    file.write_text("\n".join(["ts,open,high,low,close,volume", *lines]))
    return file


def ask(database: Database, now: datetime, *files: Path) -> Sequence[MonthReport]:
    market = [Recording("BTC-USD", files, LIFE)]
    with venue_of(market, now) as venue:
        return fill(database, venue, market, now)


def stored(database: Database) -> dict[datetime, float]:
    with database.connect() as connection:
        return dict(connection.execute("SELECT ts, close FROM market.bars_1m").fetchall())


def test_nothing_new_is_stored_of_a_shifted_feed_and_all_of_it_once_it_is_right(
    database: Database, tmp_path: Path
) -> None:
    right = recorded(tmp_path, "right", LIFE)
    late = recorded(tmp_path, "late", LIFE, HOUR)
    (february, _) = ask(database, BEFORE, right)
    assert february.complete
    before = stored(database)
    assert len(before) == 3 * 24 * 60

    for report in ask(database, AFTER, late):
        assert not report.complete
        assert report.inserted == report.revised == 0
        assert "a shift of +60 minutes would explain" in report.explain()
    assert stored(database) == before

    for report in ask(database, AFTER, right):
        assert report.complete
    assert stored(database) == {
        LIFE.start + n * MINUTE: price(LIFE.start + n * MINUTE) for n in range(LIFE.minutes)
    }
    with database.connect() as connection:
        assert connection.execute("SELECT * FROM market.revisions").fetchall() == []
        assert connection.execute("SELECT * FROM market.refused_deliveries").fetchall() == []
