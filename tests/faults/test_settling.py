"""Asking again: after each delay, for what is open and what a page holds besides, or for all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.intervals import Interval, floor_minute
from tests.faults.conftest import DAY, Drill, put_in_ledger
from tests.making import at, span

HOUR = timedelta(hours=1)
everywhere = pytest.mark.parametrize("drill", ["binance", "bitfinex", "coinbase"], indirect=True)
on_bitfinex = pytest.mark.parametrize("drill", ["bitfinex"], indirect=True)


def asked(drill: Drill, now: datetime, *, again: bool = False) -> list[Interval]:
    """Download at that time, and return the windows that were asked for."""
    drill.venue.clear_requests()
    report = drill.download(now=lambda: now, again=again)
    assert report.complete, report.explain()
    return sorted(map(window_of, drill.asked()))


def window_of(request: dict[str, Any]) -> Interval:
    """Return the minutes of a request; how its end is written differs."""
    start, stop = (datetime.fromtimestamp(request[at_] / 1000, UTC) for at_ in ("start", "stop"))
    return Interval(start, floor_minute(stop + timedelta(milliseconds=59_999)))


@on_bitfinex
def test_a_day_is_asked_again_after_an_hour_a_day_and_a_week_and_then_no_more(
    drill: Drill,
) -> None:
    evening = at("2024-03-10T22:30:30")
    asked(drill, evening)
    assert asked(drill, evening + 10 * timedelta(minutes=1)) == [
        span("2024-03-10T22:30", "2024-03-10T22:40")
    ]
    assert asked(drill, evening + HOUR) == [span("2024-03-10T21:30", "2024-03-10T23:30")]
    assert asked(drill, at("2024-03-11T01:00:20")) == [span("2024-03-10T22:30", "2024-03-11")]
    assert asked(drill, at("2024-03-11T23:00")) == []
    assert asked(drill, at("2024-03-12T00:00")) == [DAY]
    assert asked(drill, at("2024-03-17T23:59")) == []
    assert asked(drill, at("2024-03-18T00:00")) == [DAY]
    assert drill.coverage().settled == DAY.minutes
    assert drill.query("SELECT * FROM ledger.settling") == []
    assert asked(drill, at("2024-06-01")) == []
    assert drill.stored() == drill.truth()


@everywhere
def test_what_is_collected_late_is_settled_at_once_and_leaves_no_trace(drill: Drill) -> None:
    asked(drill, at("2024-05-01"))
    assert drill.coverage().settled == DAY.minutes
    assert drill.query("SELECT * FROM ledger.settling") == []


@on_bitfinex
def test_asking_for_all_again_compares_settled_minutes_too(drill: Drill) -> None:
    asked(drill, at("2024-05-01"))
    start = int(at("2024-03-10T12:00").timestamp()) * 1000
    drill.venue.post_fault(
        "restate", exchange=drill.exchange, **{"from": start, "to": start + 300_000}
    )
    assert asked(drill, at("2024-05-01"), again=True) == [DAY]
    ((revised,),) = drill.query("SELECT count(*) FROM market.revisions")
    assert revised > 0


@on_bitfinex
def test_a_gap_is_asked_for_exactly_and_others_in_reach_of_a_page_with_it(drill: Drill) -> None:
    asked(drill, at("2024-05-01"))
    one, other = (
        span("2024-03-10T03:10", "2024-03-10T03:11"),
        span("2024-03-10T20", "2024-03-10T21"),
    )
    forget(drill, one)
    assert asked(drill, at("2024-05-01")) == [one]
    forget(drill, one)
    forget(drill, other)
    assert asked(drill, at("2024-05-01")) == [Interval(one.start, other.end)]
    assert drill.stored() == drill.truth()
    assert drill.coverage().settled == DAY.minutes


@on_bitfinex
def test_a_listing_that_begins_earlier_now_is_asked_for_the_new_minutes_only(drill: Drill) -> None:
    asked(drill, at("2024-05-01"))
    with drill.database.connect() as connection:
        put_in_ledger(connection, drill.exchange, DAY.start - HOUR)
    assert asked(drill, at("2024-05-01")) == [Interval(DAY.start - HOUR, DAY.start)]


def forget(drill: Drill, gap: Interval) -> None:
    """Make minutes pending: neither answered, nor with a bar."""
    with drill.database.connect() as connection:
        connection.execute(
            "DELETE FROM ledger.bars_1m WHERE ts >= %s AND ts < %s", [gap.start, gap.end]
        )
        connection.execute(
            """
            UPDATE ledger.coverage
            SET answered = answered - gap, settled = settled - gap,
                bars = (SELECT count(*) FROM ledger.bars_1m)
            FROM (SELECT tstzmultirange(tstzrange(%s, %s))) AS lost(gap)
            """,
            [gap.start, gap.end],
        )
