"""The venue's idea of now: the system's clock, or one that tests set and make run faster."""

from __future__ import annotations

import time


class Clock:
    """Tells the venue's time in UTC milliseconds.

    It starts at `now_ms` (the system's time if None) and runs `speed` times as fast as wall time.
    """

    def __init__(self, now_ms: int | None = None, speed: float = 1.0) -> None:
        self._speed = speed
        self._origin = time.monotonic()
        self._base_ms = int(time.time() * 1000) if now_ms is None else now_ms

    @property
    def speed(self) -> float:
        """Venue seconds a wall second; 0 stands still."""
        return self._speed

    def now_ms(self) -> int:
        """Return the venue's time, UTC milliseconds."""
        return self._base_ms + int((time.monotonic() - self._origin) * 1000 * self._speed)

    def set(self, *, now_ms: int | None = None, speed: float | None = None) -> None:
        """Go on from `now_ms` (default: from now) at `speed` (default: as before)."""
        base_ms = self.now_ms() if now_ms is None else now_ms
        self._origin, self._base_ms = time.monotonic(), base_ms
        self._speed = self._speed if speed is None else speed
