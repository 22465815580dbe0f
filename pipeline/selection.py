"""Which providers serve, and what their standbys are asked for instead.

What belongs here: judging a provider by its keys, its capability and its health. What is wanted of
standbys then follows in the ledger (`store.standby`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg

from pipeline.opening import options_of
from pipeline.providers.errors import Unsupported
from pipeline.providers.options import ProviderOptions
from pipeline.store.health import ProviderHealth, provider_health
from pipeline.store.standby import follow_needs, put_in_service
from pipeline.universe import Universe

HEALTH_WINDOW: Final = timedelta(hours=2)
"""What a provider did longer ago is not held against it."""
FEWEST_REQUESTS: Final = 20
LEAST_SUCCESS_PERCENT: Final = 50.0
"""A provider that answers fewer of at least so many requests is out of service."""
_DAY: Final = timedelta(days=1)
LONGEST_PAUSE: Final = timedelta(hours=1)
"""One that wants to be left alone for longer is, too."""


def select(connection: psycopg.Connection, universe: Universe, *, anew: bool = True) -> None:
    """Decide which providers of the universe serve, and what is asked of standbys; keep it.

    Args:
        connection: An open connection; the work is one transaction.
        universe: The universe, with which the ledger is in step.
        anew: Look at all months. Else only at what time has added since the last month began,
            unless a provider came into service or went out of it.

    Raises:
        SettingsError: `.env`, which may hold keys, cannot be read.
    """
    now = datetime.now(UTC)
    with connection.transaction():
        known = {one.provider: one for one in provider_health(connection, now - HEALTH_WINDOW)}
        verdicts = {
            name: out_of_service(name, options_of(universe, name), known.get(name), now)
            for name in universe.bar_providers
        }
        anew |= put_in_service(connection, verdicts)
        month = now.date().replace(day=1)
        follow_needs(connection, first=None if anew else (month - _DAY).replace(day=1))


def out_of_service(
    name: str, options: ProviderOptions, health: ProviderHealth | None, now: datetime
) -> str | None:
    """Return why a provider is out of service; None while it serves.

    Args:
        name: Its name in the universe.
        options: How it is configured.
        health: How it has been answering of late; None if nothing was asked.
        now: The present, UTC.
    """
    try:
        missing = options.missing_keys(name)
    except Unsupported as error:
        return str(error)
    if missing:
        return f"{_listed(missing)} not set"
    return _unhealthy(health, now) if health else None


def _unhealthy(health: ProviderHealth, now: datetime) -> str | None:
    until = health.paused_until
    if until is not None and until - now > LONGEST_PAUSE:
        return f"it wants to be left alone until {until:%Y-%m-%d %H:%M} UTC"
    success = health.success_percent
    if success is None or health.requests < FEWEST_REQUESTS or success >= LEAST_SUCCESS_PERCENT:
        return None
    return f"it answered {success:.0f} % of its last {health.requests} requests"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)
