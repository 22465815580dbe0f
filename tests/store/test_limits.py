"""Everybody together keeps every sliding window, wastes little of it, and waits when told to."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from itertools import pairwise
from multiprocessing.connection import Connection

import pytest

from pipeline.providers.capabilities import RateLimit
from pipeline.providers.limiter import PausedError, Report, Usage
from pipeline.store.database import Database, DatabaseError
from pipeline.store.limits import LedgerLimiter
from pipeline.store.server import EmbeddedServer
from tests.drills.processes import context

PROVIDER = "somebody"


@pytest.fixture
def limiter(database: Database) -> Iterator[LedgerLimiter]:
    with LedgerLimiter(database, PROVIDER) as opened:
        yield opened


def heaviest_window(sends: Sequence[tuple[float, int]], seconds: float) -> int:
    """Return the greatest weight in any closed window, by trying them all."""
    return max(sum(w for t, w in sends if start <= t <= start + seconds) for start, _ in sends)


def say(limiter: LedgerLimiter, limit: RateLimit, weight: int = 1) -> float:
    """Send and be answered at once; return when."""
    send = limiter.acquire(limit, weight)
    now = time.monotonic()
    limiter.answered(send, Report())
    return now


def query(database: Database, statement: str) -> list[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(statement.encode()).fetchall()


def test_no_window_ever_holds_more_than_the_limit_however_long_requests_travel(
    database: Database,
) -> None:
    limit, sends = RateLimit(12, 0.5), []
    chance = random.Random(7)
    plan = [[(chance.randint(1, 4), chance.random() * 0.05) for _ in range(8)] for _ in range(4)]

    def ask(limiter: LedgerLimiter, requests: list[tuple[int, float]]) -> None:
        for weight, travels in requests:
            send = limiter.acquire(limit, weight)
            time.sleep(travels)
            sends.append((time.monotonic(), weight))  # the provider counts it now
            time.sleep(travels / 5)
            limiter.answered(send, Report())

    with LedgerLimiter(database, PROVIDER) as one, LedgerLimiter(database, PROVIDER) as other:
        threads = [
            threading.Thread(target=ask, args=(limiter, requests))
            for limiter, requests in zip([one, other] * 2, plan, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(sends) == 32
    assert heaviest_window(sends, limit.seconds) <= limit.requests


def _keep_asking(database: Database, limit: RateLimit, seconds: float, pipe: Connection) -> None:
    with LedgerLimiter(database, PROVIDER) as limiter:
        pipe.send("ready")
        pipe.recv()
        sends, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            sends.append(say(limiter, limit))  # one clock for all processes of a machine
        pipe.send(sends)


@pytest.mark.parametrize("processes", [1, 3])
def test_processes_together_use_the_limit_and_keep_it(database: Database, processes: int) -> None:
    limit = RateLimit(20, 0.5)
    pipes = [context.Pipe() for _ in range(processes)]
    running = [
        context.Process(target=_keep_asking, args=(database, limit, 3.0, theirs), daemon=True)
        for _, theirs in pipes
    ]
    for process in running:
        process.start()
    for ours, _ in pipes:
        assert ours.recv() == "ready"
    for ours, _ in pipes:
        ours.send("go")
    each = [ours.recv() for ours, _ in pipes]
    for process in running:
        process.join()
    sends = sorted(send for sends in each for send in sends)
    assert all(each)
    assert heaviest_window([(send, 1) for send in sends], limit.seconds) <= limit.requests
    late = [send for send in sends if send >= sends[0] + limit.seconds]
    rate = (len(late) - 1) / (late[-1] - late[0])
    assert rate >= 0.5 * limit.requests / limit.seconds  # benchmarks/limiting.py measures it


def test_a_full_allowance_is_not_sent_in_one_burst(
    database: Database, limiter: LedgerLimiter
) -> None:
    for _ in range(6):
        say(limiter, RateLimit(10, 1.0))
    rows = query(database, "SELECT extract(epoch FROM sent_at) FROM ledger.request ORDER BY 1")
    sends = [float(str(sent)) for (sent,) in rows if sent is not None]
    assert len(sends) == 6
    assert min(b - a for a, b in pairwise(sends)) >= 0.05 - 1e-6


def test_a_weight_that_never_fits_is_refused(limiter: LedgerLimiter) -> None:
    with pytest.raises(ValueError, match="more than the limit"):
        limiter.acquire(RateLimit(5, 1.0), 6)


def test_what_a_killed_process_has_under_way_counts_for_one_window_only(
    database: Database, limiter: LedgerLimiter
) -> None:
    limit = RateLimit(1, 0.3)
    with LedgerLimiter(database, PROVIDER) as killed:
        killed.acquire(limit)
    gone = time.monotonic()
    assert 0.3 <= say(limiter, limit) - gone < 20


def test_what_is_under_way_keeps_its_place(database: Database, limiter: LedgerLimiter) -> None:
    limit = RateLimit(1, 0.1)
    with LedgerLimiter(database, PROVIDER) as slow:
        send = slow.acquire(limit)
        answered = threading.Timer(0.6, lambda: slow.answered(send, Report()))
        started = time.monotonic()
        answered.start()
        assert say(limiter, limit) - started >= 0.7
        answered.join()


def test_a_pause_holds_everybody_and_a_shorter_one_does_not_end_it(
    database: Database, limiter: LedgerLimiter
) -> None:
    with LedgerLimiter(database, PROVIDER) as other:
        started = time.monotonic()
        other.pause(timedelta(seconds=1), "too many requests")
        other.pause(timedelta(seconds=0.1), "too many requests again")
        assert 1 <= say(limiter, RateLimit(10, 1.0)) - started < 20
    assert query(database, "SELECT paused_until FROM market.providers") == [(None,)]


def test_a_pause_that_comes_while_somebody_waits_is_kept_by_him_too(
    database: Database, limiter: LedgerLimiter
) -> None:
    limit = RateLimit(1, 2.0)
    with LedgerLimiter(database, PROVIDER) as other:
        say(other, limit)
        started = time.monotonic()
        threading.Timer(0.1, lambda: other.pause(timedelta(seconds=3), "enough")).start()
        assert say(limiter, limit) - started >= 3.1


def test_a_pause_of_hours_is_told_instead_of_slept_through(
    database: Database, limiter: LedgerLimiter
) -> None:
    limiter.pause(timedelta(hours=2), "go away", ban=True)
    with pytest.raises(PausedError) as caught:
        limiter.acquire(RateLimit(1, 1.0))
    assert timedelta(minutes=119) < caught.value.remaining <= timedelta(hours=2)
    ((bans, seconds, why),) = query(
        database,
        """
        SELECT sum(bans)::int, sum(paused_seconds)::int > 0, min(pause_reason)
        FROM market.provider_health JOIN market.providers USING (provider)
        """,
    )
    assert (bans, seconds, why) == (1, True, "go away")


def test_providers_do_not_wait_for_each_other(database: Database, limiter: LedgerLimiter) -> None:
    limiter.pause(timedelta(hours=2), "go away")
    with LedgerLimiter(database, "somebody else") as other:
        say(other, RateLimit(1, 60.0))


@pytest.mark.parametrize(
    ("usage", "waits"),
    [
        (Usage(10, 0, timedelta(seconds=0.4)), True),  # nothing is left until it begins anew
        (Usage(10, 90, timedelta(seconds=0.4)), False),  # our limit is a small part of theirs
        (Usage(3, 0, timedelta(seconds=0.4)), False),  # those are our own
    ],
)
def test_what_others_use_of_a_limit_is_left_to_them(
    limiter: LedgerLimiter,
    usage: Usage,
    waits: bool,  # noqa: FBT001
) -> None:
    limit = RateLimit(10, 3.0)
    for _ in range(2):
        say(limiter, limit)
    send = limiter.acquire(limit)
    told = time.monotonic()
    limiter.answered(send, Report(usage=usage))
    assert (say(limiter, limit) - told > 2) == waits


def test_the_next_report_replaces_what_others_were_thought_to_use(limiter: LedgerLimiter) -> None:
    limit = RateLimit(10, 30.0)
    first, second = limiter.acquire(limit), limiter.acquire(limit)
    limiter.answered(first, Report(usage=Usage(10, 0, timedelta(0))))
    limiter.answered(second, Report(usage=Usage(1, 0, timedelta(0))))
    started = time.monotonic()
    assert say(limiter, limit) - started < 5


def test_how_requests_went_is_counted_by_the_hour(
    database: Database, limiter: LedgerLimiter
) -> None:
    limit = RateLimit(1000, 1.0)
    for n in range(1, 101):
        send = limiter.acquire(limit)
        outcome = {50: "RateLimited", 60: "RequestTimedOut"}.get(n, "answered")
        report = Report(outcome=outcome, latency=timedelta(milliseconds=n * 10))
        limiter.answered(send, report)
    # An hour may have begun meanwhile.
    rows = query(database, "SELECT * FROM market.provider_health ORDER BY requests DESC")
    requests, refusals, errors = (sum(row[i] for row in rows) for i in (2, 7, 8))  # type: ignore[misc]
    assert (requests, refusals, errors) == (100, 1, 1)
    if len(rows) == 1:
        assert rows[0][3] == 98
        for percentile, true in zip(rows[0][4:7], (500, 950, 990), strict=True):
            assert float(str(percentile)) == pytest.approx(true, rel=0.1)


def test_the_log_of_requests_stays_small(database: Database, limiter: LedgerLimiter) -> None:
    for _ in range(30):
        say(limiter, RateLimit(5, 0.05))
    ((rows,),) = query(database, "SELECT count(*) FROM ledger.request")
    assert isinstance(rows, int)
    assert rows < 10


def test_old_health_is_forgotten(database: Database, limiter: LedgerLimiter) -> None:
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO ledger.fetch_log SELECT %s, now() - make_interval(days => d), 'x', 1, 1"
            " FROM unnest(ARRAY[89, 91]) AS d",
            [PROVIDER],
        )
    say(limiter, RateLimit(10, 1.0))
    assert query(database, "SELECT count(*) FROM ledger.fetch_log") == [(2,)]


def test_the_clock_of_a_provider_is_kept(database: Database, limiter: LedgerLimiter) -> None:
    for skew in (-600, -600, 0):
        send = limiter.acquire(RateLimit(10, 0.1))
        limiter.answered(send, Report(clock_skew=timedelta(seconds=skew)))
        assert query(database, "SELECT clock_skew_seconds FROM market.providers") == [(skew,)]


def test_a_restart_of_the_database_is_outlived_and_a_crash_costs_one_window(
    own_server: EmbeddedServer,
) -> None:
    database, limit = Database(own_server), RateLimit(5, 3.0)
    with LedgerLimiter(database, PROVIDER) as limiter:
        for _ in range(5):
            say(limiter, limit)
        send = limiter.acquire(limit)
        own_server.stop()
        own_server.start()
        limiter.answered(send, Report())
        say(limiter, limit)
        own_server.stop("immediate")
        own_server.start()
        # Nobody knows any more what was sent, so all may have been.
        started = time.monotonic()
        assert 3.0 <= say(limiter, limit) - started < 20
        started = time.monotonic()
        assert say(limiter, limit) - started < 3.0


def test_a_database_that_stays_away_is_told(
    own_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.store.session.RESTART_SECONDS", 0.1)
    # By its address it is somebody's server, which we do not start.
    database = Database(own_server, own_server.url("market"))
    with LedgerLimiter(database, PROVIDER) as limiter, ExitStack() as stack:
        say(limiter, RateLimit(5, 1.0))
        own_server.stop()
        stack.callback(own_server.start)
        with pytest.raises(DatabaseError, match="connect"):
            limiter.acquire(RateLimit(5, 1.0))
