"""The present, as a resource: what sensors and downloads take for now."""

from datetime import datetime

import dagster as dg

from pipeline.clock import Clock


class ClockResource(dg.ConfigurableResource["ClockResource"]):
    """Tells the time by a `pipeline.clock.Clock`; unless told otherwise, the system's."""

    real: float = 0.0
    """Seconds since 1970."""
    shown: float = 0.0
    """Seconds since 1970."""
    speed: float = 1.0

    def now(self) -> datetime:
        """Return the present, UTC."""
        return Clock(self.real, self.shown, self.speed).now()
