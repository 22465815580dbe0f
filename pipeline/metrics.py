"""Metrics in Prometheus' format, of the ledger and of Dagster's runs.

What belongs here: names, labels and meanings. Counters begin at zero with the process, as is usual
for Prometheus; all else is read at each scrape.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pipeline.orchestration.history import history
from pipeline.store import measures
from pipeline.store.database import Database

_BASE = 1.2
_STEPS = 4
_LARGEST = 64
_EDGES: Final = range(_STEPS, _LARGEST + 1, _STEPS)
"""Upper edges of the histogram's buckets, in powers of the base: 2 ms to two minutes."""
_OPEN: Final = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
_ENDED: Final = ("SUCCESS", "FAILURE", "CANCELED")

_Key = tuple[str, datetime, str, int]


class Requests:
    """Counts requests from what the ledger has logged of the hours, which it forgets in time."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str, int], int] = defaultdict(int)
        """Number by provider, outcome and bucket of latency."""
        self._seen: dict[_Key, int] | None = None
        self.since = datetime.now(UTC)
        """From when on the hours are to be read next."""

    def add(self, rows: Iterable[tuple[str, datetime, str, int, int]]) -> None:
        """Take in the logged hours from `since` on: provider, hour, outcome, bucket, requests."""
        now = {(provider, hour, outcome, bucket): n for provider, hour, outcome, bucket, n in rows}
        for (provider, hour, outcome, bucket), number in now.items():
            known = (
                number
                if self._seen is None
                else self._seen.get((provider, hour, outcome, bucket), 0)
            )
            self.counts[provider, outcome, bucket] += max(0, number - known)
        self._seen = now
        if now:
            # The hour before the newest may still get some that ended late.
            hours = sorted({key[1] for key in now})
            self.since = hours[-2] if len(hours) > 1 else hours[-1]

    def families(self) -> Iterator[Metric]:
        """Yield the counter of requests, and the histogram of how long they took."""
        total = CounterMetricFamily(
            "minuteledger_requests",
            "Requests to providers that have ended.",
            labels=["provider", "outcome"],
        )
        by_outcome: dict[tuple[str, str], int] = defaultdict(int)
        by_provider: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for (provider, outcome, bucket), number in sorted(self.counts.items()):
            by_outcome[provider, outcome] += number
            by_provider[provider][bucket] += number
        for labels, number in by_outcome.items():
            total.add_metric(labels, number)
        yield total
        latency = HistogramMetricFamily(
            "minuteledger_request_seconds",
            "How long requests to providers took; each to 20 percent.",
            labels=["provider"],
        )
        for provider, buckets in by_provider.items():
            edges = [(_seconds(edge), _up_to(buckets, edge)) for edge in _EDGES]
            everything = sum(buckets.values())
            latency.add_metric(
                [provider],
                [(f"{edge:.4g}", number) for edge, number in edges] + [("+Inf", everything)],
                sum(_seconds(bucket + 0.5) * number for bucket, number in buckets.items()),
            )
        yield latency


def _seconds(power: float) -> float:
    return float(_BASE**power) / 1000


def _up_to(buckets: dict[int, int], edge: int) -> int:
    return sum(number for bucket, number in buckets.items() if bucket < edge)


class LedgerCollector(Collector):
    """Reads the metrics of a ledger and of the Dagster beside it.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._started = datetime.now(UTC)
        self._requests = Requests()

    def describe(self) -> Iterable[Metric]:
        """Say nothing beforehand, so that registering does not read the ledger."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics as they are now.

        Raises:
            psycopg.Error, DatabaseError: The ledger cannot be read. The scrape then fails, which
                Prometheus knows as `up == 0`.
        """
        with history(self._database) as dagster:
            runs = measures.runs(dagster, self._started)
            dagster_bytes = measures.size(dagster)
        with self._database.connect() as connection:
            self._requests.add(measures.logged_requests(connection, self._requests.since))
            yield from self._requests.families()
            yield _minutes(*measures.minutes(connection))
            yield from _freshness(measures.freshness(connection))
            yield _gauge("gaps", "Gaps that quiet markets do not explain.", ("provider", "reason"),
                         measures.gaps(connection))  # fmt: skip
            yield _gauge("alerts", "Alerts that stand.", ("severity",), measures.alerts(connection))
            yield from _providers(measures.paused(connection))
            sizes = [("market", measures.size(connection)), ("dagster", dagster_bytes)]
        yield _gauge("database_bytes", "What a database takes on disk.", ("database",), sizes)
        open_ = [(status, runs.get(status, 0)) for status in _OPEN]
        yield _gauge("runs_open", "Dagster's runs that have not ended.", ("status",), open_)
        total = CounterMetricFamily(
            "minuteledger_runs", "Dagster's runs that have ended.", labels=["status"]
        )
        for status in _ENDED:
            total.add_metric([status], runs.get(status, 0))
        yield total


def _minutes(states: Iterable[str], rows: measures.Rows) -> Metric:
    values = [
        (provider, state, number)
        for provider, *numbers in rows
        for state, number in zip(states, numbers, strict=True)
    ]
    about = "What became of the minutes that were expected; they add up."
    return _gauge("minutes", about, ("provider", "state"), values)


def _freshness(rows: measures.Rows) -> Iterator[Metric]:
    labels = ("provider", "listing")
    yield _gauge(
        "listing_stale_minutes",
        "Minutes that are expected by now after the newest answered one, in market time.",
        labels,
        [row[:3] for row in rows],
    )
    yield _gauge(
        "listing_newest_bar_timestamp_seconds",
        "Start of the newest bar.",
        labels,
        [(*row[:2], row[3]) for row in rows if row[3] is not None],
    )


def _providers(rows: measures.Rows) -> Iterator[Metric]:
    yield _gauge("provider_paused_seconds", "For how long nothing is asked of it.", ("provider",),
                 [row[:2] for row in rows])  # fmt: skip
    yield _gauge(
        "provider_clock_ahead_seconds",
        "How far its clock is ahead of ours.",
        ("provider",),
        [(row[0], row[2]) for row in rows if row[2] is not None],
    )


def _gauge(
    name: str, about: str, labels: tuple[str, ...], rows: Iterable[tuple[object, ...]]
) -> Metric:
    family = GaugeMetricFamily(f"minuteledger_{name}", about, labels=labels)
    for *values, number in rows:
        family.add_metric([str(value) for value in values], float(str(number)))
    return family
