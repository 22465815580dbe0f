"""What each fault of a venue leaves behind: never a wrong bar, never a minute covered in error."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from math import ceil
from typing import Any

import pytest

from pipeline.providers.table import CAPABILITIES
from tests.faults.conftest import DAY, HASTE, MARKETS, Drill, put_in_ledger
from tests.making import at

# Each fault, and the class of error that the ledger names (None: it depends on the exchange).
LASTING: list[tuple[dict[str, Any], str | None]] = [
    ({"kind": "rate_limit", "retry_after": 1}, "RateLimited"),
    ({"kind": "ban", "retry_after": 1}, "RateLimited"),
    ({"kind": "server_error"}, "ProviderUnavailable"),
    ({"kind": "timeout"}, "RequestTimedOut"),
    ({"kind": "disconnect"}, "ProviderUnavailable"),
    ({"kind": "truncated"}, "ProviderUnavailable"),
    ({"kind": "truncated_json"}, "MalformedAnswer"),
    ({"kind": "not_json"}, None),
    ({"kind": "empty_object"}, "MalformedAnswer"),
    ({"kind": "outside_window"}, "OutsideWindow"),
    ({"kind": "clock_shift"}, "OutsideWindow"),
    ({"kind": "clock_shift", "shift_minutes": -60}, "OutsideWindow"),
    ({"kind": "clock_shift", "shift_minutes": 1}, "OutsideWindow"),
    ({"kind": "duplicates", "variant": "conflicting"}, "RefusedBar"),
    ({"kind": "bad_values"}, "RefusedBar"),
    ({"kind": "bad_values", "variant": "high_below_low"}, "RefusedBar"),
    ({"kind": "bad_values", "variant": "negative"}, "RefusedBar"),
    ({"kind": "bad_values", "variant": "null"}, "RefusedBar"),
    ({"kind": "bad_values", "variant": "nan"}, "RefusedBar"),
    ({"kind": "bad_values", "variant": "text"}, "RefusedBar"),
    ({"kind": "bad_values", "variant": "off_minute"}, "RefusedBar"),
]
HARMLESS: list[dict[str, Any]] = [
    {"kind": "unsorted"},
    {"kind": "duplicates", "variant": "identical"},
    {"kind": "prelisting_garbage"},
]
PASSING = ["server_error", "disconnect", "truncated", "truncated_json", "not_json"]
# Where the venue does not say how long to wait, we wait for a minute: too long for a test.
TELLS_HOW_LONG_TO_WAIT = "binance"
everywhere = pytest.mark.parametrize("drill", sorted(MARKETS), indirect=True)


def check_that_nothing_is_wrong(drill: Drill) -> None:
    """Every stored bar is true, every answered minute is answered rightly, and all adds up."""
    truth, stored, answered = drill.truth(), drill.stored(), drill.answered()
    assert all(truth[ts] == values for ts, values in stored.items())
    inside = {ts for ts in truth if any(ts in interval for interval in answered)}
    assert inside == set(stored)
    row = drill.coverage()
    assert row.adds_up
    assert row.expected == DAY.minutes
    assert row.bars == len(stored)


def name(value: object) -> str:
    return "-".join(map(str, value.values())) if isinstance(value, dict) else str(value)


@pytest.mark.parametrize(
    ("drill", "fault", "error"),
    [
        (exchange, fault, error)
        for exchange in sorted(MARKETS)
        for fault, error in LASTING
        if exchange == TELLS_HOW_LONG_TO_WAIT or fault["kind"] not in {"rate_limit", "ban"}
    ],
    ids=name,
    indirect=["drill"],
)
def test_a_lasting_fault_leaves_its_minutes_open_and_they_come_when_it_is_gone(
    drill: Drill, fault: dict[str, Any], error: str | None
) -> None:
    drill.download(now=lambda: DAY.start + timedelta(minutes=5))  # learns markets and first trade
    drill.venue.post_fault(**fault, exchange=drill.exchange)
    report = drill.download()
    check_that_nothing_is_wrong(drill)
    assert not report.complete
    assert report.explain()
    assert drill.coverage().failed + drill.coverage().pending > 0
    if error is not None:
        assert (error,) in drill.query("SELECT DISTINCT error FROM ledger.fetch_failure")
    open_minutes = drill.coverage().expected - drill.coverage().settled
    page = CAPABILITIES[drill.exchange].bars_per_request

    drill.venue.clear_faults()
    drill.venue.clear_requests()
    report = drill.download()
    assert report.complete, report.explain()
    assert drill.stored() == drill.truth()
    row = drill.coverage()
    assert (row.failed, row.pending, row.percent) == (0, 0, 100.0)
    assert drill.query("SELECT * FROM ledger.fetch_failure") == []
    assert len(drill.asked()) <= min(open_minutes, ceil(DAY.minutes / page))

    drill.venue.clear_requests()
    assert drill.download().requests == 0


@everywhere
@pytest.mark.parametrize("fault", HARMLESS, ids=name)
def test_a_harmless_oddity_loses_nothing(drill: Drill, fault: dict[str, Any]) -> None:
    drill.venue.post_fault(**fault, exchange=drill.exchange)
    report = drill.download()
    assert report.complete, report.explain()
    check_that_nothing_is_wrong(drill)
    assert drill.stored() == drill.truth()


@pytest.mark.parametrize(
    ("drill", "kind"),
    [*product(sorted(MARKETS), PASSING), (TELLS_HOW_LONG_TO_WAIT, "rate_limit")],
    indirect=["drill"],
)
def test_a_passing_fault_is_overcome_in_the_same_run(drill: Drill, kind: str) -> None:
    drill.venue.post_fault(kind, exchange=drill.exchange, times=1, retry_after=1)
    report = drill.download()
    assert report.complete, report.explain()
    assert drill.stored() == drill.truth()


@everywhere
def test_a_page_that_ends_too_soon_is_noticed(drill: Drill) -> None:
    drill.download(now=lambda: DAY.start + timedelta(minutes=5))
    drill.venue.post_fault("short_page", exchange=drill.exchange, times=3)
    report = drill.download()
    assert report.complete, report.explain()
    assert drill.stored() == drill.truth()


@pytest.mark.parametrize("drill", ["coinbase"], indirect=True)
def test_after_failures_in_a_row_a_provider_is_left_alone(drill: Drill) -> None:
    drill.download(now=lambda: DAY.start + timedelta(minutes=5))
    with drill.database.connect() as connection:
        put_in_ledger(connection, drill.exchange, DAY.start - timedelta(days=9))
    drill.venue.post_fault("server_error", exchange=drill.exchange)
    drill.venue.clear_requests()
    report = drill.download(patience=replace(HASTE, failures_in_a_row=2))
    assert not report.complete
    assert report.unasked > 24 * 60
    assert "the provider was given up" in report.explain()
    # Two failures, and what was under way beside them; fifty pages were wanted.
    assert len(drill.venue.requests()["requests"]) <= (2 + 8) * HASTE.attempts
    assert drill.coverage().adds_up
    assert drill.coverage().pending > 24 * 60


@everywhere
def test_quarantine_shows_the_rows_of_a_shifted_clock(drill: Drill) -> None:
    drill.download(now=lambda: DAY.start + timedelta(minutes=5))
    drill.venue.post_fault("clock_shift", exchange=drill.exchange)
    report = drill.download()
    rules = drill.query("SELECT DISTINCT rule FROM ledger.quarantine")
    assert rules == [("outside_the_window",)]
    assert report.refused == drill.query("SELECT count(*) FROM ledger.quarantine")[0][0]


@everywhere
def test_a_feed_that_shifts_after_the_fact_is_refused_and_the_bars_stay(drill: Drill) -> None:
    early = at("2024-03-11T06:00")
    assert drill.download(now=lambda: early).complete
    before = drill.stored()
    drill.venue.post_fault("restate", exchange=drill.exchange)
    report = drill.download()
    assert not report.complete
    assert drill.stored() == before == drill.truth()
    assert drill.query("SELECT DISTINCT error FROM ledger.fetch_failure") == [
        ("ContradictoryDelivery",)
    ]
    assert drill.query("SELECT * FROM ledger.bar_revision") == []
    assert drill.coverage().adds_up


@everywhere
def test_a_month_that_settles_in_the_middle_of_a_minute_is_asked_for_whole_minutes(
    drill: Drill,
) -> None:
    early = at("2024-03-10T18:00") + timedelta(seconds=31, microseconds=5)
    assert drill.download(now=lambda: early).complete
    later = at("2024-03-17T12:00") + timedelta(seconds=47)
    report = drill.download(now=lambda: later)
    assert report.complete, report.explain()
    assert drill.coverage().settled == 12 * 60
    check_that_nothing_is_wrong(drill)


@everywhere
def test_a_few_restated_bars_become_revisions_at_settling_time(drill: Drill) -> None:
    early = at("2024-03-11T06:00")
    assert drill.download(now=lambda: early).complete
    before = drill.stored()
    start = int(at("2024-03-10T12:00").timestamp()) * 1000
    drill.venue.post_fault(
        "restate", exchange=drill.exchange, **{"from": start, "to": start + 300_000}
    )
    report = drill.download()
    assert report.complete, report.explain()
    changed = {ts for ts, values in drill.stored().items() if before[ts] != values}
    assert changed <= {at("2024-03-10T12:00") + timedelta(minutes=n) for n in range(5)}
    assert report.revised == len(changed) > 0
    kept = drill.query("SELECT ts, old_close FROM ledger.bar_revision ORDER BY ts")
    assert kept == [(ts, before[ts][3]) for ts in sorted(changed)]
    assert drill.coverage().settled == DAY.minutes
