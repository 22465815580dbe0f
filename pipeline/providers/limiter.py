"""A rate limit that every thread of the process keeps together.

What belongs here: when the next request may be sent. Not here: what a limit is (`capabilities`), or
what a refusal means (the clients).

Why not pyrate-limiter 4.5: it records the moment for which a send was planned and not the one at
which the waiting thread woke, so that its window holds only while threads wake in time; its default
buffer of 50 ms costs 5 % of a limit of 10 a second; it sends all N at once; and it cannot make
everybody wait. This is a log of the sends themselves.

Nobody knows when a provider counts a request, only that it does so between the send and the answer.
A send therefore keeps its place until the window has passed since its answer came: then no delay on
the way, in a thread or on the wire, can bring too many into one of the provider's windows.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.providers.capabilities import RateLimit

_MARGIN_SECONDS: Final = 0.002
"""A send counts a little longer than it must: clocks do not all run equally fast."""

_LOOK_AGAIN_SECONDS: Final = 0.002
_LOST_SECONDS: Final = 120.0
"""A request without an answer is under way no longer than this, whatever became of it."""

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


@dataclass(slots=True)
class Send:
    """One request that was let through.

    Attributes:
        counted_at: When the provider counted it at the latest: when the answer came; until then,
            when it was let through.
        weight: What it costs.
        answered: Whether the answer, or an error, is there.
    """

    counted_at: float
    weight: int
    answered: bool = False

    def free_at(self, span: float) -> float:
        """Return when it no longer counts against a window of `span` seconds."""
        return self.counted_at + (span if self.answered else max(span, _LOST_SECONDS))


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
        self._span = limit.seconds + _MARGIN_SECONDS
        self._spacing = _SPACING * limit.seconds / limit.requests
        self._sends: deque[Send] = deque()
        self._used = 0
        self._next_at = 0.0
        self._resume_at = 0.0
        self._turn = Lock()
        self._state = Lock()

    def acquire(self, weight: int = 1) -> Send:
        """Wait until a request of `weight` may be sent, and count it. Send it right after.

        Returns:
            What to hand to `answered` once the answer is there, or has failed.

        Raises:
            PausedError: The provider pauses for longer than `PATIENCE`; nothing was counted.
            ValueError: The weight is more than the limit ever allows.
        """
        if weight > self.limit.requests:
            raise ValueError(f"weight {weight} is more than the limit of {self.limit.requests}")
        with self._turn:  # only the first in line watches the clock: light requests cannot overtake
            while not isinstance(taken := self._take(weight), Send):
                self._sleep(taken)
            return taken

    def answered(self, send: Send) -> None:
        """Note that a request has had its answer: by now at the latest, the provider counted it."""
        with self._state:
            send.counted_at = self._clock()
            send.answered = True

    def pause(self, duration: timedelta) -> None:
        """Let nothing through for `duration` from now. A shorter pause never ends a longer one."""
        with self._state:
            self._resume_at = max(self._resume_at, self._clock() + duration.total_seconds())

    def paused_for(self) -> timedelta:
        """Return how long the pause still lasts; zero when there is none."""
        with self._state:
            return timedelta(seconds=max(0.0, self._resume_at - self._clock()))

    def _take(self, weight: int) -> Send | float:
        """Count the send and return it, or return the seconds to wait before trying again."""
        with self._state:
            now = self._clock()
            pause = self._resume_at - now
            if pause > PATIENCE.total_seconds():
                raise PausedError(timedelta(seconds=pause))
            wait = max(pause, self._next_at - now, self._room_at(weight, now) - now)
            if wait > 0:
                return wait
            send = Send(now, weight)
            self._sends.append(send)
            self._used += weight
            self._next_at = now + self._spacing * weight
            return send

    def _room_at(self, weight: int, now: float) -> float:
        """Forget the sends that no longer count and return when `weight` more fits."""
        while self._sends and self._sends[0].free_at(self._span) <= now:
            self._used -= self._sends.popleft().weight
        excess = self._used + weight - self.limit.requests
        for send in self._sends:
            if excess <= 0:
                break
            excess -= send.weight
            if excess <= 0:
                free_at = send.free_at(self._span)
                # A request that is still under way has no end to wait for: look again soon.
                return free_at if send.answered else min(free_at, now + _LOOK_AGAIN_SECONDS)
        return now


_shared: dict[tuple[str, RateLimit], RateLimiter] = {}
_shared_lock = Lock()


def shared_limiter(provider: str, limit: RateLimit) -> RateLimiter:
    """Return the one limiter that all clients of `provider` in this process use."""
    with _shared_lock:
        return _shared.setdefault((provider, limit), RateLimiter(limit))
