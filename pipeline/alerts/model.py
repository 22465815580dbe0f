"""What an alert is: the kinds of trouble, and a trouble that was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

Severity = Literal["warning", "critical"]
Event = Literal["opened", "reminder", "resolved"]


class Kind(StrEnum):
    """The kinds of trouble; docs/alerts.md says of each what to do."""

    RUN_FAILED = "run_failed"
    PROVIDER_DOWN = "provider_down"
    STALE = "stale"
    GIVEN_UP = "given_up"
    REFUSED = "refused_deliveries"
    SOON_LOST = "soon_lost"
    HELD = "held_values"
    IDENTITY = "minutes_do_not_add_up"
    DISK = "disk"


PATIENCE: Final[Mapping[Kind, timedelta]] = {
    Kind.PROVIDER_DOWN: timedelta(minutes=2),
    # After a pause of the sensors, and for new listings, that is the rule until a run has been.
    Kind.STALE: timedelta(minutes=10),
    Kind.SOON_LOST: timedelta(hours=1),
}
"""How long a trouble has to be seen before it is told; at once where nothing is said."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that people should know of.

    Attributes:
        kind: What kind of trouble.
        about: What it is about; with the kind, what makes it the same trouble when seen again.
        severity: critical when data is not collected, is being lost or cannot be trusted.
        title: What is wrong, in a line.
        text: What is wrong, where, and what to do; holds no secret.
        since: Since when, as far as is known, UTC.
        count: How often it happened, or of how many things it is true.
        provider: The provider, if it is about one.
    """

    kind: Kind
    about: str
    severity: Severity
    title: str
    text: str
    since: datetime
    count: int = 1
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """A trouble that people are or were told of; a row of `market.alerts`. Times are UTC.

    Attributes:
        id: Its number.
        key: What makes it the same trouble when it comes again.
        kind: What kind of trouble.
        provider: The provider, if it is about one.
        severity: How bad it is.
        title: What is wrong, in a line.
        text: What is wrong, where, and what to do.
        count: How often it happened, or of how many things it is true.
        since: Since when it is, or was, so.
        opened_at: When it had lasted long enough to be told.
        last_seen_at: When it was last seen.
        resolved_at: When it was over; None while it stands.
        notified_at: When it was last told; None if it was not yet.
    """

    id: int
    key: str
    kind: str
    provider: str | None
    severity: Severity
    title: str
    text: str
    count: int
    since: datetime
    opened_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    notified_at: datetime | None


@dataclass(frozen=True, slots=True)
class News:
    """What is to be told of an alert.

    Attributes:
        event: That it has opened (or become critical), still stands, or is over.
        alert: The alert as it is.
    """

    event: Event
    alert: Alert
