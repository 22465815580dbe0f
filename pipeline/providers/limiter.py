"""What a client knows of the limit that it keeps together with everybody else who asks a provider.

What belongs here: the words between a client and whatever keeps the limit. Not here: how it is kept
(`pipeline.store.limits`), what a limit is (`capabilities`), or what a refusal means (the clients).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

from pipeline.providers.capabilities import RateLimit

ANSWERED: Final = "answered"
"""The outcome of a request that was properly answered; any other is the class of an error."""

PATIENCE: Final = timedelta(minutes=5)
"""A longer pause is told to the caller instead of slept through (Binance bans up to 3 days)."""


class PausedError(Exception):
    """The provider asked for a longer wait than a request should sleep.

    Args:
        remaining: How long the pause still lasts.
        reason: Why: what the provider said, or that the budget is spent; holds no secret.
    """

    def __init__(self, remaining: timedelta, reason: str) -> None:
        super().__init__(f"paused for another {remaining.total_seconds():.0f} s: {reason}")
        self.remaining = remaining


@dataclass(frozen=True, slots=True)
class Send:
    """One request that was let through.

    Attributes:
        weight: What it costs.
        id: Its name in the log.
    """

    weight: int
    id: uuid.UUID = field(default_factory=uuid.uuid4)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a provider says of the use of its limit, by whomever.

    Attributes:
        used: Weight that counts now.
        spare: How much more the provider allows in all than our own limit does.
        counted_for: For how long it has been counting.
    """

    used: int
    spare: int
    counted_for: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a request ended.

    Attributes:
        outcome: `ANSWERED`, or the class of the error.
        latency: Time from the send to the answer, or to the end of the waiting for it.
        ago: How long ago that end was.
        clock_skew: How far the provider's clock is ahead of ours; None if the answer does not say.
        usage: What the answer says of the use of the limit, if anything.
    """

    outcome: str = ANSWERED
    latency: timedelta = timedelta(0)
    ago: timedelta = timedelta(0)
    clock_skew: timedelta | None = None
    usage: Usage | None = None


class Limiter(Protocol):
    """Keeps the limits of one account. Safe to share between threads."""

    def acquire(self, limit: RateLimit, weight: int = 1, budget: RateLimit | None = None) -> Send:
        """Wait until a request of `weight` may be sent, and count it. Send it right after.

        Args:
            limit: What may be sent.
            weight: What the request costs.
            budget: A second limit for a longer time, such as a day.

        Nobody knows when a provider counts a request, only that it does so between the send and the
        answer. A send therefore keeps its place until the limit's window has passed since its
        answer came: no delay on the way can bring too many into one of the provider's windows.

        Returns:
            What to hand to `answered` once the answer is there, or has failed.

        Raises:
            PausedError: The provider pauses, or the budget is spent, for longer than `PATIENCE`, or
                this process is told to stop; nothing was counted.
            ValueError: The weight is more than the limits ever allow.
        """
        ...

    def answered(self, send: Send, report: Report) -> None:
        """Note how a request ended."""
        ...

    def pause(self, duration: timedelta, reason: str, *, ban: bool = False) -> None:
        """Let nobody through for `duration` from now. A shorter pause never ends a longer one.

        Args:
            duration: How long.
            reason: What the provider said; holds no secret.
            ban: Whether it shuts us out, and does not only slow us down.
        """
        ...


class Unlimited:
    """Lets everything through: for a single question where there is no ledger yet."""

    def acquire(self, limit: RateLimit, weight: int = 1, budget: RateLimit | None = None) -> Send:
        """Return at once."""
        del limit, budget
        return Send(weight)

    def answered(self, send: Send, report: Report) -> None:
        """Forget it."""

    def pause(self, duration: timedelta, reason: str, *, ban: bool = False) -> None:
        """Forget it."""
