"""The limiter keeps every sliding window, wastes little of it, and makes everybody wait."""

from __future__ import annotations

import random
import threading
import time
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.providers.capabilities import RateLimit
from pipeline.providers.limiter import PausedError, RateLimiter, shared_limiter


class FakeTime:
    """A clock that only sleeping moves, and sleepers that wake late."""

    def __init__(self, lateness: random.Random | None = None) -> None:
        self.now = 1000.0
        self._lateness = lateness

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds + (self._lateness.random() * 0.2 if self._lateness else 0.0)


def _limiter(limit: RateLimit, fake: FakeTime) -> RateLimiter:
    return RateLimiter(limit, clock=fake.clock, sleep=fake.sleep)


def _heaviest_window(sends: list[tuple[float, int]], seconds: float) -> int:
    """Return the greatest weight in any closed window, by trying them all."""
    return max(sum(w for t, w in sends if start <= t <= start + seconds) for start, _ in sends)


@given(
    requests=st.integers(1, 12),
    seconds=st.sampled_from([0.1, 1.0, 60.0]),
    weights=st.lists(st.integers(1, 5), min_size=1, max_size=60),
    idle=st.lists(st.floats(0.0, 2.0), min_size=60, max_size=60),
    seed=st.integers(0, 99),
)
def test_no_window_ever_holds_more_than_the_limit(
    requests: int, seconds: float, weights: list[int], idle: list[float], seed: int
) -> None:
    fake = FakeTime(random.Random(seed))
    limiter = _limiter(RateLimit(requests, seconds), fake)
    sends = []
    for weight, pause in zip(weights, idle, strict=False):
        send = limiter.acquire(min(weight, requests))
        fake.now += pause * seconds / 2
        sends.append((fake.now, min(weight, requests)))  # the provider counts it some time later
        fake.now += pause * seconds / 2
        limiter.answered(send)
    assert _heaviest_window(sends, seconds) <= requests


@pytest.mark.parametrize(
    ("limit", "weight"),
    [
        (RateLimit(1, 1.0), 1),
        (RateLimit(10, 1.0), 1),
        (RateLimit(30, 60.0), 1),
        (RateLimit(6000, 60.0), 2),
    ],
)
def test_a_saturating_load_uses_98_percent(limit: RateLimit, weight: int) -> None:
    fake = FakeTime()
    limiter = _limiter(limit, fake)
    limiter.answered(limiter.acquire(weight))
    begun, sends = fake.now, 5 * limit.requests // weight
    for _ in range(sends):
        limiter.answered(limiter.acquire(weight))
    rate = sends * weight / (fake.now - begun)
    assert rate >= 0.98 * limit.requests / limit.seconds


def test_a_full_allowance_is_not_sent_in_one_burst() -> None:
    fake = FakeTime()
    limiter = _limiter(RateLimit(10, 1.0), fake)
    sends = []
    for _ in range(10):
        limiter.acquire()
        sends.append(fake.now)
    assert min(b - a for a, b in pairwise(sends)) == pytest.approx(0.05)


def test_threads_keep_the_window_however_long_requests_travel() -> None:
    limiter = RateLimiter(RateLimit(10, 0.5))
    sends: list[float] = []

    def send() -> None:
        for _ in range(6):
            send = limiter.acquire()
            time.sleep(random.random() * 0.05)  # on its way
            sends.append(time.monotonic())
            time.sleep(random.random() * 0.01)  # and back
            limiter.answered(send)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sends.sort()
    assert len(sends) == 48
    assert _heaviest_window([(sent, 1) for sent in sends], 0.5) <= 10
    # Forty sends after the first are four windows, each longer by what a request travels.
    assert sends[40] - sends[0] < 4 * (0.5 + 0.06) * 1.2


def test_a_pause_holds_everybody_and_a_shorter_one_does_not_end_it() -> None:
    fake = FakeTime()
    limiter = _limiter(RateLimit(10, 1.0), fake)
    limiter.pause(timedelta(seconds=30))
    limiter.pause(timedelta(seconds=3))
    assert limiter.paused_for() == timedelta(seconds=30)
    limiter.acquire()
    assert fake.now == pytest.approx(1030.0)
    assert limiter.paused_for() == timedelta(0)


def test_a_pause_that_comes_while_one_waits_is_kept_too() -> None:
    fake = FakeTime()

    def sleep(seconds: float) -> None:
        if limiter.paused_for() == timedelta(0):
            limiter.pause(timedelta(seconds=30))
        fake.sleep(seconds)

    limiter = RateLimiter(RateLimit(1, 1.0), clock=fake.clock, sleep=sleep)
    limiter.answered(limiter.acquire())
    limiter.acquire()
    assert fake.now == pytest.approx(1030.0)


def test_a_pause_of_hours_is_told_instead_of_slept_through() -> None:
    fake = FakeTime()
    limiter = _limiter(RateLimit(1, 1.0), fake)
    limiter.pause(timedelta(hours=2))
    with pytest.raises(PausedError) as caught:
        limiter.acquire()
    assert caught.value.remaining == timedelta(hours=2)
    fake.now += 7200
    limiter.acquire()


def test_a_weight_that_never_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="more than the limit"):
        RateLimiter(RateLimit(5, 1.0)).acquire(6)


def test_one_provider_has_one_limiter() -> None:
    limit = RateLimit(5, 1.0)
    assert shared_limiter("somebody", limit) is shared_limiter("somebody", limit)
    assert shared_limiter("somebody", limit) is not shared_limiter("somebody else", limit)
