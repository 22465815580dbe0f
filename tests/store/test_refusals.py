"""Deliveries that contradict too much: kept, explained, and stored when somebody accepts them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from pipeline.intervals import MINUTE, Interval
from pipeline.listing import Listing
from pipeline.settling import DEFAULT
from pipeline.store.coverage import coverage
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.failures import Failure
from pipeline.store.merging import ContradictoryDelivery, Differences, Merged
from pipeline.store.queries import false_sums, open_failures
from pipeline.store.refusals import NoSuchDelivery, accept, keep
from pipeline.store.revisions import RefusedDelivery, refused_deliveries, revisions
from tests.making import add_listing, at, bar, bars, rows_of, span, stored_bars, table

DAY = span("2024-01-10", "2024-01-11")
NOW = at("2024-02-01")


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect() as connection:
        connection.autocommit = True
        yield connection


@pytest.fixture
def listing(connection: psycopg.Connection) -> Listing:
    """A listing with a day of bars."""
    listing = add_listing(connection)
    commit(connection, delivery(listing, bars(DAY)))
    return listing


def delivery(listing: Listing, rows: pa.Table, during: Interval = DAY, **other: Any) -> Delivery:
    values: dict[str, Any] = {
        "month": during.start.date().replace(day=1),
        "answered": (during,),
        "refused": (),
        "failed": (),
        "received_at": at("2024-01-11T06:00"),
        "settling": DEFAULT,
    }
    return Delivery(listing_id=listing.id, bars=rows, **(values | other))


def shifted(minutes: int, during: Interval = DAY) -> pa.Table:
    """Return the bars of a feed whose stamps are off, as far as they fall into what was asked."""
    moved = (row | {"ts": row["ts"] + minutes * MINUTE} for row in bars(during).to_pylist())
    return table(row for row in moved if row["ts"] in during)


def refuse(connection: psycopg.Connection, refused: Delivery) -> RefusedDelivery:
    """Have a delivery refused and kept; return how it is listed."""
    with pytest.raises(ContradictoryDelivery) as caught:
        commit(connection, refused)
    keep(connection, refused, caught.value)
    return refused_deliveries(connection)[-1]


@pytest.mark.parametrize("minutes", [60, -60, 1, -300, 720])
def test_a_shift_of_the_stamps_is_named(
    connection: psycopg.Connection, listing: Listing, minutes: int
) -> None:
    kept = refuse(connection, delivery(listing, shifted(minutes)))
    left = 1440 - abs(minutes)
    assert (kept.delivered, kept.compared) == (left, 1440)
    words = f"a shift of {minutes:+d} minutes would explain {left} of 1440 bars"
    assert kept.explanation == words
    assert words in open_failures(connection)[0].message


def test_quiet_minutes_do_not_suggest_a_shift(
    connection: psycopg.Connection, listing: Listing
) -> None:
    flat = {"open": 5.0, "high": 5.0, "low": 5.0, "close": 5.0, "volume": 0.0}
    minutes = bars(DAY)["ts"].to_pylist()
    quiet = table(bar(ts, **flat) for ts in minutes[:700])
    accepted = refuse(connection, delivery(listing, quiet))
    accept(connection, accepted.id, NOW)
    moved = table([bar(minutes[0] + MINUTE * (n + 30), **flat) for n in range(700)])
    assert refuse(connection, delivery(listing, moved)).explanation is None


def test_other_prices_are_not_explained_by_a_shift(
    connection: psycopg.Connection, listing: Listing
) -> None:
    kept = refuse(connection, delivery(listing, bars(DAY, price=7.0)))
    assert kept.explanation is None
    assert kept.contradicting == 1440
    assert "no shift of the stamps explains it" in open_failures(connection)[0].message


def test_nothing_of_a_refused_delivery_is_stored_but_its_minutes_fail(
    connection: psycopg.Connection, listing: Listing
) -> None:
    wide = Interval(DAY.start, DAY.end + timedelta(hours=6))
    before = stored_bars(connection, listing)
    other = span("2024-01-20", "2024-01-21")
    beside = Failure(other, "RequestTimedOut", "late", retryable=True)
    refuse(connection, delivery(listing, shifted(60, wide), wide, failed=(beside,)))
    assert stored_bars(connection, listing) == before
    assert revisions(connection) == []
    assert false_sums(connection) == []
    row = coverage(connection, months=[DAY.start.date().replace(day=1)])[0]
    assert (row.bars, row.failed) == (1440, 360 + 1440)
    assert row.adds_up
    failed = {(one.since, one.before, one.error) for one in open_failures(connection)}
    assert failed == {
        (wide.start, wide.end, "ContradictoryDelivery"),
        (other.start, other.end, "RequestTimedOut"),
    }


def test_accepting_stores_exactly_what_was_kept_and_keeps_the_old_bars(
    connection: psycopg.Connection, listing: Listing
) -> None:
    before = {row[0]: row[1:6] for row in stored_bars(connection, listing)}
    other = bars(DAY, price=7.0).slice(0, 1000)
    kept = refuse(connection, delivery(listing, other))
    found = Differences(differing=1000, vanished=440)
    accepted = Merged(inserted=0, revised=1440, differences=found)
    assert accept(connection, kept.id, NOW) == accepted
    after = rows_of(other) + rows_of(bars(DAY))[1000:]
    assert stored_bars(connection, listing) == after
    assert open_failures(connection) == []
    kept_values = {
        one.ts: (one.old_open, one.old_high, one.old_low, one.old_close, one.old_volume)
        for one in revisions(connection)
    }
    assert kept_values == before
    assert {one.seen_at for one in revisions(connection)} == {kept.received_at}
    assert false_sums(connection) == []


def test_accepting_twice_changes_nothing(connection: psycopg.Connection, listing: Listing) -> None:
    kept = refuse(connection, delivery(listing, shifted(60)))
    accept(connection, kept.id, NOW)
    before = stored_bars(connection, listing), revisions(connection), coverage(connection)
    assert accept(connection, kept.id, NOW + MINUTE) == Merged(inserted=0, revised=0)
    assert (stored_bars(connection, listing), revisions(connection), coverage(connection)) == before
    assert [one.accepted_at for one in refused_deliveries(connection)] == [NOW]


def test_the_same_delivery_again_keeps_its_number_and_another_takes_its_place(
    connection: psycopg.Connection, listing: Listing
) -> None:
    first = refuse(connection, delivery(listing, shifted(60)))
    again = refuse(connection, delivery(listing, shifted(60), received_at=NOW))
    assert again == first
    half = Interval(DAY.start, DAY.start + timedelta(hours=12))
    other = refuse(connection, delivery(listing, shifted(30, half), half))
    assert refused_deliveries(connection) == [other]
    with pytest.raises(NoSuchDelivery, match=f"no refused delivery {first.id}"):
        accept(connection, first.id, NOW)


def test_a_sound_answer_ends_a_refused_one_of_the_same_minutes(
    connection: psycopg.Connection, listing: Listing
) -> None:
    refuse(connection, delivery(listing, shifted(60)))
    commit(connection, delivery(listing, bars(DAY)))
    assert refused_deliveries(connection) == []
    assert open_failures(connection) == []


def test_restatements_of_one_bar_come_in_the_order_in_which_they_were_seen(
    connection: psycopg.Connection, listing: Listing
) -> None:
    rows = bars(DAY).to_pylist()
    closes = [rows[7]["close"]]
    for day in range(1, 6):
        rows[7]["close"] = rows[7]["high"] = 500.0 - day
        closes.append(rows[7]["close"])
        received = DAY.end + timedelta(days=day)
        commit(connection, delivery(listing, table(rows), received_at=received))
    found = revisions(connection)
    assert [(one.old_close, one.new_close) for one in found] == list(pairwise(closes))
    assert [one.seen_at for one in found] == sorted(one.seen_at for one in found)
    assert revisions(connection, limit=2) == found[-2:]
