"""Bars of all timeframes follow their minutes: whenever these change, wherever, and no others."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pipeline.building import build
from pipeline.calendars import session_named
from pipeline.intervals import MINUTE, Interval
from pipeline.listing import Listing
from pipeline.settling import Settling
from pipeline.store import timeframes as store
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.listings import listings, save_first_trade, sync_universe
from pipeline.store.notes import STALE
from pipeline.store.session import LedgerSession
from pipeline.timeframes import USUAL
from pipeline.universe import Universe
from tests import oracle
from tests.making import at, executed, made_up_minute, span, table
from tests.oracle import Bar, Day, Minute

START, END = at("2023-12-20"), at("2024-02-10")
LATER = at("2024-06-01")
NOWHERE = Settling((timedelta(days=1),))


class Desk:
    """A listing, what was delivered of it, and what should be stored above it."""

    def __init__(self, database: Database, session: str) -> None:
        self.database = database
        self.session_name = session
        self.session = LedgerSession(database)
        self.minutes: dict[datetime, Minute] = {}
        self.answered: set[datetime] = set()
        self.first_trade: datetime | None = None
        # Kept, because their minutes take long to make.
        self.days: dict[tuple[date, tuple[Interval, ...]], Day] = {}
        self.sync()

    def sync(self, *timeframes: str) -> None:
        document: dict[str, Any] = {
            "start": START,
            "timeframes": list(timeframes or USUAL),
            "providers": {"bitfinex": {}},
            "instruments": {
                "IT": {
                    "class": "equity",
                    "session": self.session_name,
                    "listings": {"bitfinex": {"symbol": "IT", "end": END}},
                }
            },
        }
        universe = Universe.model_validate(document)
        self.session.run(lambda c: sync_universe(c, universe))
        self.listing: Listing = self.session.run(lambda c: listings(c, "bitfinex"))[0]

    def deliver(self, interval: Interval, share: float = 0.7, seed: int = 1) -> None:
        """Answer an interval, with bars in a share of its minutes; older bars there may change."""
        generator = random.Random(f"{seed} {interval}")
        for month in interval.months():
            moments = [month.start + number * MINUTE for number in range(month.minutes)]
            rows = {
                ts: self.minutes.get(ts) or made_up_minute(generator)
                for ts in moments
                if ts in self.minutes or generator.random() < share
            }
            self.put(month, rows)

    def put(self, interval: Interval, rows: Mapping[datetime, Minute]) -> None:
        """Answer an interval of one month with these bars."""
        bars = table({"ts": ts, **rows[ts]._asdict()} for ts in sorted(rows))
        delivery = Delivery(
            listing_id=self.listing.id,
            month=interval.start.date().replace(day=1),
            answered=(interval,),
            bars=bars,
            refused=(),
            failed=(),
            received_at=LATER,
            settling=NOWHERE,
        )
        self.session.run(lambda c: commit(c, delivery))
        self.minutes.update(rows)
        self.answered.update(interval.start + n * MINUTE for n in range(interval.minutes))

    def build(self) -> None:
        build(self.database, self.session, [self.listing.id])

    def stored(self, timeframe: str) -> list[Bar]:
        names = ", ".join(Bar._fields)
        rows = self.execute(f"SELECT {names} FROM ledger.bars_{timeframe} ORDER BY ts")
        return [Bar(*row) for row in rows]

    def right(self, timeframe: str) -> list[Bar]:
        first, last = min(self.answered).date(), max(self.answered).date()
        around = {"1w": 7, "1mo": 31, "1y": 366}.get(timeframe, 2) * timedelta(days=1)
        trading = session_named(self.session_name).trading(first - around, last + around)
        days = [
            self.days.setdefault(
                (one.day, one.open), Day(one.day, [(piece.start, piece.end) for piece in one.open])
            )
            for one in trading
        ]
        return oracle.bars(timeframe, days, self.minutes, self.answered, self.first_trade)

    def problems(self, *timeframes: str) -> list[str]:
        return [
            f"{name} {text}"
            for name in timeframes or USUAL
            for text in oracle.differences(self.stored(name), self.right(name))
        ]

    def versions(self) -> dict[tuple[str, datetime], str]:
        """Which transaction wrote each stored row, and which one locked it."""
        found: dict[tuple[str, datetime], str] = {}
        for name in USUAL:
            rows = self.execute(f"SELECT ts, xmin || ' ' || xmax FROM ledger.bars_{name}")
            found |= {(name, ts): version for ts, version in rows}
        return found

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return executed(self.session, statement)


@pytest.fixture
def desk(database: Database, request: pytest.FixtureRequest) -> Iterator[Desk]:
    made = Desk(database, getattr(request, "param", "24x7"))
    yield made
    made.session.close()


SESSIONS = pytest.mark.parametrize("desk", ["24x7", "XNYS", "24x5"], indirect=True)


@SESSIONS
def test_what_is_stored_is_what_the_minutes_say(desk: Desk) -> None:
    desk.deliver(span("2023-12-28 10:00", "2024-01-19 18:33"))
    desk.build()
    assert desk.problems() == []
    assert all(desk.stored(name) for name in USUAL)


@SESSIONS
def test_minutes_that_come_late_and_in_any_order_reach_all_bars(desk: Desk) -> None:
    pieces = [
        span("2024-01-29 00:00", "2024-02-02 15:07"),
        span("2023-12-28 15:00", "2024-01-03 16:11"),
        span("2024-01-03 16:11", "2024-01-03 16:12"),
        span("2023-12-22 00:00", "2023-12-28 15:00"),
        span("2024-01-26 15:00", "2024-01-26 20:00"),
    ]
    for piece in pieces:
        desk.deliver(piece)
        desk.build()
        assert desk.problems() == []


@SESSIONS
def test_a_changed_minute_changes_one_bar_of_each_timeframe_and_no_other(desk: Desk) -> None:
    desk.deliver(span("2023-12-28", "2024-02-02"), share=1)
    desk.build()
    moments = ["2024-01-24 16:41", "2023-12-29 20:59", "2024-01-02 14:30", "2024-01-31 20:59"]
    for high, ts in enumerate(map(at, moments), 500):
        before = desk.versions()
        desk.put(Interval(ts, ts + MINUTE), {ts: desk.minutes[ts]._replace(high=float(high))})
        desk.build()
        after = desk.versions()
        assert desk.problems() == []
        assert sorted(name for name, _ in before.items() ^ after.items()) == sorted(
            (name, bar.ts)
            for name in USUAL
            for bar in desk.stored(name)
            if bar.high == high
            for _ in range(2)
        )
        assert len({name for name, _ in (one for one, _ in before.items() ^ after.items())}) == 8


def test_an_answer_without_a_bar_makes_bars_complete(desk: Desk) -> None:
    desk.deliver(span("2024-01-10 10:00", "2024-01-10 10:03"), share=1)
    desk.build()
    assert not desk.stored("5m")[0].complete
    desk.put(span("2024-01-10 10:03", "2024-01-10 10:05"), {})
    desk.build()
    (bar,) = desk.stored("5m")
    assert (bar.minutes_expected, bar.minutes_present, bar.complete) == (5, 3, True)
    assert desk.problems() == []


def test_nothing_is_expected_before_the_first_trade(desk: Desk) -> None:
    first = at("2024-01-17 09:41")
    desk.deliver(Interval(first, at("2024-01-20")), share=1)
    desk.build()
    assert desk.stored("1d")[0].minutes_expected == 1440
    desk.session.run(lambda c: save_first_trade(c, desk.listing, first, "said so", LATER))
    desk.first_trade = first
    desk.build()
    assert desk.problems() == []
    assert desk.stored("1d")[0].minutes_expected == 1440 - 581
    assert desk.stored("1d")[0].complete


@pytest.mark.parametrize("desk", ["XNYS"], indirect=True)
def test_another_session_gives_other_bars(desk: Desk) -> None:
    desk.deliver(span("2023-12-28", "2024-02-02"))
    desk.build()
    desk.session_name = "XLON"
    desk.sync()
    desk.build()
    assert desk.problems() == []
    desk.session_name = "24x7"
    desk.sync()
    desk.build()
    assert desk.problems() == []


@pytest.mark.parametrize("desk", ["XNYS"], indirect=True)
def test_a_day_that_turns_out_to_have_been_closed_loses_its_bars(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.deliver(span("2024-01-02", "2024-01-13"))
    desk.build()
    closed = date(2024, 1, 9)
    rule = type(session_named("XNYS"))
    known = rule.trading

    def without(self: Any, first: date, last: date) -> Iterator[Any]:
        return (one for one in known(self, first, last) if one.day != closed)

    monkeypatch.setattr(rule, "trading", without)
    monkeypatch.setattr(rule, "calendar", "a newer one")
    desk.sync()
    desk.build()
    assert desk.problems() == []
    assert closed not in {bar.session_date for bar in desk.stored("1h")}


def test_a_rebuild_of_any_range_gives_identical_rows_and_touches_none(desk: Desk) -> None:
    desk.deliver(span("2023-12-28 10:00", "2024-01-19 18:33"))
    desk.build()
    before = desk.versions()
    number = desk.listing.id
    desk.session.run(lambda c: store.mark_stale(c, number, span("2023-12-30", "2024-02-01")))
    desk.build()
    assert desk.versions() == before
    for name in USUAL:
        desk.execute(f"DELETE FROM ledger.bars_{name}")
    desk.session.run(lambda c: store.mark_stale(c, number, Interval(START, END)))
    desk.build()
    assert desk.versions().keys() == before.keys()
    assert desk.problems() == []


def test_a_timeframe_that_is_added_is_built_and_one_that_is_dropped_is_gone(desk: Desk) -> None:
    desk.deliver(span("2023-12-28 10:00", "2024-01-07 18:33"))
    desk.build()
    desk.sync("90m", "1d", "1y")
    desk.build()
    assert desk.problems("90m", "1d", "1y") == []
    known = desk.execute(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = 'market' AND table_name LIKE 'bars%'"
    )
    assert {name for (name,) in known} == {"bars_1m", "bars_90m", "bars_1d", "bars_1y"}


def test_a_build_that_is_interrupted_is_taken_up_again(desk: Desk) -> None:
    desk.deliver(span("2023-12-28 10:00", "2024-01-19 18:33"))

    class Interrupted(Exception):
        pass

    def write(connection: psycopg.Connection, number: int) -> None:
        with connection.transaction():
            assert STALE.take(connection, number)
            raise Interrupted

    with pytest.raises(Interrupted):
        desk.session.run(lambda c: write(c, desk.listing.id))
    desk.build()
    assert desk.problems() == []


def test_two_that_build_the_same_listing_at_once_lose_nothing(desk: Desk) -> None:
    desk.deliver(span("2023-12-28 10:00", "2024-01-19 18:33"))

    def work() -> None:
        with LedgerSession(desk.database) as session:
            build(desk.database, session, [desk.listing.id])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert desk.problems() == []


def test_what_is_delivered_while_bars_are_built_is_built_too(desk: Desk) -> None:
    desk.deliver(span("2024-01-01", "2024-01-08"))
    done = threading.Event()

    def work() -> None:
        with LedgerSession(desk.database) as session:
            while not done.is_set():
                build(desk.database, session, [desk.listing.id])

    thread = threading.Thread(target=work)
    thread.start()
    for day in range(8, 24):
        desk.deliver(span(f"2024-01-{day:02}", f"2024-01-{day + 1:02}"))
    done.set()
    thread.join()
    desk.build()
    assert desk.problems() == []
