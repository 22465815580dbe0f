from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from pipeline.bars import empty_bars
from pipeline.intervals import MINUTE, Interval
from pipeline.listing import Listing
from pipeline.quality import RefusedBar
from pipeline.settling import Settling
from pipeline.store.coverage import coverage
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.failures import Failure
from pipeline.store.merging import ContradictoryDelivery
from tests.making import add_listing, at, bar, bars, rows_of, span, stored_bars, table

DAY = span("2024-01-10", "2024-01-11")
LATER = at("2024-02-01")


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect() as connection:
        connection.autocommit = True
        yield connection


@pytest.fixture
def listing(connection: psycopg.Connection) -> Listing:
    return add_listing(connection)


def delivery(listing: Listing, rows: pa.Table, *answered: Interval, **other: Any) -> Delivery:
    values: dict[str, Any] = {
        "month": answered[0].start.date().replace(day=1),
        "refused": (),
        "failed": (),
        "received_at": LATER,
        "settling": Settling((timedelta(days=1),)),
    }
    return Delivery(listing_id=listing.id, answered=answered, bars=rows, **(values | other))


def revisions(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT ts, old_close, new_close FROM ledger.bar_revision ORDER BY ts, id"
    ).fetchall()


def test_what_is_delivered_is_what_is_stored(
    connection: psycopg.Connection, listing: Listing
) -> None:
    rows = table(
        bar(ts, 0.1 + n / 3, volume=None if n % 3 else n * 1e9, vwap=n / 7 or None, trades=n)
        for n, ts in enumerate(bars(DAY)["ts"].to_pylist())
    )
    result = commit(connection, delivery(listing, rows, DAY))
    assert (result.inserted, result.revised) == (1440, 0)
    assert stored_bars(connection, listing) == rows_of(rows)


def test_delivering_twice_changes_nothing(connection: psycopg.Connection, listing: Listing) -> None:
    once = delivery(listing, bars(DAY), DAY)
    commit(connection, once)
    before = stored_bars(connection, listing), coverage(connection)
    result = commit(connection, once)
    assert (result.inserted, result.revised) == (0, 0)
    assert (stored_bars(connection, listing), coverage(connection)) == before
    assert revisions(connection) == []


def test_a_changed_bar_replaces_the_old_one_which_is_kept_as_a_revision(
    connection: psycopg.Connection, listing: Listing
) -> None:
    commit(connection, delivery(listing, bars(DAY), DAY))
    changed = bars(DAY).to_pylist()
    old = changed[700]["close"]
    changed[700]["close"] = changed[700]["high"] = 777.0
    result = commit(connection, delivery(listing, table(changed), DAY))
    assert (result.inserted, result.revised) == (0, 1)
    assert stored_bars(connection, listing) == rows_of(table(changed))
    assert revisions(connection) == [(DAY.start + 700 * MINUTE, old, 777.0)]


def test_a_bar_that_appears_later_is_added_and_one_that_vanishes_stays(
    connection: psycopg.Connection, listing: Listing
) -> None:
    all_bars = bars(DAY).to_pylist()
    without_first, without_last = table(all_bars[1:]), table(all_bars[:-1])
    commit(connection, delivery(listing, without_first, DAY))
    result = commit(connection, delivery(listing, without_last, DAY))
    assert (result.inserted, result.revised) == (1, 1)
    assert stored_bars(connection, listing) == rows_of(table(all_bars))
    assert revisions(connection) == [(all_bars[-1]["ts"], all_bars[-1]["close"], None)]


def test_a_feed_one_hour_off_is_refused_whole(
    connection: psycopg.Connection, listing: Listing
) -> None:
    commit(connection, delivery(listing, bars(DAY), DAY))
    before = stored_bars(connection, listing), coverage(connection)
    shifted = table(
        row | {"ts": row["ts"] + 60 * MINUTE} for row in bars(DAY).slice(0, 1380).to_pylist()
    )
    with pytest.raises(ContradictoryDelivery, match="1440 of 1440 stored bars"):
        commit(connection, delivery(listing, shifted, DAY))
    assert (stored_bars(connection, listing), coverage(connection)) == before
    assert revisions(connection) == []


def test_an_empty_answer_is_covered(connection: psycopg.Connection, listing: Listing) -> None:
    commit(connection, delivery(listing, empty_bars(), DAY))
    (row,) = coverage(connection, months=[DAY.start.date().replace(day=1)])
    assert (row.bars, row.empty, row.failed) == (0, 1440, 0)
    assert row.pending == row.expected - 1440
    assert row.adds_up


def test_only_what_was_answered_late_enough_is_settled(
    connection: psycopg.Connection, listing: Listing
) -> None:
    noon = at("2024-01-11T12:00")
    commit(connection, delivery(listing, bars(DAY), DAY, received_at=noon))
    (row,) = coverage(connection, months=[at("2024-01-01").date()])
    assert row.settled == 720


def test_failures_and_refused_rows_are_kept_with_the_delivery(
    connection: psycopg.Connection, listing: Listing
) -> None:
    hour = Interval(DAY.start, DAY.start + 60 * MINUTE)
    failure = Failure(hour, "RequestTimedOut", "no answer in 30 s", retryable=True)
    rest = Interval(hour.end, DAY.end)
    row = bar(hour.start) | {"close": float("nan")}
    commit(
        connection,
        delivery(
            listing,
            bars(rest),
            rest,
            failed=(failure,),
            refused=(RefusedBar("close_finite", row),),
        ),
    )
    (month,) = coverage(connection, months=[at("2024-01-01").date()])
    assert (month.bars, month.empty, month.failed) == (1380, 0, 60)
    assert month.adds_up
    kept = connection.execute("SELECT rule, bar FROM ledger.quarantine").fetchone()
    assert kept is not None
    assert kept[0] == "close_finite"
    assert (kept[1]["close"], kept[1]["ts"]) == ("nan", "2024-01-10T00:00:00+00:00")


def test_an_answer_takes_away_exactly_its_part_of_a_failure(
    connection: psycopg.Connection, listing: Listing
) -> None:
    failure = Failure(DAY, "ProviderUnavailable", "503", retryable=True)
    other_day = span("2024-01-20", "2024-01-21")
    commit(connection, delivery(listing, empty_bars(), other_day, failed=(failure,)))
    middle = span("2024-01-10T10:00", "2024-01-10T12:00")
    commit(connection, delivery(listing, bars(middle), middle))
    left = connection.execute(
        "SELECT lower(during), upper(during), attempts FROM ledger.fetch_failure ORDER BY 1"
    ).fetchall()
    assert left == [(DAY.start, middle.start, 1), (middle.end, DAY.end, 1)]


def test_a_range_that_fails_again_waits_twice_as_long(
    connection: psycopg.Connection, listing: Listing
) -> None:
    waits = []
    for _ in range(3):
        failure = Failure(DAY, "ProviderUnavailable", "503", retryable=True)
        other_day = span("2024-01-20", "2024-01-21")
        commit(connection, delivery(listing, empty_bars(), other_day, failed=(failure,)))
        row = connection.execute(
            "SELECT attempts, next_attempt_at - last_failed_at FROM ledger.fetch_failure"
        ).fetchone()
        waits.append(row)
    assert waits == [(n, timedelta(minutes=2 ** (n - 1))) for n in (1, 2, 3)]


def test_a_failure_that_waiting_does_not_mend_is_never_due(
    connection: psycopg.Connection, listing: Listing
) -> None:
    failure = Failure(DAY, "UnknownSymbol", "no such market", retryable=False)
    other_day = span("2024-01-20", "2024-01-21")
    commit(connection, delivery(listing, empty_bars(), other_day, failed=(failure,)))
    row = connection.execute("SELECT next_attempt_at, given_up FROM market.failures").fetchone()
    assert row == (None, "UnknownSymbol does not pass by itself: somebody has to act")
