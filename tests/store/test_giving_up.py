"""A range that fails again and again is given up, with a reason, and can be taken up again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from pipeline.listing import Listing
from pipeline.settling import DEFAULT
from pipeline.store import failures
from pipeline.store.database import Database
from pipeline.store.failures import GIVE_UP_AFTER, Failure
from pipeline.store.migrate import migrate
from pipeline.store.queries import open_failures
from pipeline.store.work import Rules, work_of
from tests.making import add_listing, at, span

DAY = span("2024-01-10", "2024-01-11")
LATE = Failure(DAY, "RequestTimedOut", "no answer in 30 s", retryable=True)
UNKNOWN = Failure(DAY, "UnknownSymbol", "no such market", retryable=False)


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect() as connection:
        connection.autocommit = True
        yield connection


@pytest.fixture
def listing(connection: psycopg.Connection) -> Listing:
    return add_listing(connection)


def fail_when_due(connection: psycopg.Connection, listing: Listing, times: int) -> datetime:
    """Let the day fail so often, each time when it is due; return when that was."""
    now = at("2024-02-01")
    for number in range(times):
        failures.record(connection, listing.id, LATE, now)
        (failure,) = open_failures(connection)
        if failure.next_attempt_at is not None and number + 1 < times:
            now = failure.next_attempt_at
    return now


def test_a_range_is_given_up_after_two_days_of_failing(
    connection: psycopg.Connection, listing: Listing
) -> None:
    now = fail_when_due(connection, listing, GIVE_UP_AFTER - 1)
    (failure,) = open_failures(connection)
    assert failure.given_up is None
    assert failure.next_attempt_at is not None
    assert failure.next_attempt_at - at("2024-02-01") > timedelta(days=2)
    failures.record(connection, listing.id, LATE, now)
    (failure,) = open_failures(connection)
    assert (failure.attempts, failure.next_attempt_at) == (GIVE_UP_AFTER, None)
    assert failure.given_up == f"{GIVE_UP_AFTER} attempts in a row failed"


@pytest.mark.parametrize("only_due", [True, False])
def test_only_a_person_has_what_was_given_up_asked_for(
    connection: psycopg.Connection,
    listing: Listing,
    only_due: bool,  # noqa: FBT001
) -> None:
    fail_when_due(connection, listing, GIVE_UP_AFTER)
    rules = Rules(at("2030-01-01"), DEFAULT, only_due=only_due)
    assert list(work_of(connection, listing.id, DAY, rules).needed) == ([] if only_due else [DAY])


def test_what_was_given_up_can_be_taken_up_again(
    connection: psycopg.Connection, listing: Listing
) -> None:
    now = at("2024-06-01")
    failures.record(connection, listing.id, UNKNOWN, now)
    assert failures.retry_given_up(connection, now, "kraken") == 0
    assert failures.retry_given_up(connection, now, "bitfinex", "ETH-USD") == 0
    assert failures.retry_given_up(connection, now, "bitfinex", "BTC-USD") == 1
    assert failures.retry_given_up(connection, now) == 0
    work = work_of(connection, listing.id, DAY, Rules(now, DEFAULT, only_due=True))
    assert list(work.needed) == [DAY]
    failures.record(connection, listing.id, LATE, now)
    (failure,) = open_failures(connection)
    assert (failure.attempts, failure.next_attempt_at) == (1, now + failures.FIRST_RETRY)


def test_migrating_keeps_every_failure_either_due_or_given_up(
    database: Database, connection: psycopg.Connection, listing: Listing
) -> None:
    def rows() -> list[Any]:
        return connection.execute(
            "SELECT error, next_attempt_at FROM ledger.fetch_failure ORDER BY lower(during)"
        ).fetchall()

    now = fail_when_due(connection, listing, GIVE_UP_AFTER)
    later = span("2024-01-11", "2024-01-12")
    failures.record(
        connection, listing.id, Failure(later, "UnknownSymbol", "", retryable=False), now
    )
    migrate(database, "0002")
    assert rows() == [("RequestTimedOut", now), ("UnknownSymbol", None)]
    migrate(database)
    assert rows() == [("RequestTimedOut", now), ("UnknownSymbol", None)]
    reasons = [failure.given_up for failure in open_failures(connection)]
    assert reasons == [None, "UnknownSymbol does not pass by itself: somebody has to act"]
