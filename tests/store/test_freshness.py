"""How far behind listings are, on a real database: by market time, at any moment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from pipeline.clock import Clock
from pipeline.intervals import Interval
from pipeline.settling import Settling
from pipeline.store.coverage import mark_unavailable
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.failures import Failure
from pipeline.store.freshness import Freshness, freshness
from pipeline.store.listings import listings, sync_universe
from pipeline.store.standby import follow_needs
from pipeline.universe import Universe
from tests.making import at, bars, span, table

DAILY = Settling((timedelta(days=1),))
FRIDAY_CLOSE, MONDAY_OPEN = at("2024-11-29 18:00"), at("2024-12-02 14:30")  # a half day
MONTHS = span("2024-10-01", "2024-12-01")


@pytest.fixture(scope="module")
def synced(shared_database: Database) -> Database:
    with shared_database.connect() as connection:
        sync(connection)
    return shared_database


@pytest.fixture
def connection(synced: Database) -> Iterator[psycopg.Connection]:
    """A connection whose work is undone in the end."""
    with synced.connect() as connection, connection.transaction(force_rollback=True):
        yield connection


def sync(connection: psycopg.Connection, **listing: Any) -> None:
    """Have one coin at bitfinex, and one stock at alpaca whose options these are."""
    document: dict[str, Any] = {
        "start": "2024-06-01",
        "providers": {"bitfinex": {"lag": "1m", "refresh": "10m"}, "alpaca": {}},
        "instruments": {
            "BTC-USD": {"class": "crypto_spot", "listings": {"bitfinex": "BTC/USD"}},
            "MSFT": {"class": "equity", "listings": {"alpaca": {"symbol": "MSFT"} | listing}},
        },
    }
    sync_universe(connection, Universe.model_validate(document))


def answer(
    connection: psycopg.Connection,
    provider: str,
    *answered: Interval,
    failed: Interval | None = None,
    with_bars: Interval | None = None,
) -> None:
    """Answer minutes of one listing of a provider, a month at a time; bars are of the last."""
    (listing,) = listings(connection, provider)
    failures = (Failure(failed, "RequestTimedOut", "late", retryable=True),) if failed else ()
    for interval in answered or (failed,):
        assert interval is not None
        for first in interval.first_days():
            piece = interval.intersection(Interval.month(first)) if answered else None
            pieces = (piece,) if piece else ()
            stored = with_bars if with_bars and piece and with_bars.start in piece else None
            rows = bars(stored) if stored else table([])
            now = interval.end + timedelta(hours=1)
            commit(connection, Delivery(listing.id, first, pieces, rows, (), failures, now, DAILY))


def state(connection: psycopg.Connection, provider: str, now: str | datetime) -> Freshness:
    moment = at(now) if isinstance(now, str) else now
    (row,) = freshness(connection, provider, now=moment)
    return row


def test_a_minute_is_stale_once_it_is_final_and_has_waited_for_the_providers_refresh(
    connection: psycopg.Connection,
) -> None:
    answered = span("2024-10-01", "2024-11-05 12:00")
    answer(connection, "bitfinex", answered, with_bars=span("2024-11-05 11:50", "2024-11-05 11:58"))
    row = state(connection, "bitfinex", "2024-11-05 12:01")
    assert (row.stale_since, row.stale_minutes, row.fresh) == (None, 0, True)
    assert (row.answered_until, row.newest_bar) == (answered.end, at("2024-11-05 11:57"))
    row = state(connection, "bitfinex", "2024-11-05 12:02")  # over for as long as the lag is
    assert (row.stale_since, row.stale_minutes, row.fresh) == (answered.end, 1, True)
    row = state(connection, "bitfinex", "2024-11-05 12:12")
    assert (row.unasked_since, row.stale_minutes, row.fresh) == (answered.end, 11, True)
    row = state(connection, "bitfinex", at("2024-11-05 12:12") + timedelta(seconds=1))
    assert (row.stale_since, row.fresh, row.refresh) == (answered.end, False, timedelta(minutes=10))


def test_what_was_never_asked_of_this_month_and_the_last_is_stale_and_history_is_not(
    connection: psycopg.Connection,
) -> None:
    row = state(connection, "bitfinex", "2024-11-05 12:00")
    assert (row.stale_since, row.answered_until) == (at("2024-10-01"), None)
    assert row.stale_minutes == span("2024-10-01", "2024-11-05 11:59").minutes


@pytest.mark.parametrize(
    ("now", "since", "fresh"),
    [
        ("2024-10-31 23:59:30", None, True),
        ("2024-11-01 00:00:30", "2024-10-31 23:58", True),
        ("2024-11-01 00:09:30", "2024-10-31 23:58", True),
        ("2024-11-01 00:10:30", "2024-10-31 23:58", False),
        ("2024-11-30 23:59:00", "2024-10-31 23:58", False),
        ("2024-12-01 00:00:00", "2024-11-01", False),  # the rest of October is history by now
    ],
)
def test_the_tail_reaches_over_the_roll_over_of_the_month(
    connection: psycopg.Connection,
    now: str,
    since: str | None,
    fresh: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    answer(connection, "bitfinex", span("2024-10-01", "2024-10-31 23:58"))
    row = state(connection, "bitfinex", now)
    assert (row.stale_since, row.fresh) == (since and at(since), fresh)


@pytest.mark.parametrize(
    "now",
    [
        "2024-11-29 18:10",  # after a half day's close
        "2024-11-30 03:00",  # at night
        "2024-11-30 17:00",  # on a Saturday, in the hours of a weekday
        "2024-12-01 00:01",  # in the new month
        "2024-12-02 14:46",  # the market has opened, but nothing of that is final yet
    ],
)
def test_no_stock_is_stale_while_its_market_is_closed(
    connection: psycopg.Connection, now: str
) -> None:
    answer(connection, "alpaca", span("2024-10-01", "2024-11-29 18:00"))
    row = state(connection, "alpaca", now)
    assert (row.stale_since, row.stale_minutes, row.fresh) == (None, 0, True)


def test_a_stock_is_stale_from_the_open_on(connection: psycopg.Connection) -> None:
    answer(connection, "alpaca", span("2024-10-01", "2024-11-29 17:50"))
    row = state(connection, "alpaca", "2024-12-01 12:00")
    assert (row.stale_since, row.stale_minutes) == (at("2024-11-29 17:50"), 10)
    answer(connection, "alpaca", span("2024-11-29 17:50", "2024-11-29 22:00"))
    row = state(connection, "alpaca", MONDAY_OPEN + timedelta(minutes=1 + 16 + 15))
    assert (row.stale_since, row.stale_minutes, row.fresh) == (MONDAY_OPEN, 16, True)
    row = state(connection, "alpaca", MONDAY_OPEN + timedelta(minutes=1 + 16 + 16))
    assert (row.stale_since, row.stale_minutes, row.fresh) == (MONDAY_OPEN, 17, False)


def test_the_open_is_where_daylight_saving_puts_it(connection: psycopg.Connection) -> None:
    answer(connection, "alpaca", span("2024-10-01", "2024-11-01 20:00"))
    row = state(connection, "alpaca", "2024-11-04 16:00")
    assert row.stale_since == at("2024-11-04 14:30")  # a week before it was 13:30


def test_a_listing_that_has_ended_is_not_stale_and_one_that_was_removed_is_not_there(
    connection: psycopg.Connection,
) -> None:
    sync(connection, end="2024-11-05")
    answer(connection, "alpaca", span("2024-10-01", "2024-11-02"))
    row = state(connection, "alpaca", "2024-11-04 23:00")
    assert (row.stale_since, row.fresh) == (at("2024-11-04 14:30"), False)
    row = state(connection, "alpaca", "2024-11-20 18:00")  # what it lacks is history
    assert (row.stale_since, row.fresh) == (None, True)
    connection.execute("UPDATE ledger.listing SET in_universe = false WHERE key = 'MSFT'")
    assert [one.listing for one in freshness(connection)] == ["BTC-USD"]


def test_what_a_provider_no_longer_serves_is_not_stale(connection: psycopg.Connection) -> None:
    (listing,) = listings(connection, "bitfinex")
    for month in span("2024-10-01", "2024-11-05").first_days():
        lost = Interval.month(month).intersection(span("2024-10-01", "2024-11-05 06:00"))
        assert lost is not None
        mark_unavailable(connection, listing.id, lost)
    assert state(connection, "bitfinex", "2024-11-05 12:00").stale_since == at("2024-11-05 06:00")


def test_a_failed_minute_is_stale_but_was_asked_for(connection: psycopg.Connection) -> None:
    failed = span("2024-11-05 12:00", "2024-11-05 12:30")
    answer(connection, "bitfinex", span("2024-10-01", "2024-11-05 12:00"))
    answer(connection, "bitfinex", failed=failed)
    row = state(connection, "bitfinex", "2024-11-05 13:01")
    assert (row.stale_since, row.unasked_since) == (failed.start, failed.end)
    assert (row.failing_since, row.last_error) == (at("2024-11-05 13:30"), "late")
    answer(connection, "bitfinex", span("2024-11-05 12:30", "2024-11-05 13:00"))
    row = state(connection, "bitfinex", "2024-11-05 13:01")
    assert (row.stale_since, row.failing_since) == (None, None)  # it is no longer at the end


def test_a_standby_is_stale_only_for_what_it_is_needed_for(connection: psycopg.Connection) -> None:
    document: dict[str, Any] = {
        "start": "2024-06-01",
        "providers": {"bitfinex": {}, "coinbase": {}},
        "selection": [{"class": "crypto_spot", "providers": ["bitfinex", "coinbase"]}],
        "instruments": {
            "BTC-USD": {
                "class": "crypto_spot",
                "listings": {"bitfinex": "BTC/USD", "coinbase": "BTC-USD"},
            }
        },
    }
    sync_universe(connection, Universe.model_validate(document))
    failed = span("2024-11-05 12:00", "2024-11-05 12:30")
    answer(connection, "bitfinex", span("2024-06-01", "2024-11-05 12:00"))
    assert state(connection, "coinbase", "2024-11-05 13:01").fresh
    answer(connection, "bitfinex", failed=failed)
    with connection.transaction():
        follow_needs(connection)
    row = state(connection, "coinbase", "2024-11-05 13:01")
    assert (row.stale_since, row.stale_minutes, row.fresh) == (failed.start, 30, False)


def test_the_universe_says_how_long_a_minute_may_wait(connection: psycopg.Connection) -> None:
    known = {row.provider: row.refresh for row in freshness(connection)}
    assert known == {"bitfinex": timedelta(minutes=10), "alpaca": timedelta(minutes=15)}
    lags = connection.execute("SELECT name, lag FROM ledger.provider ORDER BY 1").fetchall()
    assert lags == [("alpaca", timedelta(minutes=16)), ("bitfinex", timedelta(minutes=1))]


def test_analysts_may_read_how_far_behind_listings_are(connection: psycopg.Connection) -> None:
    connection.execute("SET ROLE analyst")
    assert len(freshness(connection)) == 2


def test_a_rehearsal_counts_all_minutes_by_its_clock(synced: Database) -> None:
    clock = Clock(time.time(), at("2024-06-01 02:00:30").timestamp(), 1.0)
    rehearsed = replace(synced, clock=clock)

    with rehearsed.connect() as connection:
        expected = "SELECT sum(expected), sum(pending) FROM market.coverage WHERE provider = %s"
        counted = connection.execute(expected, ["bitfinex"]).fetchone()
        gap = "SELECT since, before FROM market.gaps WHERE provider = %s"
        gaps = connection.execute(gap, ["bitfinex"]).fetchall()
        (behind,) = freshness(connection, "bitfinex")

    assert counted == (120, 120)
    assert gaps == [(at("2024-06-01"), at("2024-06-01 02:00"))]
    assert (behind.stale_since, behind.stale_minutes) == (at("2024-06-01"), 119)
