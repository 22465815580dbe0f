"""Bars above a minute against what the vendors of the minutes published themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.aggregation import Market, Parts, Spans, aggregate
from pipeline.calendars import SessionDay
from pipeline.intervals import Interval
from pipeline.store.arrow import ArrowReader
from pipeline.store.database import Database
from pipeline.store.server import EmbeddedServer
from pipeline.store.timeframes import minutes_query
from pipeline.timeframes import Timeframe
from tests.conftest import new_database
from tests.files.conftest import Home
from tests.making import at
from tests.oracle import Bar
from tests.realdata import imported, published
from tests.realdata.ledgers import Recording, as_file, build_bars, fill, venue_of
from tests.realdata.published import MINUTE, Bars, in_new_york
from tests.realdata.reading import bars_above

LATER = at("2019-12-01")
SHARES = {"spy": date(2013, 10, 1), "aapl": date(2014, 6, 1)}
EVERY_DAY = [
    *(("spy", date(2013, 10, day)) for day in (4, 7, 8, 9, 10, 11)),
    *(("aapl", date(2014, 6, day)) for day in (5, 6, 9)),
]
CENTS_OFF = [("spy", date(2013, 10, 8)), ("aapl", date(2014, 6, 5)), ("aapl", date(2014, 6, 6))]
"""Days for which Lean's high or low is not that of its own minutes, by two cents at most."""
OTHER_HOURS = [*CENTS_OFF, ("spy", date(2013, 10, 11))]
"""Days of which a price of Lean's hours is not that of its own minutes by more than four cents."""


def values(bar: Bar) -> tuple[float | None, ...]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume)


def test_five_minutes_of_xrp_are_those_that_were_published(
    database: Database, market_data: Path, tmp_path: Path
) -> None:
    minutes, fives = (published.freqtrade(market_data, f"XRP_ETH-{one}") for one in ("1m", "5m"))
    assert (len(minutes), len(fives)) == (2_469, 706)
    life = Interval(min(minutes), max(minutes) + MINUTE)
    recordings = [Recording("XRP-ETH", [as_file(tmp_path / "xrp.csv", minutes)], life)]
    with venue_of(recordings, LATER) as venue:
        fill(database, venue, recordings, LATER)
    build_bars(database)
    bars = bars_above(database, "XRP-ETH", "5m")
    assert {bar.ts: values(bar) for bar in bars} == fives


@dataclass
class Lean:
    """Ledgers with Lean's minutes, and its own longer bars, by the name of the share."""

    homes: dict[str, Home]
    daily: dict[str, Bars]
    hourly: dict[str, Bars]

    def bars(self, share: str, timeframe: str, day: date) -> list[Bar]:
        found = bars_above(self.homes[share].database, share, timeframe)
        return [bar for bar in found if bar.session_date == day]


@pytest.fixture(scope="module")
def lean(server: EmbeddedServer, migrated_template: str, market_data: Path) -> Iterator[Lean]:
    daily, hourly = (
        {share: published.lean_above(market_data, share, length) for share in SHARES}
        for length in ("daily", "hour")
    )
    with (
        new_database(server, migrated_template) as first,
        new_database(server, migrated_template) as second,
    ):
        homes = {}
        for database, (share, month) in zip((first, second), SHARES.items(), strict=True):
            homes[share] = imported.lean(database, market_data, share, month, session="XNYS")
            build_bars(database)
        yield Lean(homes, daily, hourly)


@pytest.mark.parametrize(("share", "day"), EVERY_DAY)
def test_days_are_those_that_lean_published(lean: Lean, share: str, day: date) -> None:
    (bar,) = lean.bars(share, "1d", day)
    right = lean.daily[share][in_new_york(day)]
    assert (bar.minutes_expected, bar.minutes_present, bar.complete) == (390, 390, True)
    if (share, day) in CENTS_OFF:
        assert (bar.open, bar.close, bar.volume) == (right[0], right[3], right[4])
        assert values(bar) == pytest.approx(right, rel=0, abs=0.021)
    else:
        assert values(bar) == right
    # Minutes before and after the session are stored, and not in it.
    stored = lean.homes[share].stored(share)
    of_day = published.between(stored, in_new_york(day), in_new_york(day) + timedelta(days=1))
    assert len(of_day) > 390
    assert sum(one[4] for one in of_day.values()) > right[4]


@pytest.mark.parametrize(("share", "day"), EVERY_DAY)
def test_hours_of_the_clock_are_those_that_lean_published(
    lean: Lean, share: str, day: date
) -> None:
    bars = by_the_clock(lean.homes[share], share, day)
    hours = [in_new_york(day, time(hour)) for hour in range(9, 16)]
    assert bars["ts"].to_pylist() == hours
    assert bars["minutes_present"].to_pylist() == [30, *[60] * 6]
    right = [lean.hourly[share][hour] for hour in hours]
    assert bars["volume"].to_pylist() == [one[4] for one in right]
    if (share, day) not in OTHER_HOURS:
        prices = bars.select(["open", "high", "low", "close"]).to_pylist()
        for row, one in zip(prices, right, strict=True):
            assert tuple(row.values()) == pytest.approx(one[:4], rel=0, abs=0.041)


def by_the_clock(home: Home, share: str, day: date) -> pa.Table:
    """Return bars of an hour of the stored minutes of the session, as if it opened at nine."""
    session = Interval(in_new_york(day, time(9, 30)), in_new_york(day, time(16)))
    around = SessionDay(in_new_york(day, time(9)), session.end, day)
    whole = Interval(in_new_york(day), in_new_york(day) + timedelta(days=1))
    with ArrowReader(home.database) as reader:
        minutes = reader.read(minutes_query(home.listing(share).id, whole))
    spans = Spans([session])
    market = Market([around], spans, spans, spans)
    return aggregate(Parts.of(minutes, market), Timeframe.named("1h"), market)


@pytest.mark.parametrize(("share", "day"), EVERY_DAY)
def test_hours_of_the_session_make_up_its_day(lean: Lean, share: str, day: date) -> None:
    bars, (whole,) = lean.bars(share, "1h", day), lean.bars(share, "1d", day)
    starts = [in_new_york(day, time(hour, 30)) for hour in range(9, 16)]
    assert [bar.ts for bar in bars] == starts
    assert [bar.before for bar in bars] == [*starts[1:], in_new_york(day, time(16))]
    assert [bar.minutes_present for bar in bars] == [*[60] * 6, 30]
    assert values(whole) == (
        bars[0].open,
        max(bar.high for bar in bars),
        min(bar.low for bar in bars),
        bars[-1].close,
        sum(bar.volume or 0 for bar in bars),
    )
