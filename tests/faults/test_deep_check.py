"""Settled minutes asked for again: what a provider has changed since is measured, and told."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from math import sqrt

import pytest

from pipeline.deep_check import Effort, Findings, Sample, deep_check, draw
from pipeline.intervals import MINUTE, Interval
from pipeline.providers.capabilities import Capabilities, RateLimit
from pipeline.providers.ccxt_client import CcxtProvider
from pipeline.providers.limiter import Unlimited
from pipeline.providers.options import ProviderOptions
from pipeline.store.coverage import contradictions
from pipeline.store.database import Database
from pipeline.store.merging import Differences
from pipeline.store.queries import false_sums
from pipeline.store.samples import DeepCheck, error_rates, keep_check
from pipeline.store.session import LedgerSession
from tests.faults.conftest import DAY as DAY_OF_DRILL
from tests.faults.conftest import HASTE, Drill
from tests.making import add_listing, at

LATER = at("2024-05-01")
DAY = date(2024, 5, 1)
ALL = Effort(1.0, 100, exactly=10)
MINUTES = 1440


def check(drill: Drill, effort: Effort = ALL, *, after: timedelta = MINUTE) -> Findings:
    """Check the ledger against what the provider says now."""
    options = ProviderOptions(source=drill.exchange, base_url=f"{drill.venue.url}/{drill.exchange}")
    now = LATER + after
    with (
        closing(CcxtProvider(drill.exchange, options, limiter=Unlimited())) as provider,
        LedgerSession(drill.database) as session,
    ):
        return deep_check(session, provider, effort, day=DAY, patience=HASTE, now=lambda: now)


def total(findings: Findings) -> Differences:
    return sum(findings.differences.values(), start=Differences())


@pytest.fixture
def day(drill: Drill) -> Drill:
    """A day that was downloaded long after it was over."""
    assert drill.download().complete
    assert drill.query("SELECT settled FROM market.coverage") == [(MINUTES,)]
    drill.venue.clear_requests()
    return drill


def restated_five(drill: Drill) -> Sequence[datetime]:
    """Have the venue give five minutes differently; return those of them with a bar."""
    first = DAY_OF_DRILL.start + timedelta(hours=7)
    start = int(first.timestamp()) * 1000
    window = {"from": start, "to": start + 300_000}
    drill.venue.post_fault("restate", exchange=drill.exchange, **window)
    return [ts for n in range(5) if (ts := first + n * MINUTE) in drill.truth()]


def in_step(drill: Drill) -> bool:
    """Return whether the minutes add up."""
    with drill.database.connect() as connection:
        return not contradictions(connection) and not false_sums(connection)


of_bitfinex = pytest.mark.parametrize("drill", ["bitfinex"], indirect=True)


@of_bitfinex
def test_a_provider_that_says_the_same_has_no_errors(day: Drill) -> None:
    before = day.stored()
    found = check(day)
    assert (found.ranges, found.minutes, found.refused) == (1, MINUTES, 0)
    assert not found.differences
    assert not found.unanswered
    assert found.requests == day.venue.requests()["total"]
    assert day.stored() == before == day.truth()
    assert day.query("SELECT * FROM market.revisions") == []
    rows = day.query("SELECT provider, minutes, differing, error_rate FROM market.deep_checks")
    assert rows == [("bitfinex", MINUTES, 0, 0.0)]


@of_bitfinex
def test_what_a_provider_has_changed_is_counted_stored_as_revisions_and_never_deleted(
    day: Drill,
) -> None:
    truth = day.truth()
    new = sorted(truth)[40]
    (gone,) = [
        ts for ts in (DAY_OF_DRILL.start + n * MINUTE for n in range(MINUTES)) if ts not in truth
    ][:1]
    with day.database.connect() as connection:  # as if it had said so then
        connection.execute("DELETE FROM ledger.bars_1m WHERE ts = %s", [new])
        connection.execute(
            "INSERT INTO ledger.bars_1m (listing_id, ts, open, high, low, close) "
            "SELECT id, %s, 1, 1, 1, 1 FROM ledger.listing",
            [gone],
        )
    moved = restated_five(day)
    assert in_step(day)
    found = check(day)
    assert total(found) == Differences(differing=len(moved), appeared=1, vanished=1)
    stored = day.stored()
    assert stored.keys() == truth.keys() | {gone}
    assert {ts for ts in truth if stored[ts] != truth[ts]} == set(moved)
    revised = dict(day.query("SELECT ts, new_close FROM market.revisions"))
    assert revised == {gone: None} | {ts: stored[ts][3] for ts in moved}
    assert in_step(day)
    # What has vanished is told again each time, but kept as a revision once.
    assert total(check(day, after=2 * MINUTE)) == Differences(vanished=1)
    assert len(day.query("SELECT FROM market.revisions")) == len(moved) + 1
    (rate,) = day.query(
        "SELECT checks, minutes, differing, appeared, vanished FROM market.error_rates"
    )
    assert rate == (2, 2 * MINUTES, len(moved), 1, 2)


@of_bitfinex
def test_an_answer_that_contradicts_too_much_is_refused_whole(day: Drill) -> None:
    before = day.stored()
    day.venue.post_fault("restate", exchange="bitfinex")
    found = check(day)
    assert found.refused == 1
    assert total(found).differing == len(before)
    assert day.stored() == before
    assert len(day.query("SELECT FROM market.refused_deliveries")) == 1
    day.venue.clear_faults()
    assert check(day, after=2 * MINUTE).refused == 0
    assert day.query("SELECT FROM market.refused_deliveries") == []
    assert day.query("SELECT FROM market.failures") == []


@of_bitfinex
def test_a_question_without_an_answer_fails_no_minute_that_was_answered_long_ago(
    day: Drill,
) -> None:
    day.venue.post_fault("server_error", exchange="bitfinex")
    found = check(day)
    assert (found.ranges, len(found.unanswered), found.minutes) == (1, 1, 0)
    assert day.query("SELECT FROM ledger.fetch_failure") == []
    assert day.coverage().failed == day.coverage().pending == 0
    assert day.query("SELECT unanswered, error_rate FROM market.deep_checks") == [(1, None)]
    assert day.query("SELECT FROM market.error_rates") == []


@of_bitfinex
def test_a_bar_that_cannot_be_believed_leaves_its_minute_to_be_asked_again(day: Drill) -> None:
    before = day.stored()
    day.venue.post_fault("bad_values", exchange="bitfinex", variant="high_below_low")
    found = check(day)
    assert found.minutes < MINUTES
    assert day.stored() == before
    assert {error for (error,) in day.query("SELECT error FROM market.failures")} == {"RefusedBar"}
    assert day.query("SELECT FROM ledger.quarantine")
    assert in_step(day)


@of_bitfinex
def test_no_more_is_asked_than_is_allowed(day: Drill) -> None:
    assert check(day, Effort(0.0, 100)).requests == 0
    assert day.venue.requests()["total"] == 0
    assert day.query("SELECT FROM market.deep_checks") == []


def drawn(database: Database, provider: str, page: int, day: date, number: int) -> list[Sample]:
    capabilities = Capabilities(RateLimit(60, 60), bars_per_request=page)
    generator = random.Random(day.isoformat())
    with LedgerSession(database) as session:
        return draw(session, provider, capabilities, LATER, generator=generator, number=number)


def test_a_sample_can_be_repeated_holds_settled_minutes_only_and_is_of_any_age(
    database: Database,
) -> None:
    months = [date(2022 + n // 12, n % 12 + 1, 1) for n in range(24)]
    with database.connect() as connection:
        listing = add_listing(connection, start="2022-01-01", session="XNYS")
        for month in months:
            whole = Interval.month(month)
            connection.execute(
                "INSERT INTO ledger.coverage (listing_id, month, answered, settled) "
                "VALUES (%(id)s, %(month)s, tstzmultirange(tstzrange(%(since)s, %(before)s)), "
                "tstzmultirange(tstzrange(%(since)s, %(before)s - interval '9 days')))",
                {"id": listing.id, "month": month, "since": whole.start, "before": whole.end},
            )
        hours = connection.execute(
            "SELECT unnest(asked) FROM ledger.session_month WHERE session = 'XNYS'"
        ).fetchall()
    open_ = [Interval(one.lower, one.upper) for (one,) in hours]
    sample = drawn(database, "bitfinex", 2000, DAY, 40)
    assert sample == drawn(database, "bitfinex", 2000, DAY, 40)
    assert sample != drawn(database, "bitfinex", 2000, DAY + timedelta(days=1), 40)
    assert len({one.window for one in sample}) == 40
    assert len({one.window.start.strftime("%Y-%m") for one in sample}) > 12
    for one in sample:
        assert one.window.minutes <= 2000
        assert one.window.end <= Interval.month(one.window.start).end - timedelta(days=9)
        for piece in one.settled:
            assert piece.intersection(one.window) == piece
            assert any(hour.intersection(piece) == piece for hour in open_)
        assert one.settled[0].start == one.window.start


@pytest.mark.parametrize(
    ("limit", "budget", "weight", "left", "requests"),
    [
        (RateLimit(60, 60), None, 1, None, 100),  # 1 % of 86,400, but no more than 100
        (RateLimit(5, 60), None, 2, None, 36),
        (RateLimit(5, 60), RateLimit(1000, 86_400), 1, 1000, 10),
        (RateLimit(5, 60), RateLimit(1000, 86_400), 1, 504, 4),  # half is for refreshes
        (RateLimit(5, 60), RateLimit(1000, 86_400), 1, 400, 0),
    ],
)
def test_a_check_takes_one_percent_of_a_day_and_leaves_half_of_a_budget(
    limit: RateLimit, budget: RateLimit | None, weight: int, left: int | None, requests: int
) -> None:
    capabilities = Capabilities(limit, budget=budget, request_weight=weight)
    assert Effort(1.0, 100).requests(capabilities, left, chance=0.99) == requests
    assert Effort(0.0, 100).requests(capabilities, left, chance=0.0) == 0


def test_a_quarter_of_a_request_a_day_is_one_in_four_days() -> None:
    capabilities = Capabilities(RateLimit(5, 60), budget=RateLimit(25, 86_400))
    chances = [n / 100 for n in range(100)]
    sent = [Effort(1.0, 100).requests(capabilities, 25, chance) for chance in chances]
    assert (sum(sent), max(sent)) == (25, 1)


@pytest.mark.parametrize(("minutes", "wrong"), [(1000, 0), (1000, 3), (50, 50), (144_000, 17)])
def test_the_interval_is_that_of_wilson(database: Database, minutes: int, wrong: int) -> None:
    with database.connect() as connection:
        for n in range(33):  # of which the last 30 count
            row = DeepCheck("a", LATER + n * MINUTE, 1, 0, minutes, wrong, 0, 0, 0, 1)
            keep_check(connection, row)
        (rate,) = error_rates(connection, "a")
    n, share = 30 * minutes, wrong / minutes
    assert (rate.checks, rate.minutes) == (30, n)
    assert rate.error_rate == pytest.approx(share)
    for bound in (rate.at_least, rate.at_most):
        # Each bound is as far from the share as it would itself be believed to scatter.
        scatter = 1.959963984540054 * sqrt(bound * (1 - bound) / n)
        assert abs(share - bound) == pytest.approx(scatter, abs=1e-12)
