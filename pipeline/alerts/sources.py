"""Where to look for trouble, and how often."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import psycopg

from pipeline.alerts import conditions
from pipeline.alerts.model import Kind, Trouble
from pipeline.settings import Settings
from pipeline.universe import Universe

SELDOM: Final = timedelta(minutes=10)
"""How often is looked for what costs the database more than a glance."""

Look = Callable[[], Iterable[Trouble]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where troubles of some kinds are found.

    Attributes:
        kinds: The kinds.
        look: Finds them all.
        every: How often it is worth looking; zero for always.
    """

    kinds: Collection[Kind]
    look: Look
    every: timedelta = timedelta(0)


def sources(
    connection: psycopg.Connection, settings: Settings, universe: Universe | None, now: datetime
) -> Sequence[Source]:
    """Return where to look for all troubles that can be seen now.

    Args:
        connection: An open connection.
        settings: What the environment says.
        universe: The universe; None where its file cannot be used: what hangs on it is not looked
            for, and stays as it is.
        now: The present, UTC.
    """
    found = [
        Source(
            (Kind.PROVIDER_DOWN, Kind.STALE),
            partial(conditions.providers, connection, now, settings.alert_stale_after),
        ),
        Source((Kind.GIVEN_UP,), partial(conditions.given_up, connection)),
        Source((Kind.REFUSED,), partial(conditions.refused, connection)),
        Source((Kind.HELD,), partial(conditions.held, connection), SELDOM),
        Source((Kind.IDENTITY,), partial(conditions.identity, connection, now), SELDOM),
    ]
    if universe is not None:
        found.append(
            Source(
                (Kind.SOON_LOST,), partial(conditions.soon_lost, connection, universe, now), SELDOM
            )
        )
    # The disk of a server of the user's own is not ours to see.
    found.append(Source((Kind.DISK,), partial(conditions.disk, settings, now)))
    return found


def due(
    found: Sequence[Source], looked: Mapping[Kind, datetime], now: datetime
) -> Sequence[Source]:
    """Return the sources at which it is time to look.

    Args:
        found: All sources.
        looked: When each kind was last looked for, UTC; one that is not there never was.
        now: The present, UTC.
    """
    return [
        source
        for source in found
        if all(kind not in looked or looked[kind] + source.every <= now for kind in source.kinds)
    ]
