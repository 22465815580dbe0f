"""The present, as a resource: what sensors and refreshes take for now."""

from datetime import UTC, datetime

import dagster as dg


class ClockResource(dg.ConfigurableResource["ClockResource"]):
    """Tells the time: the system's, or, for a rehearsal, one that runs from elsewhere and faster.

    Its time is `shown` when the system's is `real`, and goes on `speed` times as fast.
    """

    real: float | None = None
    """Seconds since 1970; None: it tells the system's time."""
    shown: float = 0.0
    """Seconds since 1970."""
    speed: float = 1.0

    def now(self) -> datetime:
        """Return the present, UTC."""
        now = datetime.now(UTC)
        if self.real is None:
            return now
        return datetime.fromtimestamp(self.shown + (now.timestamp() - self.real) * self.speed, UTC)
