"""Files of real vendors, imported: every row is there, as plain csv and zipfile read it."""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipeline.intervals import Interval
from pipeline.store.database import Database
from tests.files.conftest import OHLCV, Home, declared
from tests.making import at, span
from tests.realdata import published
from tests.realdata.published import Bars

NEW_YORK = ZoneInfo("America/New_York")
MINUTE = timedelta(minutes=1)
FXY = "Wat-Street_money-making/Datasets"
SPY = "gbeced_pyalgotrade/testcases/data"
LEAN = "QuantConnect_Lean/Data/equity/usa/minute"
BINANCE = "nautechsystems_nautilus_trader/history/tests/test_kit/data"


Bar = tuple[float, ...]


def bar(ts: datetime, cells: Iterable[str], divisor: float = 1) -> tuple[datetime, Bar]:
    *prices, volume = map(float, cells)
    return ts.astimezone(UTC), (*(price / divisor for price in prices), volume)


def lean(folder: Path, symbol: str, day: date) -> Bars:
    """Return the bars of one of Lean's zips: milliseconds of the day, ten-thousandths."""
    with zipfile.ZipFile(folder / LEAN / symbol / f"{day:%Y%m%d}_trade.zip") as archive:
        text = archive.read(archive.namelist()[0]).decode()
    midnight = datetime.combine(day, time())
    return dict(
        bar(
            (midnight + timedelta(milliseconds=int(row[0]))).replace(tzinfo=NEW_YORK),
            row[1:],
            divisor=10_000,
        )
        for row in csv.reader(io.StringIO(text))
    )


def months(life: Interval) -> list[str]:
    return [f"{month.start:%Y-%m}" for month in life.months()]


def home_for(
    database: Database,
    folder: Path,
    path: str,
    symbol: str,
    life: Interval,
    *,
    session: str = "24x7",
    **options: Any,
) -> Home:
    """Import months of a symbol into an empty ledger."""
    home = Home(
        database,
        declared(folder / path, **options),
        session=session,
        symbols=(symbol,),
        start=f"{life.start:%Y-%m-%d}",
        end=f"{life.end:%Y-%m-%d}",
    )
    home.reports = home.download(*months(life), symbol=symbol)
    return home


def test_two_years_of_fxy_are_stored_row_for_row(database: Database, market_data: Path) -> None:
    (file,) = (market_data / FXY).glob("FXY_1min_*.csv")
    with file.open(newline="") as opened:
        rows = list(csv.reader(opened))[1:]
    # UTC: in summer as in winter most is traded at 09:30 and 15:59 New York, none before 04:00.
    expected = dict(
        bar(datetime.fromisoformat(row[0]).replace(tzinfo=UTC), row[1:]) for row in rows
    )
    assert len(expected) == len(rows) == 78_974
    home = home_for(
        database,
        market_data,
        f"{FXY}/{{symbol}}_1min_*.csv",
        "FXY",
        span("2023-07-01", "2025-08-01"),
        session="XNYS",
        columns={name: "timestamp" if name == "time" else name for name in OHLCV},
        zone="UTC",
    )
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
    with (market_data / SPY / "nt-spy-minute-2011-03.csv").open(newline="") as opened:
        rows = list(csv.reader(opened, delimiter=";"))
    expected = dict(
        bar(
            datetime.strptime(row[0], "%Y%m%d %H%M%S").replace(tzinfo=UTC) - MINUTE,
            row[1:],
        )
        for row in rows
    )
    home = home_for(
        database,
        market_data,
        f"{SPY}/nt-{{symbol}}-minute-{{year}}-{{month}}.csv",
        "spy",
        span("2011-03-01", "2011-04-01"),
        time="%Y%m%d %H%M%S",
        delimiter=";",
        # New York's hours are found in UTC before as after the change of clocks, an hour apart.
        zone="UTC",
        stamp="end",
        session="XNYS",
    )
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
    files = (market_data / LEAN / symbol).glob(f"{month.replace('-', '')}*_trade.zip")
    days = [date.fromisoformat(file.name[:8]) for file in files]
    expected = {ts: one for day in days for ts, one in lean(market_data, symbol, day).items()}
    whole = Interval.month(date.fromisoformat(f"{month}-01"))
    home = home_for(
        database,
        market_data,
        f"{LEAN}/{{symbol}}/{{year}}{{month}}{{day}}_trade.zip",
        symbol,
        whole,
        time="ms_of_day",
        zone="America/New_York",
        price_scale=10_000,
    )
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
    path = f"{BINANCE}/{{symbol}}-1m-{{year}}-{{month}}-{{day}}"
    options: dict[str, Any] = {"columns": columns, "time": "epoch", "zone": None}
    home = home_for(database, market_data, f"{path}.zip", "ADABTC", life, **options)
    ((since, before, error, message, *_),) = home.failures()
    assert (since, before, error) == (life.start, at("2021-11-28"), "BrokenFile")
    assert "ADABTC-1m-2021-11-27.zip: it cannot be read: it is cut or damaged" in message
    assert "get the file again" in message
    assert len(home.stored("ADABTC")) == 1440
    home.files = declared(market_data / f"{path}.csv", **options)
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
    assert home.stored("ADABTC") == dict(
        bar(datetime.fromtimestamp(int(row[0]) / 1000, UTC), row[1:6]) for row in rows
    )


def test_a_year_of_bitfinex_is_stored_row_for_row(database: Database, market_data: Path) -> None:
    life = span("2016-01-01", "2017-01-01")
    home = home_for(
        database,
        market_data,
        f"{published.FOLDER}/{{symbol}}/Candles_1m/{{year}}/merged.csv.gz",
        "BTCUSD",
        life,
        columns=["time", "open", "close", "high", "low", "volume"],
        time="epoch_ms",
        zone=None,
    )
    assert all(report.complete for report in home.reports)
    stored = home.stored("BTCUSD")
    assert len(stored) == 293_230
    assert stored == published.merged(market_data, "BTCUSD", 2016)


def test_days_without_a_file_on_which_the_market_was_closed_are_not_missed(
    database: Database, market_data: Path
) -> None:
    home = home_for(
        database,
        market_data,
        f"{LEAN}/{{symbol}}/{{year}}{{month}}{{day}}_trade.zip",
        "aapl",
        span("2014-06-01", "2014-07-01"),
        session="XNYS",
        time="ms_of_day",
        zone="America/New_York",
        price_scale=10_000,
    )
    assert all(report.complete for report in home.reports)
    assert home.failures() == []
    row = home.coverage("2014-06", "aapl")
    assert row.adds_up
    # 5 June, from the first row on, is whole; so are 6 and 9 June, and nothing is after them.
    assert row.expected - row.unavailable == 3 * 390
    assert len(home.stored("aapl")) == 2303
