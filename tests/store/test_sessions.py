"""Coverage of listings whose market closes, on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from pipeline.calendars import open_months, session_named
from pipeline.gaps import judge
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.sessions import Session, Trading
from pipeline.settling import Settling
from pipeline.store.coverage import CoverageRow, coverage, mark_unavailable
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.listings import listings, sync_universe
from pipeline.store.queries import false_sums
from pipeline.store.reasons import gaps
from pipeline.store.sessions import follow_sessions, sync_sessions
from pipeline.store.work import Rules, Work, work_of
from pipeline.universe import Universe
from tests.making import at, bars, span, table

MONTH = date(2020, 11, 1)
NOVEMBER = Interval.month(MONTH)
REGULAR = 19 * 390 + 210  # Thanksgiving is closed, and the day after it ends at one
FRIDAY = span("2020-11-27 14:30", "2020-11-27 18:00")
NEW_YORK = session_named("XNYS")
LATER = at("2024-02-01")
DAILY = Settling((timedelta(days=1),))


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect() as connection:
        connection.autocommit = True
        yield connection


def universe(session: str | None = None) -> Universe:
    options = {"session": session} if session else {}
    document: dict[str, Any] = {
        "start": "2020-11-01",
        "providers": {"bitfinex": {}},
        "instruments": {
            "MSFT": {
                "class": "equity",
                "listings": {"bitfinex": {"symbol": "MSFT", "end": "2020-12-01"} | options},
            }
        },
    }
    return Universe.model_validate(document)


@pytest.fixture
def listing(connection: psycopg.Connection) -> Listing:
    sync_universe(connection, universe())
    return listings(connection, "bitfinex")[0]


def regular_sessions() -> tuple[Interval, ...]:
    (november,) = open_months(NEW_YORK, MONTH, MONTH)
    return november.open


def deliver(
    connection: psycopg.Connection,
    listing: Listing,
    *with_bars: Interval,
    answered: tuple[Interval, ...] = (NOVEMBER,),
) -> None:
    """Answer November with a bar for each minute of some intervals, and judge it."""
    rows = table(row for interval in with_bars for row in bars(interval).to_pylist())
    commit(connection, Delivery(listing.id, MONTH, answered, rows, (), (), LATER, DAILY))
    judge(connection, "bitfinex", [listing.id], sends_quiet_minutes=False)


def november(connection: psycopg.Connection) -> CoverageRow:
    (row,) = coverage(connection)
    assert row.adds_up
    assert list(false_sums(connection)) == []
    return row


def work(connection: psycopg.Connection, listing: Listing) -> Work:
    return work_of(connection, listing.id, NOVEMBER, Rules(LATER, DAILY))


def test_only_minutes_of_the_regular_session_are_expected(
    connection: psycopg.Connection, listing: Listing
) -> None:
    assert november(connection).expected == november(connection).pending == REGULAR
    deliver(connection, listing)
    row = november(connection)
    assert (row.expected, row.empty, row.bars, row.percent) == (REGULAR, REGULAR, 0, 100.0)


def test_extended_hours_are_kept_and_marked_and_not_expected(
    connection: psycopg.Connection, listing: Listing
) -> None:
    deliver(connection, listing, span("2020-11-27 14:00", "2020-11-27 18:30"))
    row = november(connection)
    assert (row.bars, row.extended, row.empty) == (210, 60, REGULAR - 210)
    marked = connection.execute(
        """
        SELECT min(ts) FILTER (WHERE NOT extended), max(ts) FILTER (WHERE NOT extended),
               count(*) FILTER (WHERE NOT extended), count(*) FILTER (WHERE extended)
        FROM market.bars_1m
        """
    ).fetchone()
    assert marked == (at("2020-11-27 14:30"), at("2020-11-27 17:59"), 210, 60)


def test_extended_bars_are_counted_once_when_they_come_again_with_new_ones(
    connection: psycopg.Connection, listing: Listing
) -> None:
    deliver(connection, listing, span("2020-11-27 14:00", "2020-11-27 14:40"))
    deliver(connection, listing, span("2020-11-27 14:00", "2020-11-27 18:30"))
    row = november(connection)
    assert (row.bars, row.extended) == (210, 60)


def test_nights_and_holidays_are_not_asked_for(
    connection: psycopg.Connection, listing: Listing
) -> None:
    todo = work(connection, listing)
    assert [piece for piece in todo.needed if piece.end > at("2020-11-26 02:00")] == [
        span("2020-11-27 09:00", "2020-11-28 01:00"),
        span("2020-11-30 09:00", "2020-12-01"),
    ]
    assert list(todo.askable) == [NOVEMBER]
    deliver(connection, listing)
    assert not work(connection, listing).needed


def test_a_gap_goes_on_over_the_hours_in_which_the_market_is_closed(
    connection: psycopg.Connection, listing: Listing
) -> None:
    (pending,) = gaps(connection)
    assert (pending.reason, pending.minutes) == ("pending", REGULAR)
    assert (pending.since, pending.before) == (at("2020-11-02 14:30"), at("2020-11-30 21:00"))
    mark_unavailable(connection, listing.id, span("2020-11-01", "2020-11-09 17:00"))
    lost, pending = gaps(connection)
    assert (lost.reason, lost.minutes) == ("history_limit", 5 * 390 + 150)
    assert lost.before == pending.since == at("2020-11-09 17:00")
    assert pending.minutes == REGULAR - lost.minutes
    assert november(connection).unavailable == lost.minutes


def test_a_silence_ends_where_the_market_closes(
    connection: psycopg.Connection, listing: Listing
) -> None:
    halted = span("2020-11-18 16:00", "2020-11-18 21:00")
    whole = [piece for piece in regular_sessions() if not piece.intersection(halted)]
    deliver(connection, listing, *whole, span("2020-11-18 14:30", "2020-11-18 16:00"))
    (halt,) = gaps(connection)
    assert (halt.reason, halt.minutes) == ("halt", 300)
    assert (halt.since, halt.before) == (halted.start, halted.end)


@dataclass(frozen=True)
class Amended:
    """New York's sessions as another release of its calendar has them: one day more is closed."""

    closed: Interval = FRIDAY
    calendar: str = "exchange_calendars 99.0"
    rule: str = NEW_YORK.rule
    known_from: date = date.min

    def trading(self, first: date, last: date) -> Iterator[Trading]:
        for day in NEW_YORK.trading(first, last):
            if not day.asked.intersection(self.closed):
                yield day


def amend(connection: psycopg.Connection, listing: Listing) -> None:
    amended: dict[str, Session] = {"XNYS": Amended()}
    with connection.transaction():
        sync_sessions(connection, amended, MONTH)
        follow_sessions(connection)
    judge(connection, "bitfinex", [listing.id], sends_quiet_minutes=False)


def test_what_a_newer_calendar_changes_is_judged_again_and_kept_on_record(
    connection: psycopg.Connection, listing: Listing
) -> None:
    deliver(connection, listing, *(piece for piece in regular_sessions() if piece != FRIDAY))
    before = november(connection)
    assert [gap.minutes for gap in gaps(connection)] == [210]
    amend(connection, listing)
    after = november(connection)
    assert (after.expected, after.bars) == (before.expected - 210, before.bars)
    assert gaps(connection) == []
    recorded = connection.execute(
        """
        SELECT session, month, minutes_closed, minutes_opened, new_calendar
        FROM market.session_revisions
        """
    ).fetchall()
    assert recorded == [("XNYS", MONTH, 210, 0, "exchange_calendars 99.0")]
    sync_universe(connection, universe())
    judge(connection, "bitfinex", [listing.id], sends_quiet_minutes=False)
    assert november(connection) == before
    assert [gap.minutes for gap in gaps(connection)] == [210]


def test_minutes_that_a_newer_calendar_opens_are_asked_for(
    connection: psycopg.Connection, listing: Listing
) -> None:
    amend(connection, listing)
    asked_for = tuple(work(connection, listing).needed)
    deliver(connection, listing, answered=asked_for)
    assert november(connection).pending == 0
    sync_universe(connection, universe())
    assert november(connection).pending == 210
    assert list(work(connection, listing).needed) == [span("2020-11-27 09:00", "2020-11-28 01:00")]


def test_a_listing_that_changes_its_session_keeps_its_bars(
    connection: psycopg.Connection, listing: Listing
) -> None:
    deliver(connection, listing, span("2020-11-27 14:00", "2020-11-27 18:30"))
    sync_universe(connection, universe("24x7"))
    row = november(connection)
    assert (row.expected, row.bars, row.extended) == (NOVEMBER.minutes, 270, 0)
    sync_universe(connection, universe())
    row = november(connection)
    assert (row.expected, row.bars, row.extended) == (REGULAR, 210, 60)


def test_a_start_before_the_calendar_begins_is_an_error_that_says_so(
    connection: psycopg.Connection,
) -> None:
    with pytest.raises(ValueError, match=r"XTKS.*1997"), connection.transaction():
        sync_sessions(connection, {"XTKS": session_named("XTKS")}, date(1990, 1, 1))


def test_months_that_are_known_are_not_worked_out_again(
    connection: psycopg.Connection, listing: Listing
) -> None:
    class Unasked(Amended):
        def trading(self, first: date, last: date) -> Iterator[Trading]:
            raise AssertionError((first, last))

    with connection.transaction():
        sync_sessions(connection, {"XNYS": Unasked(calendar=NEW_YORK.calendar)}, MONTH)
    assert work(connection, listing).needed


def test_coverage_of_a_month_that_no_session_knows_is_an_error_that_says_what_to_do(
    connection: psycopg.Connection, listing: Listing
) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match=r"XNYS in 1999-01.*migrate"):
        mark_unavailable(connection, listing.id, span("1999-01-04", "1999-01-05"))
