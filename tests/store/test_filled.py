"""A filled series says of each row what it is, and stops where nothing is known."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from pipeline.intervals import MINUTE, Interval
from pipeline.settling import Settling
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.listings import listings, sync_universe
from pipeline.universe import Universe
from tests.making import at, bar, span, table

DAY = "2024-01-31"


class Desk:
    """A listing with bars, and an analyst who has it filled."""

    def __init__(self, database: Database, session: str) -> None:
        self.listing_session = session
        self.connection = database.connect()
        self.connection.autocommit = True
        document: dict[str, Any] = {
            "start": "2024-01-01",
            "providers": {"bitfinex": {}},
            "instruments": {
                "IT": {"class": "equity", "session": session, "listings": {"bitfinex": "IT"}}
            },
        }
        sync_universe(self.connection, Universe.model_validate(document))
        self.listing = listings(self.connection, "bitfinex")[0]

    def deliver(self, interval: Interval, *minutes: str) -> None:
        """Answer an interval, with bars in some minutes, each with a price of its own."""
        rows = [_bar(at(minute)) for minute in minutes]
        delivery = Delivery(
            listing_id=self.listing.id,
            month=interval.start.date().replace(day=1),
            answered=(interval,),
            bars=table(rows),
            refused=(),
            failed=(),
            received_at=at("2024-06-01"),
            settling=Settling((timedelta(days=1),)),
        )
        commit(self.connection, delivery)

    def break_(self, interval: Interval) -> None:
        """Call a silence an outage."""
        self.connection.execute(
            "INSERT INTO ledger.gap (listing_id, during, reason, company)"
            " VALUES (%s, tstzrange(%s, %s), 'outage', 'all were silent')",
            [self.listing.id, interval.start, interval.end],
        )

    def filled(self, during: Interval | None = None, **options: Any) -> list[dict[str, Any]]:
        since, before = (during.start, during.end) if during else (None, None)
        named = "".join(f", {name} => %({name})s" for name in options)
        query = (
            f"SELECT * FROM market.bars_1m_filled('bitfinex', 'IT', %(since)s, %(before)s{named})"
        )
        values = {"since": since, "before": before, **options}
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.execute("SET LOCAL ROLE analyst")
            cursor.execute(query.encode(), values)
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def minutes(self, during: Interval | None = None, **options: Any) -> list[str]:
        """Filled minutes in brackets, as `09:31 (09:32)`."""
        rows = self.filled(during, **options)
        return [f"({row['ts']:%H:%M})" if row["filled"] else f"{row['ts']:%H:%M}" for row in rows]


def _price(ts: datetime) -> float:
    return 100.0 + ts.hour + ts.minute / 100


def _bar(ts: datetime) -> dict[str, Any]:
    price = _price(ts)
    return bar(ts, price) | {"close": price + 0.5, "vwap": price, "trades": 7}


@pytest.fixture
def desk(database: Database, request: pytest.FixtureRequest) -> Iterator[Desk]:
    made = Desk(database, getattr(request, "param", "24x7"))
    yield made
    made.connection.close()


NEW_YORK = pytest.mark.parametrize("desk", ["XNYS"], indirect=True)


def test_a_minute_without_a_trade_has_the_close_before_it_and_says_so(desk: Desk) -> None:
    desk.deliver(span(f"{DAY} 10:00", f"{DAY} 10:05"), f"{DAY} 10:01", f"{DAY} 10:03")
    rows = desk.filled()
    first, carried, *_ = rows
    ts = at(f"{DAY} 10:01")
    assert first == _bar(ts) | {"filled": False, "bar_ts": ts}
    close = _price(ts) + 0.5
    assert carried == {
        "ts": at(f"{DAY} 10:02"),
        **dict.fromkeys(("open", "high", "low", "close"), close),
        "volume": 0,
        "vwap": None,
        "trades": 0,
        "filled": True,
        "bar_ts": ts,
    }
    assert [row["ts"].minute for row in rows] == [1, 2, 3, 4], "nothing comes before the first bar"
    assert [row["filled"] for row in rows] == [False, True, False, True]


def test_a_range_begins_with_what_was_known_before_it_and_is_half_open(desk: Desk) -> None:
    desk.deliver(span(f"{DAY} 10:00", f"{DAY} 10:30"), f"{DAY} 10:01", f"{DAY} 10:13")
    found = desk.minutes(span(f"{DAY} 10:11", f"{DAY} 10:15"))
    assert found == ["(10:11)", "(10:12)", "10:13", "(10:14)"]
    assert desk.minutes(span(f"{DAY} 10:15", f"{DAY} 10:15")) == []


def test_a_price_is_carried_over_the_end_of_a_month(desk: Desk) -> None:
    desk.deliver(span(f"{DAY} 23:58", "2024-02-01 00:00"), f"{DAY} 23:58")
    desk.deliver(span("2024-02-01 00:00", "2024-02-01 00:02"))
    assert desk.minutes() == ["23:58", "(23:59)", "(00:00)", "(00:01)"]
    assert desk.minutes(span("2024-02-01 00:01", "2024-02-02")) == ["(00:01)"]


def test_a_price_is_carried_for_an_hour_and_no_longer_unless_something_else_is_said(
    desk: Desk,
) -> None:
    desk.deliver(span(f"{DAY} 10:00", f"{DAY} 20:00"), f"{DAY} 10:00", f"{DAY} 15:00")
    whole = desk.minutes()
    assert len(whole) == 2 * 61
    assert whole[60:62] == ["(11:00)", "15:00"]
    assert desk.minutes(max_minutes=1) == ["10:00", "(10:01)", "15:00", "(15:01)"]
    for none in (0, -5):
        assert desk.minutes(max_minutes=none) == ["10:00", "15:00"]
    assert desk.minutes(max_minutes=None) == whole
    later = span(f"{DAY} 11:00", f"{DAY} 14:00")
    assert desk.minutes(later) == ["(11:00)"]
    assert desk.minutes(later, max_minutes=62) == ["(11:00)", "(11:01)", "(11:02)"]


def test_what_was_not_answered_is_never_filled_and_nothing_after_it_until_a_bar(
    desk: Desk,
) -> None:
    desk.deliver(span(f"{DAY} 10:00", f"{DAY} 10:03"), f"{DAY} 10:01")
    desk.deliver(span(f"{DAY} 10:05", f"{DAY} 10:10"), f"{DAY} 10:07")
    assert desk.minutes() == ["10:01", "(10:02)", "10:07", "(10:08)", "(10:09)"]


def test_an_outage_is_not_filled_but_a_bar_that_came_late_is_there(desk: Desk) -> None:
    desk.deliver(span(f"{DAY} 10:00", f"{DAY} 10:12"), f"{DAY} 10:00", f"{DAY} 10:10")
    desk.break_(span(f"{DAY} 10:01", f"{DAY} 10:10"))
    assert desk.minutes() == ["10:00", "10:10", "(10:11)"]
    late = at(f"{DAY} 10:05")
    desk.deliver(span(f"{DAY} 10:05", f"{DAY} 10:06"), f"{DAY} 10:05")
    assert [row["ts"] for row in desk.filled() if not row["filled"]][1] == late
    assert desk.minutes() == ["10:00", "10:05", "10:10", "(10:11)"]


@NEW_YORK
def test_only_the_regular_session_is_filled_and_each_begins_anew(desk: Desk) -> None:
    desk.deliver(
        span("2024-01-30 12:00", "2024-01-31 14:34"),
        "2024-01-30 12:00",  # before the opening
        "2024-01-30 14:31",
        "2024-01-30 20:58",
        "2024-01-30 21:05",  # after the close
        "2024-01-31 14:32",
    )
    assert desk.minutes(max_minutes=10_000)[:2] == ["14:31", "(14:32)"]
    assert desk.minutes(max_minutes=10_000)[-5:] == [
        "(20:57)",
        "20:58",
        "(20:59)",
        "14:32",
        "(14:33)",
    ]


@pytest.mark.parametrize("desk", ["24x7", "XNYS"], indirect=True)
def test_unfilled_it_is_the_raw_series_of_the_session(desk: Desk) -> None:
    minutes = [f"2024-01-{day} {hour}:{day}" for day in (12, 16, 17) for hour in (13, 15, 18)]
    desk.deliver(span("2024-01-10", "2024-01-20"), *minutes)
    raw = desk.connection.execute(
        "SELECT ts, open, high, low, close, volume, vwap, trades FROM market.bars_1m"
        " WHERE NOT extended ORDER BY ts"
    ).fetchall()
    found = [row for row in desk.filled() if not row["filled"]]
    names = ("ts", "open", "high", "low", "close", "volume", "vwap", "trades")
    assert [tuple(row[name] for name in names) for row in found] == raw
    assert len(raw) in (6, 9)


@pytest.mark.parametrize("desk", ["24x7", "XNYS"], indirect=True)
@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_going_from_minute_to_minute_gives(desk: Desk, seed: int) -> None:
    generator = random.Random(seed)
    whole = span("2024-01-31 12:00", "2024-02-01 22:00")
    bars: set[datetime] = set()
    answered: set[datetime] = set()
    edges = sorted({generator.randrange(whole.minutes) for _ in range(12)})
    for first, end in pairwise(edges):
        if generator.random() < 0.3:
            continue  # not answered
        share = generator.choice([0.01, 0.05, 0.5])
        part = Interval(whole.start + first * MINUTE, whole.start + end * MINUTE)
        for month in part.months():
            minutes = {month.start + number * MINUTE for number in range(month.minutes)}
            traded = {minute for minute in sorted(minutes) if generator.random() < share}
            desk.deliver(month, *(f"{minute:%Y-%m-%d %H:%M}" for minute in sorted(traded)))
            answered |= minutes
            bars |= traded
    silent = [pair for pair in pairwise(sorted(bars)) if pair[1] - pair[0] > MINUTE]
    since, before = generator.choice(silent)
    broken = Interval(since + MINUTE, before)
    desk.break_(broken)
    asked = Interval(whole.start + 300 * MINUTE, whole.end - 100 * MINUTE)
    limit = generator.choice([1, 7, 60, 600])
    found = [(row["ts"], row["bar_ts"]) for row in desk.filled(asked, max_minutes=limit)]
    closed = _closed(desk, whole)
    right = list(_walk(whole, bars, answered - closed, broken, limit))
    assert found == [row for row in right if asked.start <= row[0] < asked.end]


def _closed(desk: Desk, whole: Interval) -> set[datetime]:
    if desk.listing_session == "24x7":
        return set()
    days = [span(f"{day} 14:30", f"{day} 21:00") for day in ("2024-01-31", "2024-02-01")]
    moments = (whole.start + number * MINUTE for number in range(whole.minutes))
    return {ts for ts in moments if not any(day.start <= ts < day.end for day in days)}


def _walk(
    whole: Interval, bars: set[datetime], known: set[datetime], broken: Interval, limit: int
) -> Iterator[tuple[datetime, datetime]]:
    last: datetime | None = None
    for number in range(whole.minutes):
        ts = whole.start + number * MINUTE
        if ts not in known or (ts not in bars and broken.start <= ts < broken.end):
            last = None
        elif ts in bars:
            last = ts
        elif last is not None and ts - last > limit * MINUTE:
            last = None
        if last is not None:
            yield ts, last


def test_a_listing_that_is_not_there_is_an_error(desk: Desk) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="no listing THAT of bitfinex"):
        desk.connection.execute("SELECT market.listing_id('bitfinex', 'THAT')")
    with pytest.raises(psycopg.errors.RaiseException, match="no listing THAT of bitfinex"):
        desk.connection.execute(
            "SELECT * FROM market.bars_1m_filled('bitfinex', 'THAT', NULL, NULL)"
        )
