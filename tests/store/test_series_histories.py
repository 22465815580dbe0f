"""One series per instrument, after whatever has happened to its listings, their hours and names."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pipeline import building
from pipeline.intervals import MINUTE, Interval
from pipeline.store.migrate import migrate
from tests.making import at, span
from tests.store.series import NAMES, Desk

XNYS = pytest.mark.parametrize("desk", [("XNYS", "primary")], indirect=True)
MEDIAN = pytest.mark.parametrize("desk", [("24x7", "median")], indirect=True)


@pytest.mark.parametrize(
    ("desk", "seed"),
    [((session, "primary"), seed) for session in ("24x7", "24x5", "XNYS") for seed in range(1, 4)],
    indirect=["desk"],
    ids=str,
)
def test_any_history_ends_in_the_same_series(desk: Desk, seed: int) -> None:
    generator = random.Random(seed)
    desk.timeframes = ["5m", "4h", "1d", "1w", "1mo"]
    desk.sync()
    # A night, a weekend and the end of a month; outside of hours, too.
    around = span("2024-01-31 08:00", "2024-02-05 22:00")
    for _ in range(22):
        start = around.start + generator.randrange(around.minutes) * MINUTE
        piece = Interval(start, start + generator.randrange(1, 600) * MINUTE)
        name = generator.choice(NAMES)
        match generator.randrange(8):
            case 0:
                desk.order.append(desk.order.pop(0))
                desk.sync()
            case 1:
                desk.method = generator.choice(["primary", "median"])
                desk.sync()
            case 2:
                desk.trade_first(name, start)
            case _ if start >= (desk.feeds[name].first_trade or start):
                desk.deliver(name, piece)
        if generator.random() < 0.4:
            desk.build()
            assert desk.problems() == []
    desk.build()
    assert desk.problems() == []


@XNYS
def test_minutes_outside_of_the_session_take_no_bar_away_and_double_none(desk: Desk) -> None:
    for day in ("08", "09", "10"):
        desk.deliver("kraken", span(f"2024-01-{day} 14:30", f"2024-01-{day} 21:00"))
    desk.build()
    desk.deliver("binance", span("2024-01-08 21:00", "2024-01-08 23:00"))
    desk.build()
    assert desk.problems() == []
    assert desk.execute("SELECT provider FROM market.consolidated_1w") == [("kraken",)]
    desk.deliver("kraken", span("2024-01-11 14:30", "2024-01-11 21:00"))
    desk.build()
    desk.deliver("kraken", span("2024-01-08 21:00", "2024-01-08 23:00"))
    desk.build()
    assert desk.problems() == []


def test_a_series_whose_session_changes_keeps_no_bar_of_the_old_one(desk: Desk) -> None:
    desk.deliver("kraken", span("2024-01-10 10:00", "2024-01-10 15:00"))
    desk.deliver("binance", span("2024-01-10 15:00", "2024-01-10 20:00"))
    desk.build()
    desk.session_name = "XNYS"
    desk.sync()
    desk.build()
    assert desk.problems() == []
    for view in ("bars_1d", "consolidated_1d"):
        assert desk.execute(
            f"SELECT DISTINCT ts FROM market.{view} WHERE session_date = '2024-01-10'"
        ) == [(at("2024-01-10 14:30"),)]


@MEDIAN
def test_a_listing_that_is_gone_has_no_vote(desk: Desk) -> None:
    hour = span("2024-01-10 12:00", "2024-01-10 13:00")
    for name in NAMES:
        desk.deliver(name, hour, share=0.9)
    desk.deliver("bitfinex", span("2024-01-10 13:00", "2024-01-10 14:00"))
    desk.order.remove("bitfinex")
    desk.sync()
    desk.order.append("bitfinex")
    desk.feeds["bitfinex"].removed = True
    desk.build()
    assert desk.problems() == []
    names = desk.execute("SELECT DISTINCT provider FROM market.consolidated_1m ORDER BY 1")
    assert ("bitfinex",) in names
    assert ("binance+kraken",) in names


@MEDIAN
def test_a_provider_whose_listing_got_another_key_votes_once(desk: Desk) -> None:
    hour = span("2024-01-10 12:00", "2024-01-10 13:00")
    desk.deliver("kraken", hour, share=1)
    desk.build()
    desk.sync(kraken={"key": "IT2"})
    ((number,),) = desk.execute("SELECT id FROM ledger.listing WHERE key = 'IT2'")
    desk.ids["kraken"] = number
    desk.put("kraken", hour, dict(desk.feeds["kraken"].minutes))
    desk.build()
    own = "SELECT count(*), count(trades) FROM market.consolidated_1m WHERE listing = 'IT2'"
    assert desk.execute(own) == [(60, 60)]
    desk.deliver("binance", hour, share=1)
    desk.build()
    means = """
        SELECT count(*) FROM market.consolidated_1m c
        JOIN ledger.bars_1m k ON k.ts = c.ts AND k.listing_id = {kraken}
        JOIN ledger.bars_1m b ON b.ts = c.ts AND b.listing_id = {binance}
        WHERE c.provider = 'binance+kraken' AND abs(c.close - (k.close + b.close) / 2) < 1e-9
    """
    assert desk.execute(means.format(**desk.ids)) == [(60,)]


def test_a_listing_does_not_speak_for_the_time_before_its_first_trade(desk: Desk) -> None:
    desk.deliver("kraken", span("2024-01-10 12:00", "2024-01-11"))
    for name, first in (("kraken", "2024-01-10 12:00"), ("binance", "2023-12-20")):
        desk.trade_first(name, at(first))
    desk.trade_first("bitfinex", at("2023-12-20"))
    desk.build()
    assert desk.problems() == []
    bar = "SELECT minutes_expected, complete FROM market.consolidated_1d"
    assert desk.execute(bar) == [(1440, False)]


def test_a_timeframe_that_is_added_while_bars_are_built_is_built_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Desk(desk.database)
    other.timeframes = ["1h", "4h", "1d"]
    desk.timeframes = ["4h", "1d"]
    desk.sync()
    desk.deliver("kraken", span("2024-01-30 20:00", "2024-02-02 04:00"))
    once = building._build_month

    def and_then_another_is_wanted(*arguments: Any) -> Any:
        yield from once(*arguments)
        other.sync()

    monkeypatch.setattr(building, "_build_month", and_then_another_is_wanted)
    desk.build()
    other.session.close()
    desk.timeframes = other.timeframes
    desk.build()
    assert desk.problems() == []
    assert desk.execute("SELECT count(*) > 40 FROM market.bars_1h") == [(True,)]


def test_history_without_longer_bars_is_consolidated_by_the_migration(desk: Desk) -> None:
    desk.timeframes = []
    desk.sync()
    desk.deliver("kraken", span("2024-01-10 12:00", "2024-01-10 13:00"))
    desk.build()
    migrate(desk.database, "0013")
    migrate(desk.database)
    desk.sync()
    desk.build()
    assert desk.problems() == []
    assert desk.execute("SELECT count(*) > 20 FROM market.consolidated_1m") == [(True,)]
