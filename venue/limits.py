"""Request limits, kept strictly in a sliding window of wall-clock time."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `capacity` units of weight in any `seconds`."""

    capacity: float
    seconds: float


class SlidingWindow:
    """Admits a request if the weight of the last `seconds` stays within the capacity.

    A refused request costs nothing. `refused` counts refusals since the last admission, by which an
    exchange decides to ban a client that does not stop.
    """

    def __init__(self, budget: Budget, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = budget
        self._clock = clock
        self._admitted: deque[tuple[float, float]] = deque()
        self._shut_until = 0.0
        self.used = 0.0
        self.refused = 0

    def admit(self, weight: float) -> float | None:
        """Return None if admitted, else the seconds to wait until this weight would fit."""
        now = self._clock()
        if now < self._shut_until:
            self.refused += 1
            return self._shut_until - now
        while self._admitted and self._admitted[0][0] <= now - self._budget.seconds:
            self.used -= self._admitted.popleft()[1]
        if self.used + weight <= self._budget.capacity:
            self._admitted.append((now, weight))
            self.used += weight
            self.refused = 0
            return None
        self.refused += 1
        return self._wait(now, weight)

    def shut(self, seconds: float) -> None:
        """Admit nothing for some time, unless already shut."""
        self._shut_until = max(self._shut_until, self._clock() + seconds)

    def _wait(self, now: float, weight: float) -> float:
        free = self._budget.capacity - self.used
        for at, released in self._admitted:
            free += released
            if free >= weight:
                return at + self._budget.seconds - now
        return self._budget.seconds
