"""Files of real vendors, imported: every row is there, as plain csv and zipfile read it."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.intervals import Interval
from pipeline.store.database import Database
from tests.files.conftest import OHLCV, Home, declared
from tests.making import at, span
from tests.realdata import imported, published
from tests.realdata.imported import months
from tests.realdata.published import MINUTE, NEW_YORK, Bars

BINANCE = "nautechsystems_nautilus_trader/history/tests/test_kit/data"


def test_two_years_of_fxy_are_stored_row_for_row(database: Database, market_data: Path) -> None:
    expected = published.fxy(market_data)
    assert len(expected) == 78_974
    home = imported.fxy(database, market_data)
    assert all(report.complete for report in home.reports)
    assert home.stored("FXY") == expected
    _check_sessions(home, expected)
    # It answers from its first row to its last, and the rest of July is no silence.
    last = home.coverage("2025-07", "FXY")
    assert last.adds_up
    assert home.answered("2025-07", "FXY") == [Interval(at("2025-07-01"), max(expected) + MINUTE)]
    # 9 July to 31 July: 17 trading days.
    assert last.unavailable == 17 * 390


def _check_sessions(home: Home, bars: Bars) -> None:
    """Compare the days on which FXY was traded with those on which bars were expected."""
    times: dict[date, list[time]] = {}
    for ts in bars:
        local = ts.astimezone(NEW_YORK)
        times.setdefault(local.date(), []).append(local.time())
    first, last = min(times), max(times)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    sessions = {
        since.astimezone(NEW_YORK).date(): (since.astimezone(NEW_YORK).time(), minutes)
        for since, minutes in home.query(
            "SELECT since, minutes FROM market.sessions WHERE session = 'XNYS'"
        )
    }
    closed = [day for day in days if day.weekday() < 5 and day not in times]
    assert [day for day in days if day.weekday() < 5 and day not in sessions] == closed
    assert len(closed) == 21
    assert date(2025, 1, 9) in closed
    assert {sessions[day][0] for day in times} == {time(9, 30)}
    half_days = [day for day in times if sessions[day][1] < 390]
    assert [f"{day:%Y-%m-%d}" for day in half_days] == [
        *("2023-11-24", "2024-07-03", "2024-11-29", "2024-12-24", "2025-07-03")
    ]
    assert {sessions[day][1] for day in half_days} == {210}
    assert max(max(times[day]) for day in half_days) <= time(17)

    regular = sum(
        time(9, 30) <= moment < (time(13) if day in half_days else time(16))
        for day, moments in times.items()
        for moment in moments
    )
    rows = [home.coverage(f"{month}", "FXY") for month in months(span("2023-07-01", "2025-08-01"))]
    assert all(row.adds_up for row in rows)
    assert sum(row.bars for row in rows) == regular
    assert sum(row.bars + row.extended for row in rows) == len(bars)
    whole = [row for row in rows if date(2023, 7, 1) < row.month < date(2025, 7, 1)]
    for row in whole:
        traded = [day for day in times if day.replace(day=1) == row.month]
        assert row.expected == sum(210 if day in half_days else 390 for day in traded)


def test_march_2011_of_spy_has_390_minutes_a_day_across_the_change_of_clocks(
    database: Database, market_data: Path
) -> None:
    expected = published.spy(market_data)
    home = imported.spy(database, market_data)
    row = home.coverage("2011-03", "spy")
    assert row.adds_up
    assert row.expected == row.bars == 23 * 390
    stored = home.stored("spy")
    assert stored == expected
    local = [ts.astimezone(NEW_YORK) for ts in stored]
    regular = Counter(ts.date() for ts in local if time(9, 30) <= ts.time() < time(16))
    assert len(regular) == 23
    assert set(regular.values()) == {390}


@pytest.mark.parametrize(
    ("symbol", "month"),
    [("aapl", "2014-06"), ("spy", "2013-10"), ("ibm", "2013-10"), ("aig", "2013-10")],
)
def test_minutes_of_lean_are_stored_with_raw_prices(
    database: Database, market_data: Path, symbol: str, month: str
) -> None:
    first = date.fromisoformat(f"{month}-01")
    days = published.days_of_lean(market_data, symbol, first)
    expected = published.lean(market_data, symbol, *days)
    home = imported.lean(database, market_data, symbol, first)
    assert home.stored(symbol) == expected
    # The days between them that are in no file have failed, and nothing else has.
    lacking = {since.astimezone(NEW_YORK).date() for since, *_ in home.failures()}
    assert lacking
    assert not lacking & set(days)
    if symbol == "aapl":
        # The split of seven to one is there to be seen.
        closes: dict[date, list[float]] = {day: [] for day in days}
        for ts, one in sorted(home.stored(symbol).items()):
            closes[ts.astimezone(NEW_YORK).date()].append(one[3])
        before, after = closes[date(2014, 6, 6)][-1], closes[date(2014, 6, 9)][-1]
        assert 6.5 < before / after < 7.5


def test_a_zip_that_is_a_byte_short_is_refused_and_the_csv_beside_it_read(
    database: Database, market_data: Path
) -> None:
    life = span("2021-11-27", "2021-11-29")
    columns = (*OHLCV, "_", "_", "trades", "_", "_", "_")
    path = str(market_data / BINANCE / "{symbol}-1m-{year}-{month}-{day}")
    options: dict[str, Any] = {"columns": columns, "time": "epoch", "zone": None}
    home = imported.home_for(database, Path(f"{path}.zip"), "ADABTC", life, **options)
    imported.filled(home, life)
    ((since, before, error, message, *_),) = home.failures()
    assert (since, before, error) == (life.start, at("2021-11-28"), "BrokenFile")
    assert "ADABTC-1m-2021-11-27.zip: it cannot be read: it is cut or damaged" in message
    assert "get the file again" in message
    assert len(home.stored("ADABTC")) == 1440
    home.files = declared(f"{path}.csv", **options)
    (report,) = home.download("2021-11", symbol="ADABTC")
    assert report.complete
    assert (report.inserted, report.revised) == (1440, 0)
    rows = [
        row
        for day in (27, 28)
        for row in csv.reader(
            (market_data / BINANCE / f"ADABTC-1m-2021-11-{day}.csv").read_text().splitlines()
        )
    ]
    assert home.stored("ADABTC") == {
        datetime.fromtimestamp(int(row[0]) / 1000, UTC): tuple(map(float, row[1:6])) for row in rows
    }


def test_a_year_of_bitfinex_is_stored_row_for_row(database: Database, market_data: Path) -> None:
    life = span("2016-01-01", "2017-01-01")
    home = imported.filled(imported.bitcoin(database, market_data, life), life)
    assert all(report.complete for report in home.reports)
    stored = home.stored("BTCUSD")
    assert len(stored) == 293_230
    assert stored == published.merged(market_data, "BTCUSD", 2016)


def test_days_without_a_file_on_which_the_market_was_closed_are_not_missed(
    database: Database, market_data: Path
) -> None:
    home = imported.lean(database, market_data, "aapl", date(2014, 6, 1), session="XNYS")
    assert all(report.complete for report in home.reports)
    assert home.failures() == []
    row = home.coverage("2014-06", "aapl")
    assert row.adds_up
    # 5 June, from the first row on, is whole; so are 6 and 9 June, and nothing is after them.
    assert row.expected - row.unavailable == 3 * 390
    assert len(home.stored("aapl")) == 2303
