"""When a sensor may launch something again: the one kind of cursor that all of ours have.

What belongs here: reading, asking and writing it. No Dagster, and no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, RootModel, ValidationError


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the same key may be launched.

    Attributes:
        pause: Not again before that.
        longest: When what it was launched for is still there, the pause doubles up to this one.
    """

    pause: timedelta
    longest: timedelta


class _Launch(BaseModel):
    at: AwareDatetime
    what: str
    pause: float = 0.0


class _Cursor(RootModel[dict[str, _Launch]]):
    pass


@dataclass(frozen=True, slots=True)
class Pacing:
    """What was last launched of each key, and when. Immutable.

    Attributes:
        unreadable: Why the cursor that it was read from counts as empty; None if it did not.
    """

    launches: Mapping[str, _Launch] = field(default_factory=dict)
    unreadable: str | None = None

    @classmethod
    def read(cls, cursor: str | None, keys: Collection[str]) -> Pacing:
        """Read a cursor. One that cannot be read is an empty one.

        Args:
            cursor: The text; None if there was none yet.
            keys: The keys that there are; all others are dropped.
        """
        if not cursor:
            return cls()
        try:
            found = _Cursor.model_validate_json(cursor).root
        except ValidationError:
            return cls(unreadable=f"the cursor {cursor[:40]!r} cannot be read, and starts anew")
        return cls({key: launch for key, launch in found.items() if key in keys})

    def dump(self) -> str:
        """Return the cursor."""
        return _Cursor(dict(self.launches)).model_dump_json()

    def wait(self, key: str, what: str, now: datetime, pace: Pace) -> timedelta:
        """Return how long a key has to wait before it is launched for something; zero if not.

        Args:
            key: The key.
            what: What for: a short fingerprint.
            now: The present, UTC.
            pace: How often.
        """
        known = self.launches.get(key)
        if known is None:
            return timedelta(0)
        pause = min(self._pause(known, what, pace), pace.longest)
        # When the clock was set back, nothing waits for longer than from now on.
        return max(timedelta(0), min(known.at, now) + pause - now)

    def launched(self, key: str, what: str, now: datetime, pace: Pace) -> Pacing:
        """Return the pacing after a key was launched for something."""
        known = self.launches.get(key)
        again = known is not None and known.what == what
        pause = min(2 * self._pause(known, what, pace), pace.longest) if again and known else None
        launch = _Launch(
            at=now.astimezone(UTC), what=what, pause=(pause or pace.pause).total_seconds()
        )
        return replace(self, launches={**self.launches, key: launch})

    @staticmethod
    def _pause(known: _Launch, what: str, pace: Pace) -> timedelta:
        """Return the pause after a launch: the one it left if that is still there, else anew."""
        return max(timedelta(seconds=known.pause), pace.pause) if known.what == what else pace.pause
