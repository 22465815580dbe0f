"""When an answered minute is asked again, until the provider will not change it any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.intervals import floor_minute

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Settling:
    """After which delays an answered minute is asked again.

    A minute is settled once it was answered later after its end than the last delay.

    Attributes:
        delays: Times since the end of a minute, each longer than the one before.

    Raises:
        ValueError: There is no delay, or they do not rise from more than 0.
    """

    delays: tuple[timedelta, ...]

    def __post_init__(self) -> None:
        if not self.delays:
            raise ValueError("names no delay; name at least one, as in [1h, 1d, 7d]")
        rising = (timedelta(0), *self.delays)
        if any(late <= early for early, late in zip(rising, self.delays, strict=False)):
            raise ValueError("has delays that do not rise; write the shortest first, each once")

    def answered_late(self, received_at: datetime) -> Sequence[datetime]:
        """Return, for each delay, before which minute an answer of that time satisfies it."""
        return [floor_minute(received_at) - delay for delay in self.delays]

    def due(self, now: datetime) -> Sequence[datetime]:
        """Return, for each delay, before which minute it is time to ask again.

        Minutes fall due in whole hours, and in whole days for delays of a day or more, so that one
        request serves many of them.
        """
        return [_floor(now - delay, whole_days=delay >= DAY) for delay in self.delays]


DEFAULT = Settling((timedelta(hours=1), DAY, 7 * DAY))
"""For a provider that is not known to need other delays."""


def _floor(moment: datetime, *, whole_days: bool) -> datetime:
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour.replace(hour=0) if whole_days else hour
