"""What providers will soon not have any more, as the universe wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from pipeline.opening import capabilities_of
from pipeline.providers.table import CAPABILITIES
from pipeline.store.losses import Threat, threats
from pipeline.universe import Universe


@dataclass(frozen=True, slots=True)
class Loss:
    """Minutes of a listing's month that were never answered, and are soon lost.

    Attributes:
        threat: The minutes.
        lost_at: When the first of them can no longer be asked for, UTC.
    """

    threat: Threat
    lost_at: datetime


def soon_lost(
    connection: psycopg.Connection,
    universe: Universe,
    now: datetime,
    within: timedelta,
    *,
    provider: str | None = None,
    listing: str | None = None,
) -> Sequence[Loss]:
    """Return what is soon lost at the providers of a universe that keep their newest minutes only.

    Args:
        connection: An open connection.
        universe: The universe.
        now: The present, UTC.
        within: How soon.
        provider: Only this provider; None for all.
        listing: Only listings of this key; None for all.

    Raises:
        Unsupported: There is no such client.
    """
    moving = {name for name, row in CAPABILITIES.items() if row.history_minutes}
    reaches = {
        name: capabilities_of(universe, name)
        for name in universe.bar_providers
        if provider in {None, name} and universe.source(name) in moving
    }
    return [
        Loss(threat, reach.lost_at(threat.first, now))
        for name, reach in reaches.items()
        for threat in threats(
            connection, name, reach.endangered(now, within), [listing] if listing else None
        )
    ]
