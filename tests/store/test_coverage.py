from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.intervals import MINUTE, Interval
from pipeline.listing import Listing
from pipeline.settling import Settling
from pipeline.store.coverage import coverage, coverage_of_worst, mark_unavailable
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.failures import Failure
from pipeline.store.merging import (
    CONTRADICTING_BARS,
    CONTRADICTING_SHARE,
    ContradictoryDelivery,
)
from pipeline.store.work import Rules, work_of
from tests.making import add_listing, at, bar, span, table

MONTH = span("2024-02-01", "2024-03-01")
NOW = at("2024-06-01")
SETTLING = Settling((timedelta(hours=1), timedelta(days=1)))
_numbers = count(1)

# Minutes of the first two hours of the month keep the oracle, which looks at each minute, quick.
_minutes = st.integers(0, 120)
_ranges = st.tuples(_minutes, _minutes).filter(lambda pair: pair[0] < pair[1])
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("answered"), _ranges, st.sets(_minutes)),
        st.tuples(st.just("early"), _ranges, st.sets(_minutes)),
        st.tuples(st.just("at_once"), _ranges, st.sets(_minutes)),
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
            received_at=received_at(kind, during),
            settling=SETTLING,
        ),
    )


def received_at(kind: str, during: Interval) -> datetime:
    """Return when an answer of that kind comes: at once, half a day later, or in June."""
    late = {"at_once": timedelta(minutes=5), "early": timedelta(hours=12)}
    return during.end + late[kind] if kind in late else NOW


class Oracle:
    """The state of every minute, kept one by one."""

    def __init__(self) -> None:
        self.age: dict[int, timedelta] = {}
        self.bars: set[int] = set()
        self.failed: set[int] = set()
        self.unavailable: set[int] = set()

    @property
    def answered(self) -> set[int]:
        return set(self.age)

    @property
    def settled(self) -> set[int]:
        return {n for n, age in self.age.items() if age >= timedelta(days=1)}

    def due(self, now: datetime) -> set[int]:
        """Return the answered minutes to ask again: each delay falls due in whole blocks."""
        hour = (now - timedelta(hours=1)).replace(minute=0)
        day = (now - timedelta(days=1)).replace(minute=0, hour=0)
        return {
            n
            for n, age in self.age.items()
            if (age < timedelta(hours=1) and minute(n) < hour)
            or (age < timedelta(days=1) and minute(n) < day)
        }

    def contradicted_by(self, kind: str, during: range, bars: set[int]) -> bool:
        stored = self.bars & set(during)
        vanished = stored - bars
        answers = kind in {"answered", "early", "at_once"}
        return answers and len(vanished) >= max(
            CONTRADICTING_BARS, CONTRADICTING_SHARE * len(stored)
        )

    def apply(self, kind: str, during: range, bars: set[int]) -> None:
        minutes = set(during)
        if kind == "unavailable":
            self.unavailable |= minutes - self.answered
            self.failed -= minutes
        elif kind == "failed":
            self.failed |= minutes
        else:
            received = received_at(kind, Interval(minute(during.start), minute(during.stop)))
            for n in during:
                age = received - minute(n) - MINUTE
                self.age[n] = max(age, self.age.get(n, age))
            self.bars |= bars & minutes
            self.failed -= minutes
            self.unavailable -= minutes


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_steps, st.integers(0, 60 * 60), st.booleans(), st.booleans())
def test_every_minute_is_in_the_state_that_its_history_gives_it(
    connection: psycopg.Connection,
    steps: list[tuple[str, tuple[int, int], set[int]]],
    later: int,
    only_due: bool,  # noqa: FBT001 - drawn by hypothesis
    again: bool,  # noqa: FBT001 - drawn by hypothesis
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
    now = minute(later)
    rules = Rules(now, SETTLING, only_due=only_due, again=again)
    work = work_of(connection, listing.id, Interval(minute(0), minute(120)), rules)
    askable = set(range(120)) - oracle.unavailable - (oracle.failed if only_due else set())
    covered = set() if again else oracle.answered - oracle.failed - oracle.due(now)
    assert minutes_of(work.needed) == askable - covered
    assert minutes_of(work.askable) == (askable if work.needed else set())
    (left,) = connection.execute(
        "SELECT count(*) FROM ledger.settling WHERE listing_id = %s", [listing.id]
    ).fetchone() or (0,)
    early = {n for n in oracle.answered - oracle.settled if oracle.age[n] >= timedelta(hours=1)}
    assert left == (1 if early else 0)


def minutes_of(intervals: Iterable[Interval]) -> set[int]:
    return {n for n in range(120) if any(minute(n) in interval for interval in intervals)}


def test_a_failed_range_is_left_alone_until_it_is_due(connection: psycopg.Connection) -> None:
    listing = add_listing(connection, start="2024-02-01")
    hour = Interval(minute(0), minute(60))
    apply(connection, listing, "failed", hour, set())

    def asked(now: datetime) -> Sequence[Interval]:
        return work_of(connection, listing.id, hour, Rules(now, SETTLING, only_due=True)).needed

    assert asked(NOW + timedelta(seconds=59)) == ()
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


def test_the_worst_listings_are_those_with_the_most_open_minutes(
    connection: psycopg.Connection,
) -> None:
    left = add_listing(connection, start="2024-02-01")
    apply(connection, left, "answered", MONTH, {1})
    kept = add_listing(connection, start="2024-02-01", key="another", symbol="ETH/USD")
    assert coverage_of_worst(connection, 1) == (coverage(connection, listings=[kept.key]), 2)
    assert coverage_of_worst(connection, 2) == (coverage(connection), 2)
    assert coverage_of_worst(connection, 1, listing=left.key)[1] == 1
    assert coverage_of_worst(connection, 1, provider="nobody") == ([], 0)
