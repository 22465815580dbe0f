from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.intervals import MINUTE, Interval
from pipeline.listing import Listing
from pipeline.store.coverage import coverage, mark_unavailable, to_fetch
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.failures import Failure
from pipeline.store.merging import (
    CONTRADICTING_BARS,
    CONTRADICTING_SHARE,
    ContradictoryDelivery,
)
from tests.making import add_listing, at, bar, span, table

MONTH = span("2024-02-01", "2024-03-01")
NOW = at("2024-06-01")
SETTLE_AFTER = timedelta(days=1)
_numbers = count(1)

# Minutes of the first two hours of the month keep the oracle, which looks at each minute, quick.
_minutes = st.integers(0, 120)
_ranges = st.tuples(_minutes, _minutes).filter(lambda pair: pair[0] < pair[1])
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("answered"), _ranges, st.sets(_minutes)),
        st.tuples(st.just("early"), _ranges, st.sets(_minutes)),
        st.tuples(st.just("failed"), _ranges, st.just(set())),
        st.tuples(st.just("unavailable"), _ranges, st.just(set())),
    ),
    max_size=8,
)


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect() as connection:
        connection.autocommit = True
        yield connection


def minute(number: int) -> datetime:
    return MONTH.start + number * MINUTE


def price(number: int) -> float:
    return 100.0 + number


def apply(
    connection: psycopg.Connection, listing: Listing, kind: str, during: Interval, bars: set[int]
) -> None:
    if kind == "unavailable":
        mark_unavailable(connection, listing.id, during)
        return
    early = during.end + SETTLE_AFTER / 2
    failure = Failure(during, "RequestTimedOut", "late", retryable=True)
    with_bar = sorted(n for n in bars if minute(n) in during)
    commit(
        connection,
        Delivery(
            listing_id=listing.id,
            month=MONTH.start.date(),
            answered=() if kind == "failed" else (during,),
            bars=table(bar(minute(n), price(n)) for n in with_bar),
            refused=(),
            failed=(failure,) if kind == "failed" else (),
            received_at=early if kind == "early" else NOW,
            settle_after=SETTLE_AFTER,
        ),
    )


class Oracle:
    """The state of every minute, kept one by one."""

    def __init__(self) -> None:
        self.answered: set[int] = set()
        self.settled: set[int] = set()
        self.bars: set[int] = set()
        self.failed: set[int] = set()
        self.unavailable: set[int] = set()

    def contradicted_by(self, kind: str, during: range, bars: set[int]) -> bool:
        stored = self.bars & set(during)
        vanished = stored - bars
        answers = kind in {"answered", "early"}
        return answers and len(vanished) >= max(
            CONTRADICTING_BARS, CONTRADICTING_SHARE * len(stored)
        )

    def apply(self, kind: str, during: range, bars: set[int]) -> None:
        minutes = set(during)
        if kind == "unavailable":
            self.unavailable |= minutes - self.answered
        elif kind == "failed":
            self.failed |= minutes
        else:
            self.answered |= minutes
            self.bars |= bars & minutes
            self.failed -= minutes
            self.unavailable -= minutes
            self.settled |= minutes if kind == "answered" else set()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_steps, st.booleans())
def test_every_minute_is_in_the_state_that_its_history_gives_it(
    connection: psycopg.Connection,
    steps: list[tuple[str, tuple[int, int], set[int]]],
    only_due: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    listing = add_listing(connection, start="2024-02-01", key=f"BTC-{next(_numbers)}")
    oracle = Oracle()
    for kind, (first, end), bars in steps:
        during = Interval(minute(first), minute(end))
        if oracle.contradicted_by(kind, range(first, end), bars):
            with pytest.raises(ContradictoryDelivery):
                apply(connection, listing, kind, during, bars)
        else:
            apply(connection, listing, kind, during, bars)
            oracle.apply(kind, range(first, end), bars)
    (row,) = coverage(connection, listings=[listing.key], months=[MONTH.start.date()])
    assert row.adds_up
    assert row.expected == MONTH.minutes
    assert row.bars == len(oracle.bars)
    assert row.empty == len(oracle.answered - oracle.bars)
    assert row.failed == len(oracle.failed - oracle.answered - oracle.unavailable)
    assert row.unavailable == len(oracle.unavailable)
    assert row.settled == len(oracle.settled)
    wanted = Interval(minute(0), minute(120))
    found = to_fetch(
        connection,
        listing.id,
        wanted,
        now=NOW,
        settle_before=NOW - SETTLE_AFTER,
        only_due=only_due,
    )
    held = oracle.failed if only_due else set()
    assert {n for n in range(120) if any(minute(n) in piece for piece in found)} == (
        set(range(120)) - oracle.settled - oracle.unavailable - held
    )


def test_a_failed_range_is_left_alone_until_it_is_due(connection: psycopg.Connection) -> None:
    listing = add_listing(connection, start="2024-02-01")
    hour = Interval(minute(0), minute(60))
    apply(connection, listing, "failed", hour, set())

    def asked(now: datetime) -> list[Interval]:
        return to_fetch(
            connection, listing.id, hour, now=now, settle_before=NOW - SETTLE_AFTER, only_due=True
        )

    assert asked(NOW + timedelta(seconds=59)) == []
    assert asked(NOW + timedelta(seconds=60)) == [hour]


def test_a_listing_that_leaves_the_universe_keeps_its_history_and_expects_no_more(
    connection: psycopg.Connection,
) -> None:
    listing = add_listing(connection, start="2024-02-01")
    apply(connection, listing, "answered", Interval(minute(0), minute(60)), {1, 2, 3})
    add_listing(connection, key="another", symbol="ETH/USD")
    (row,) = coverage(connection, listings=[listing.key])
    assert (row.expected, row.bars, row.empty, row.pending) == (60, 3, 57, 0)


def test_a_later_start_in_the_universe_loses_no_stored_minute(
    connection: psycopg.Connection,
) -> None:
    listing = add_listing(connection, start="2024-02-01")
    apply(connection, listing, "answered", Interval(minute(0), minute(60)), {1, 2, 3})
    add_listing(connection, start="2024-02-15")
    (row,) = coverage(connection, listings=[listing.key], months=[MONTH.start.date()])
    assert (row.bars, row.empty) == (3, 57)
    assert row.expected == 60 + 15 * 1440
    assert row.adds_up
