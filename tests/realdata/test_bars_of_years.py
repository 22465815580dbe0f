"""Two years of bitcoin above a minute, against plain Python and DuckDB: every row and column.

One ledger. Its months come late and out of order, and bars are built in between, so that whatever
is compared has also been reached by minutes that came after it was built.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.intervals import MINUTE, Interval
from pipeline.settling import Settling
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from tests import oracle
from tests.cli.conftest import Home as Command
from tests.files.conftest import NOW, Home
from tests.making import at, span, table
from tests.oracle import Bar, Day, Minute
from tests.realdata import imported, published
from tests.realdata.duck import PublishedFiles
from tests.realdata.ledgers import build_bars
from tests.realdata.reading import bars_above, query

pytestmark = pytest.mark.long

WHOLE = span("2015-01-01", "2017-01-01")
BARS = {
    "5m": 175_689,
    "15m": 60_391,
    "30m": 30_257,
    "1h": 15_137,
    "90m": 10_095,
    "4h": 3_789,
    "1d": 634,
    "1w": 93,
    "1mo": 23,
    "1y": 2,
}
everywhere = pytest.mark.parametrize("timeframe", BARS)
REBUILT = span("2015-03-30T11:07", "2015-06-02T02:30")


@dataclass
class Years:
    """The ledger, the minutes as they were published, and the bars that it has by timeframe."""

    home: Home
    minutes: dict[datetime, Minute]
    bars: dict[str, list[Bar]]

    @property
    def database(self) -> Database:
        return self.home.database

    def read(self) -> dict[str, list[Bar]]:
        return {name: bars_above(self.database, "BTCUSD", name) for name in BARS}

    def above(self, ts: datetime) -> dict[str, Bar]:
        """Return the bars that a minute lies in."""
        columns, found = ", ".join(Bar._fields), {}
        for name in BARS:
            statement = f"SELECT {columns} FROM market.bars_{name} WHERE ts <= %s AND before > %s"
            ((*values,),) = query(self.database, statement, ts, ts)
            found[name] = Bar(*values)
        return found

    def versions(self) -> set[tuple[str, datetime, str]]:
        """Return which transaction wrote each stored row."""
        found = set()
        for name in BARS:
            rows = query(self.database, f"SELECT ts, xmin::text FROM ledger.bars_{name}")
            found |= {(name, ts, version) for ts, version in rows}
        return found

    def put(self, ts: datetime, minute: Minute) -> None:
        """Have the provider say of a minute what it was, and build what is above it."""
        delivery = Delivery(
            listing_id=self.home.listing("BTCUSD").id,
            month=ts.date().replace(day=1),
            answered=(Interval(ts, ts + MINUTE),),
            bars=table([{"ts": ts, **minute._asdict()}]),
            refused=(),
            failed=(),
            received_at=NOW,
            settling=Settling((timedelta(days=1),)),
        )
        with self.database.connect() as connection:
            commit(connection, delivery)
            connection.commit()
        build_bars(self.database)

    def rebuild(self, folder: Path) -> list[dict[str, Any]]:
        """Rebuild a time with the command; return what it did by timeframe."""
        command = Command(folder, {"MINUTELEDGER_DATABASE_URL": self.database.url()})
        bounds = ("--since", f"{REBUILT.start:%FT%RZ}", "--before", f"{REBUILT.end:%FT%RZ}")
        rows: list[dict[str, Any]] = command.json("rebuild", "BTCUSD", *bounds)
        return rows


@pytest.fixture(scope="module")
def years(shared_database: Database, market_data: Path) -> Years:
    home = imported.bitcoin(shared_database, market_data, WHOLE, tuple(BARS))
    months = imported.months(WHOLE)
    for late in (months[12:], months[1:12:2], months[:12:2]):
        assert all(report.complete for report in home.download(*late, symbol="BTCUSD"))
        build_bars(shared_database)
    bars = published.merged(market_data, "BTCUSD", 2015, 2016)
    result = Years(home, published.as_minutes(bars), {})
    result.bars = result.read()
    return result


@pytest.fixture(scope="module")
def days() -> Sequence[Day]:
    """All days of UTC of the weeks and years that have bars."""
    first = at("2014-12-29")
    starts = [first + timedelta(days=number) for number in range(3 + 365 + 366 + 1)]
    return [Day(start.date(), [(start, start + timedelta(days=1))]) for start in starts]


@pytest.fixture(scope="module")
def answered() -> set[datetime]:
    return {WHOLE.start + number * MINUTE for number in range(WHOLE.minutes)}


@everywhere
def test_bars_are_those_worked_out_minute_by_minute(
    years: Years, days: Sequence[Day], answered: set[datetime], timeframe: str
) -> None:
    right = oracle.bars(timeframe, days, years.minutes, answered, min(years.minutes))
    assert len(years.minutes) == 659_940
    assert len(right) == BARS[timeframe]
    assert oracle.differences(years.bars[timeframe], right)[:9] == []


@pytest.fixture(scope="module")
def files(market_data: Path) -> Iterator[PublishedFiles]:
    root = market_data / published.FOLDER / "BTCUSD" / "Candles_1m"
    paths = [root / str(year) / "merged.csv.gz" for year in (2015, 2016)]
    with closing(PublishedFiles(paths, WHOLE)) as opened:
        yield opened


@everywhere
def test_bars_are_those_that_duckdb_makes_of_the_files(
    years: Years, files: PublishedFiles, timeframe: str
) -> None:
    right = files.bars(timeframe)
    assert len(right) == BARS[timeframe]
    assert oracle.differences(years.bars[timeframe], right)[:9] == []


# In the midst of a day; and the last one of a day, a month and a year, in the midst of a week.
@pytest.mark.parametrize("moment", ["2015-06-17T12:34", "2015-12-31T23:59"])
def test_one_minute_of_2015_changes_one_bar_of_each_timeframe_and_back(
    years: Years, moment: str
) -> None:
    ts, before = at(moment), years.versions()
    minute, above = years.minutes[ts], years.above(ts)

    years.put(ts, minute._replace(high=5000.0))
    changed = years.versions()
    assert years.above(ts) == {name: bar._replace(high=5000.0) for name, bar in above.items()}
    assert {(name, start) for name, start, _ in before ^ changed} == {
        (name, bar.ts) for name, bar in above.items()
    }
    assert len(before - changed) == len(changed - before) == len(BARS)

    years.put(ts, minute)
    after = years.versions()
    assert years.above(ts) == above
    assert {one[:2] for one in before - after} == {one[:2] for one in before - changed}
    assert len(after) == len(before)


def test_a_rebuild_by_hand_rewrites_no_row_that_is_right(years: Years, tmp_path: Path) -> None:
    before = years.versions()
    done = years.rebuild(tmp_path)
    assert {row["timeframe"] for row in done} >= set(BARS)
    assert [row for row in done if row["written"] or row["removed"]] == []
    assert years.versions() == before


def test_a_rebuild_by_hand_puts_right_what_is_not(years: Years, tmp_path: Path) -> None:
    before = years.versions()
    spoiled = sum(spoil(years.database, name) for name in BARS)
    assert spoiled == 15_539
    years.rebuild(tmp_path)
    assert years.read() == years.bars
    assert len(before - years.versions()) == spoiled


def spoil(database: Database, timeframe: str) -> int:
    """Change half of a timeframe's bars of the time that is rebuilt, remove the others."""
    where = "tstzrange(ts, before) && tstzrange(%s, %s) AND minutes_present %% 2 ="
    bounds = (REBUILT.start, REBUILT.end)
    with database.connect() as connection:
        return sum(
            connection.execute(f"{action} WHERE {where} {rest}".encode(), bounds).rowcount
            for rest, action in enumerate(
                [
                    f"UPDATE ledger.bars_{timeframe} SET close = -1",
                    f"DELETE FROM ledger.bars_{timeframe}",
                ]
            )
        )
