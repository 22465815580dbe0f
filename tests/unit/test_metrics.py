"""Counting requests from hours that are logged, and forgotten in time."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.metrics import Requests

NINE, TEN, ELEVEN = (datetime(2024, 3, 1, hour, tzinfo=UTC) for hour in (9, 10, 11))
Row = tuple[str, datetime, str, int, int]


def row(hour: datetime, requests: int, outcome: str = "answered", bucket: int = 20) -> Row:
    return ("kraken", hour, outcome, bucket, requests)


def samples(counted: Requests, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in counted.families()
        for sample in family.samples
        if sample.name == name
    }


def test_what_was_logged_before_the_start_does_not_count() -> None:
    counted = Requests()
    counted.add([row(NINE, 100)])
    assert sum(counted.counts.values()) == 0
    counted.add([row(NINE, 103), row(TEN, 5)])
    assert samples(counted, "minuteledger_requests_total") == {("kraken", "answered"): 8}


def test_hours_that_are_forgotten_take_nothing_back() -> None:
    counted = Requests()
    counted.add([row(NINE, 100)])
    counted.add([row(NINE, 110), row(TEN, 5)])
    assert counted.since == NINE
    counted.add([row(TEN, 7), row(ELEVEN, 1)])
    assert counted.since == TEN
    counted.add([])
    counted.add([row(ELEVEN, 4)])
    assert samples(counted, "minuteledger_requests_total")["kraken", "answered"] >= 18


def test_latencies_are_a_histogram_whose_buckets_add_up() -> None:
    counted = Requests()
    counted.add([])
    counted.add([row(TEN, 3, bucket=20), row(TEN, 2, bucket=40), row(TEN, 1, "Timeout", 90)])
    buckets = samples(counted, "minuteledger_request_seconds_bucket")
    numbers = [value for _, value in buckets.items()]
    assert numbers == sorted(numbers)
    assert buckets["kraken", "+Inf"] == 6
    assert samples(counted, "minuteledger_request_seconds_count") == {("kraken",): 6}
    within = {edge: value for (_, edge), value in buckets.items()}
    # 1.2 ** 21 ms is 46 ms: such a request is within the edge of 1.2 ** 24 ms, not of 1.2 ** 20 ms.
    assert (within["0.03834"], within["0.0795"]) == (0, 3)
