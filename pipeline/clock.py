"""The present: the system's, or, for a rehearsal, one that runs from elsewhere and faster."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self


@dataclass(frozen=True, slots=True)
class Clock:
    """Shows `shown` when the system's clock shows `real`, and goes `speed` times as fast.

    Markets, sensors and downloads go by it; limits, pauses and logs by the system's clock.

    Attributes:
        real: Seconds since 1970.
        shown: Seconds since 1970.
        speed: 0 stands still.
    """

    real: float = 0.0
    shown: float = 0.0
    speed: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` writes: REAL SHOWN SPEED.

        Raises:
            ValueError: It is something else.
        """
        try:
            real, shown, speed = map(float, text.split())
        except ValueError:
            raise ValueError(
                "is no clock; write REAL SHOWN SPEED, as in 1790000000 1709640000 60, or remove it"
            ) from None
        return cls(real, shown, speed)

    @classmethod
    def standing(cls, moment: datetime) -> Self:
        """Return one that always shows the same moment."""
        return cls(0.0, moment.timestamp(), 0.0)

    def __str__(self) -> str:
        return f"{self.real} {self.shown} {self.speed}"

    def now(self) -> datetime:
        """Return the present, UTC."""
        return self.at(time.time())

    def at(self, real: float) -> datetime:
        """Return what it shows, UTC, when the system's clock shows so many seconds since 1970."""
        return datetime.fromtimestamp(self.shown + (real - self.real) * self.speed, UTC)


SYSTEM = Clock()
"""The system's clock."""
