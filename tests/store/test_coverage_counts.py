"""`market.coverage` counts in advance what it once worked out from ranges each time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

import pipeline.store.migrations
from pipeline.intervals import MINUTE, Interval, floor_minute
from pipeline.store.coverage import contradictions
from pipeline.store.database import Database
from tests.making import add_listing, at

LISTINGS = 60
MONTHS = [date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1), date(2024, 4, 1)]
WHOLE = Interval(Interval.month(MONTHS[0]).start, Interval.month(MONTHS[-1]).end)
COLUMNS = sql.SQL(
    "provider, listing, symbol, month, expected, bars, empty, failed, unavailable, pending,"
    " settled, percent"
)


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    """A connection to a ledger that has, beside the view, the definition it had at first."""
    folder = Path(pipeline.store.migrations.__file__).parent / "versions"
    undo = (folder / "0005_coverage_counts.down.sql").read_text()
    before = undo.replace("REPLACE VIEW market.coverage", "REPLACE VIEW public.coverage_before")
    with database.connect() as connection:
        connection.execute(before[: before.index("ALTER TABLE")])
        yield connection


class Ledger:
    """Listings with lives, answers and failures that are drawn at random."""

    def __init__(self, connection: psycopg.Connection, seed: int) -> None:
        self._connection = connection
        self._random = random.Random(seed)

    def draw_listing(self, number: int) -> None:
        instrument = self._connection.execute(
            "INSERT INTO ledger.instrument (key, asset_class) VALUES (%s, 'crypto_spot')"
            " RETURNING id",
            [f"I{number}"],
        ).fetchone()
        start = self._moment()
        end = self._random.choice([None, start + timedelta(hours=1 + self._random.random() * 2000)])
        first_trade = self._random.choice([None, self._moment()])
        if self._random.random() < 0.1:
            start = floor_minute(datetime.now(UTC)) - timedelta(minutes=self._random.randrange(100))
        assert instrument
        row = self._connection.execute(
            """
            INSERT INTO ledger.listing (instrument_id, provider, key, symbol, session, starts_at,
                                        ends_at, first_trade, in_universe)
            VALUES (%s, 'p', %s, 's', '24x7', %s, %s, %s, %s) RETURNING id
            """,
            [
                instrument[0],
                f"L{number}",
                start,
                end if end is None or end > start else None,
                first_trade,
                self._random.random() < 0.8,
            ],
        ).fetchone()
        assert row
        for month in MONTHS:
            if self._random.random() < 0.7:
                self._draw_coverage(row[0], month)
        for _ in range(self._random.choice([0, 0, 1, 3])):
            self._draw_failure(row[0])

    def _moment(self) -> datetime:
        if self._random.random() < 0.3:  # a border of a month
            return Interval.month(self._random.choice(MONTHS)).start
        return WHOLE.start + self._random.randrange(WHOLE.minutes) * MINUTE

    def _ranges(self, within: Interval) -> Multirange[datetime]:
        if self._random.random() < 0.3:
            return Multirange([Range(within.start, within.end)])
        pieces = []
        for _ in range(self._random.randrange(4)):
            first, last = sorted(self._random.randrange(within.minutes) for _ in range(2))
            pieces.append(Range(within.start + first * MINUTE, within.start + last * MINUTE))
        return Multirange(pieces)

    def _draw_coverage(self, listing: int, month: date) -> None:
        whole = Interval.month(month)
        self._connection.execute(
            """
            INSERT INTO ledger.coverage (listing_id, month, answered, settled, unavailable, bars)
            SELECT %(listing)s, %(month)s, a, a * %(settled)s::tstzmultirange,
                   %(lost)s::tstzmultirange - a, floor(ledger.minutes(a) * %(share)s)
            FROM (SELECT %(answered)s::tstzmultirange AS a) AS drawn
            """,
            {
                "listing": listing,
                "month": month,
                "answered": self._ranges(whole),
                "settled": self._ranges(whole),
                "lost": self._random.choice([Multirange(), self._ranges(whole)]),
                "share": self._random.random(),
            },
        )

    def _draw_failure(self, listing: int) -> None:
        start = self._moment()
        during = Range(start, start + timedelta(minutes=self._random.choice([1, 60, 9000, 90000])))
        self._connection.execute(
            """
            INSERT INTO ledger.fetch_failure
                (listing_id, during, error, message, attempts, first_failed_at, last_failed_at,
                 next_attempt_at)
            VALUES (%s, %s, 'RequestTimedOut', 'late', 1, now(), now(), now())
            """,
            [listing, during],
        )


@pytest.mark.parametrize("seed", range(5))
def test_the_counts_are_those_of_the_ranges(connection: psycopg.Connection, seed: int) -> None:
    ledger = Ledger(connection, seed)
    for number in range(LISTINGS):
        ledger.draw_listing(number)
    # One transaction: both see the same minute as the present.
    before, after = (
        connection.execute(sql.SQL("SELECT {} FROM {} ORDER BY 1, 2, 4").format(COLUMNS, view))
        for view in (sql.SQL("public.coverage_before"), sql.SQL("market.coverage"))
    )
    expected = before.fetchall()
    assert len(expected) > LISTINGS
    assert after.fetchall() == expected
    assert contradictions(connection) == []


def test_a_session_in_another_time_zone_sees_the_same_counts(
    connection: psycopg.Connection,
) -> None:
    ledger = Ledger(connection, 1)
    for number in range(10):
        ledger.draw_listing(number)
    query = sql.SQL("SELECT {} FROM market.coverage ORDER BY 1, 2, 4").format(COLUMNS)
    in_utc = connection.execute(query).fetchall()
    connection.execute("SET LOCAL timezone = 'America/New_York'")
    assert connection.execute(query).fetchall() == in_utc


def test_answers_outside_their_month_are_refused(connection: psycopg.Connection) -> None:
    listing = add_listing(connection)
    with pytest.raises(psycopg.errors.CheckViolation, match="coverage_within_month"):
        connection.execute(
            "INSERT INTO ledger.coverage (listing_id, month, answered) VALUES (%s, %s, %s)",
            [listing.id, MONTHS[0], Multirange([Range(at("2024-01-31"), at("2024-02-02"))])],
        )


def test_more_bars_than_answered_minutes_are_a_contradiction(
    connection: psycopg.Connection,
) -> None:
    listing = add_listing(connection)
    day = Multirange([Range(at("2024-01-01"), at("2024-01-02"))])
    connection.execute(
        "INSERT INTO ledger.coverage (listing_id, month, answered, bars) VALUES (%s, %s, %s, 1441)",
        [listing.id, MONTHS[0], day],
    )
    (row,) = contradictions(connection)
    assert (row.listing, row.month, row.empty) == (listing.key, MONTHS[0], -1)
    assert not row.adds_up
