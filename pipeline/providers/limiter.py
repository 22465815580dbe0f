"""A rate limit that every thread of the process keeps together.

What belongs here: when the next request may be sent. Not here: what a limit is (`capabilities`), or
what a refusal means (the clients).

Why not pyrate-limiter 4.5: it records the moment for which a send was planned and not the one at
which the waiting thread woke, so that its window holds only while threads wake in time; its default
buffer of 50 ms costs 5 % of a limit of 10 a second; it sends all N at once; and it cannot make
everybody wait. This is a log of the sends themselves.
"""

from __future__ import annotations

import time
from collections import deque
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.providers.capabilities import RateLimit

_MARGIN: Final = 1.01
_JITTER_SECONDS: Final = 0.003
"""A send counts a little longer than it must: requests do not all travel equally fast."""

_SPACING: Final = 0.5
"""Share of the even spacing between any two sends: token buckets hold less than a whole window."""

PATIENCE: Final = timedelta(minutes=5)
"""A longer pause is told to the caller instead of slept through (Binance bans up to 3 days)."""


class PausedError(Exception):
    """The provider asked for a longer wait than a request should sleep.

    Args:
        remaining: How long the pause still lasts.
    """

    def __init__(self, remaining: timedelta) -> None:
        super().__init__(f"paused for another {remaining.total_seconds():.0f} s")
        self.remaining = remaining


class RateLimiter:
    """Lets through at most `limit.requests` (weighted) in any window of `limit.seconds`.

    Safe to share between threads. Under a saturating load at least 95 % of the limit is used.

    Args:
        limit: What the provider allows.
        clock: Monotonic time in seconds.
        sleep: Waits for so many seconds; may take longer.
    """

    def __init__(
        self,
        limit: RateLimit,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.limit = limit
        self._clock = clock
        self._sleep = sleep
        self._span = limit.seconds * _MARGIN + _JITTER_SECONDS
        self._spacing = _SPACING * limit.seconds / limit.requests
        self._sends: deque[tuple[float, int]] = deque()
        self._used = 0
        self._next_at = 0.0
        self._resume_at = 0.0
        self._turn = Lock()
        self._state = Lock()

    def acquire(self, weight: int = 1) -> None:
        """Wait until a request of `weight` may be sent, and count it. Send it right after.

        Raises:
            PausedError: The provider pauses for longer than `PATIENCE`; nothing was counted.
            ValueError: The weight is more than the limit ever allows.
        """
        if weight > self.limit.requests:
            raise ValueError(f"weight {weight} is more than the limit of {self.limit.requests}")
        with self._turn:  # only the first in line watches the clock: light requests cannot overtake
            while (wait := self._take(weight)) > 0:
                self._sleep(wait)

    def pause(self, duration: timedelta) -> None:
        """Let nothing through for `duration` from now. A shorter pause never ends a longer one."""
        with self._state:
            self._resume_at = max(self._resume_at, self._clock() + duration.total_seconds())

    def paused_for(self) -> timedelta:
        """Return how long the pause still lasts; zero when there is none."""
        with self._state:
            return timedelta(seconds=max(0.0, self._resume_at - self._clock()))

    def _take(self, weight: int) -> float:
        """Count the send and return 0, or return the seconds to wait before trying again."""
        with self._state:
            now = self._clock()
            pause = self._resume_at - now
            if pause > PATIENCE.total_seconds():
                raise PausedError(timedelta(seconds=pause))
            wait = max(pause, self._next_at - now, self._room_at(weight, now) - now)
            if wait > 0:
                return wait
            self._sends.append((now, weight))
            self._used += weight
            self._next_at = now + self._spacing * weight
            return 0.0

    def _room_at(self, weight: int, now: float) -> float:
        """Forget the sends that no longer count and return when `weight` more fits."""
        while self._sends and now - self._sends[0][0] >= self._span:
            self._used -= self._sends.popleft()[1]
        excess = self._used + weight - self.limit.requests
        for sent_at, sent_weight in self._sends:
            if excess <= 0:
                break
            excess -= sent_weight
            if excess <= 0:
                return sent_at + self._span
        return now


_shared: dict[tuple[str, RateLimit], RateLimiter] = {}
_shared_lock = Lock()


def shared_limiter(provider: str, limit: RateLimit) -> RateLimiter:
    """Return the one limiter that all clients of `provider` in this process use."""
    with _shared_lock:
        return _shared.setdefault((provider, limit), RateLimiter(limit))
