"""Silences against an oracle that looks at each minute; gaps whatever the order of events."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import count, pairwise
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.gaps import judge
from pipeline.intervals import MINUTE, Interval
from pipeline.settling import Settling
from pipeline.store.database import Database
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.failures import Failure
from pipeline.store.listings import listings, sync_universe
from pipeline.universe import Universe
from tests.making import at, bar, span, table

LATER = at("2024-12-01")
PROVIDER = "bitfinex"
_numbers = count(1)


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect() as connection:
        connection.autocommit = True
        yield connection


def enter(connection: psycopg.Connection, *keys: str) -> dict[str, int]:
    """Put listings into the ledger; return their numbers."""
    document = {
        "start": "2024-01-01",
        "providers": {PROVIDER: {}},
        "instruments": {
            key: {
                "class": "crypto_spot",
                "listings": {PROVIDER: {"symbol": key, "end": "2024-07-01"}},
            }
            for key in keys
        },
    }
    sync_universe(connection, Universe.model_validate(document))
    return {listing.key: listing.id for listing in listings(connection, PROVIDER, keys)}


def deliver(
    connection: psycopg.Connection,
    listing_id: int,
    answered: Interval,
    silent: Sequence[Interval] = (),
    quiet: float = 0.0,
) -> None:
    """Store answers, a bar for each minute but the silent ones and a share that is quiet."""
    chance = random.Random(f"{listing_id} {answered.start}")
    for month in answered.months():
        minutes = (month.start + n * MINUTE for n in range(month.minutes))
        rows = table(
            bar(ts)
            for ts in minutes
            if not any(ts in one for one in silent) and chance.random() >= quiet
        )
        commit(
            connection,
            Delivery(
                listing_id=listing_id,
                month=month.start.date().replace(day=1),
                answered=(month,),
                bars=rows,
                refused=(),
                failed=(),
                received_at=LATER,
                settling=Settling((timedelta(days=1),)),
            ),
        )


def gaps(connection: psycopg.Connection, *states: str) -> list[tuple[Any, ...]]:
    """Return listing, interval and reason of the gaps that need action or explanation."""
    rows = connection.execute(
        "SELECT listing, since, before, reason FROM market.gaps"
        " WHERE state = ANY(%s) ORDER BY listing, since",
        [list(states)],
    ).fetchall()
    return [(key, Interval(since, before), reason) for key, since, before, reason in rows]


def judge_all(connection: psycopg.Connection, ids: dict[str, int]) -> None:
    judge(connection, PROVIDER, list(ids.values()), sends_quiet_minutes=False)


# Three hours on either side of the end of a month keep the oracle quick.
BORDER = at("2024-03-01")
_minutes = st.integers(-180, 180)
_ranges = st.tuples(_minutes, _minutes).map(sorted).filter(lambda pair: pair[0] < pair[1])


def minute(number: int) -> datetime:
    return BORDER + number * MINUTE


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_ranges, max_size=4), st.sets(_minutes, max_size=60), _ranges)
def test_silences_are_the_longest_runs_of_answered_minutes_without_a_bar(
    connection: psycopg.Connection,
    answered: list[list[int]],
    bars: set[int],
    window: list[int],
) -> None:
    key = f"L{next(_numbers)}"
    listing_id = enter(connection, key)[key]
    asked = {n for start, end in answered for n in range(start, end)}
    for start, end in answered:
        silent = [Interval(minute(n), minute(n + 1)) for n in range(start, end) if n not in bars]
        deliver(connection, listing_id, Interval(minute(start), minute(end)), silent)
    empty = sorted(asked - bars)
    runs: list[list[int]] = []
    for n in empty:
        if runs and runs[-1][1] == n:
            runs[-1][1] = n + 1
        else:
            runs.append([n, n + 1])
    found = connection.execute(
        "SELECT since, before FROM ledger.silences(%s, %s, %s) ORDER BY 1",
        [listing_id, minute(window[0]), minute(window[1])],
    ).fetchall()
    assert found == [
        (minute(start), minute(end)) for start, end in runs if start < window[1] and end > window[0]
    ]


QUARTER = span("2024-02-01", "2024-05-01")
OUTAGE = span("2024-03-10T12:00", "2024-03-10T15:00")
HALT = span("2024-03-31T22:00", "2024-04-01T03:00")
QUIET = {"BTC-USD": 0.02, "ETH-USD": 0.3, "LTC-USD": 0.9}


def deliver_world(connection: psycopg.Connection, ids: dict[str, int], month: Interval) -> None:
    for key, listing_id in ids.items():
        silent = [OUTAGE, HALT] if key == "BTC-USD" else [OUTAGE]
        deliver(connection, listing_id, month, silent, QUIET[key])


def test_outages_and_halts_are_told_from_minutes_without_a_trade(
    connection: psycopg.Connection,
) -> None:
    ids = enter(connection, *QUIET)
    deliver_world(connection, ids, QUARTER)
    judge_all(connection, ids)
    found = gaps(connection, "empty")
    assert [(key, reason) for key, _, reason in found] == [
        ("BTC-USD", "outage"),
        ("BTC-USD", "halt"),
        ("ETH-USD", "outage"),
        ("LTC-USD", "outage"),
    ]
    assert found[0][1].intersection(OUTAGE) == OUTAGE
    # The halt lies across the end of a month, and is one gap nevertheless.
    assert found[1][1].intersection(HALT) == HALT
    for key, gap, _ in found:
        edges = connection.execute(
            """
            SELECT count(*) FROM market.bars_1m
            WHERE listing = %s AND ts IN (%s::timestamptz - interval '1 minute', %s)
            """,
            [key, gap.start, gap.end],
        ).fetchone()
        assert edges == (2,)


def test_what_is_found_does_not_depend_on_the_order_of_events(database: Database) -> None:
    def world(steps: Sequence[tuple[str, Interval]]) -> tuple[Any, ...]:
        with database.connect() as connection:
            connection.autocommit = True
            connection.execute("TRUNCATE ledger.bars_1m, ledger.coverage, ledger.gap CASCADE")
            ids = enter(connection, *QUIET)
            for key, month in steps:
                deliver_world(connection, {key: ids[key]}, month)
                judge_all(connection, {key: ids[key]})
            kept = connection.execute("SELECT * FROM ledger.gap ORDER BY 1, 2").fetchall()
            counts = connection.execute(
                "SELECT listing_id, month, silences, judged FROM ledger.coverage ORDER BY 1, 2"
            ).fetchall()
        return kept, counts

    steps = [(key, month) for key in QUIET for month in QUARTER.months()]
    expected = world(steps)
    assert len(expected[0]) == 4
    for seed in range(3):
        random.Random(seed).shuffle(steps)
        assert world(steps) == expected


def test_a_gap_goes_when_its_bars_come(connection: psycopg.Connection) -> None:
    ids = enter(connection, "BTC-USD")
    deliver(connection, ids["BTC-USD"], QUARTER, [HALT])
    judge_all(connection, ids)
    assert gaps(connection, "empty") == [("BTC-USD", HALT, "halt")]
    deliver(connection, ids["BTC-USD"], HALT)
    judge_all(connection, ids)
    assert gaps(connection, "empty") == []


def test_judging_again_without_changes_looks_at_nothing(connection: psycopg.Connection) -> None:
    ids = enter(connection, "BTC-USD")
    deliver(connection, ids["BTC-USD"], span("2024-03-01", "2024-03-03"))
    numbers = list(ids.values())
    first = judge(connection, PROVIDER, numbers, sends_quiet_minutes=False)
    assert first == {ids["BTC-USD"]: [date(2024, 3, 1)]}
    assert judge(connection, PROVIDER, numbers, sends_quiet_minutes=False) == {}
    deliver(connection, ids["BTC-USD"], span("2024-03-01", "2024-03-03"))
    assert judge(connection, PROVIDER, numbers, sends_quiet_minutes=False) == {}


def test_every_expected_minute_without_a_bar_lies_in_one_gap(
    connection: psycopg.Connection,
) -> None:
    ids = enter(connection, "BTC-USD")
    number = ids["BTC-USD"]
    connection.execute(
        "UPDATE ledger.listing SET first_trade = '2024-02-10Z' WHERE id = %s", [number]
    )
    failed = span("2024-04-10", "2024-04-11")
    unanswered = Delivery(
        listing_id=number,
        month=date(2024, 4, 1),
        answered=(span("2024-04-01", "2024-04-10"),),
        bars=table([bar(at("2024-04-05"))]),
        refused=(),
        failed=(Failure(failed, "RequestTimedOut", "no answer", retryable=True),),
        received_at=LATER,
        settling=Settling((timedelta(days=1),)),
    )
    deliver(connection, number, span("2024-02-10", "2024-04-01"), [OUTAGE], 0.1)
    commit(connection, unanswered)
    connection.execute(
        """
        INSERT INTO ledger.coverage (listing_id, month, unavailable)
        VALUES (%s, '2024-05-01', '{[2024-05-01Z, 2024-05-20Z)}')
        """,
        [number],
    )
    judge_all(connection, ids)
    assert gaps(connection, "not_expected") == [
        ("BTC-USD", span("2024-01-01", "2024-02-10"), "not_listed")
    ]
    assert gaps(connection, "failed") == [("BTC-USD", failed, "failed")]
    assert gaps(connection, "unavailable") == [
        ("BTC-USD", span("2024-05-01", "2024-05-20"), "history_limit")
    ]
    assert gaps(connection, "pending") == [
        ("BTC-USD", span("2024-04-11", "2024-05-01"), "pending"),
        ("BTC-USD", span("2024-05-20", "2024-07-01"), "pending"),
    ]
    told = {row[1] for row in gaps(connection, "empty", "failed", "unavailable", "pending")}
    quiet = connection.execute(
        "SELECT since, before FROM market.quiet_gaps(%s, 'BTC-USD', '2024-01-01', '2025-01-01')",
        [PROVIDER],
    ).fetchall()
    every = sorted(told | {Interval(*row) for row in quiet})
    assert len(every) == len(told) + len(quiet)
    assert all(one.end <= other.start for one, other in pairwise(every))
    (expected, bars) = connection.execute(
        "SELECT sum(expected), sum(bars) FROM market.coverage"
    ).fetchone() or (0, 0)
    assert sum(gap.minutes for gap in every) == expected - bars


def test_silences_are_counted_by_month_and_reason(connection: psycopg.Connection) -> None:
    ids = enter(connection, "BTC-USD")
    deliver(connection, ids["BTC-USD"], QUARTER, [HALT], 0.05)
    judge_all(connection, ids)
    rows = connection.execute(
        """
        SELECT month, gaps, minutes, quiet_gaps, quiet_minutes, halts, halt_minutes, outages, judged
        FROM market.silences ORDER BY month
        """
    ).fetchall()
    (halt,) = (gap for _, gap, _ in gaps(connection, "empty"))
    first, second = halt.months()
    assert [row[5] for row in rows] == [0, 1, 0]
    assert [row[6] for row in rows] == [0, first.minutes, second.minutes]
    for month, total, minutes, quiet, quiet_minutes, halts, halt_minutes, outages, judged in rows:
        assert judged
        assert outages == 0
        assert total == quiet + halts
        assert minutes == quiet_minutes + halt_minutes
        whole = Interval.month(month)
        counted = connection.execute(
            """
            SELECT count(*) FROM market.quiet_gaps(%s, 'BTC-USD', %s, %s) WHERE since >= %s
            """,
            [PROVIDER, whole.start, whole.end, whole.start],
        ).fetchone()
        assert counted == (quiet,)


def test_an_analyst_may_list_quiet_gaps_and_not_silences(connection: psycopg.Connection) -> None:
    ids = enter(connection, "BTC-USD")
    deliver(connection, ids["BTC-USD"], span("2024-03-01", "2024-03-02"), quiet=0.2)
    connection.execute("SET ROLE analyst")
    listed = connection.execute(
        "SELECT minutes FROM market.quiet_gaps('bitfinex', 'BTC-USD', '2024-03-01', '2024-03-02')"
    ).fetchall()
    assert np.sum(listed) > 100
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM ledger.silences(1, now(), now())")
