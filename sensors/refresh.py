"""`refresh_P`: what is new at a provider is asked for as soon as it has waited for long enough."""

# No `from __future__ import annotations`: Dagster reads the sensor's annotations as they are.

from collections.abc import Sequence
from datetime import datetime, timedelta

import dagster as dg

from pipeline.intervals import MINUTE
from pipeline.store.freshness import Freshness, freshness
from pipeline.universe import Universe
from resources.ledger import LedgerResource
from sensors.pacing import Pace, Pacing
from sensors.ticking import (
    PRIORITY,
    Plan,
    Ticking,
    fingerprint,
    looking,
    missing_keys,
    queued_or_under_way,
    tag_of,
    tail_of,
)

_TAIL = "tail"
_NAME = "refresh"
LONGEST = timedelta(hours=2)


def refresh_sensor(provider: str, universe: Universe, ticking: Ticking) -> dg.SensorDefinition:
    """Make the sensor that keeps a provider's listings fresh."""
    tail = tail_of(provider)
    lag, refresh = universe.pace(provider)

    @dg.sensor(
        name=f"{_NAME}_{provider}",
        description=f"Asks {provider} for what is new, once a minute that can be had has waited "
        f"for {refresh // MINUTE} minutes. Stopped, it pauses: what was missed is asked for later.",
        asset_selection=[tail],
        minimum_interval_seconds=ticking.every(30),
        default_status=ticking.status,
    )
    def sensor(
        context: dg.SensorEvaluationContext, ledger: LedgerResource
    ) -> dg.SensorResult | dg.SkipReason:
        if why := missing_keys(universe, provider):
            return dg.SkipReason(why)
        now = ledger.now()
        with looking(ledger) as connection:
            rows = freshness(connection, provider, now=now)
        plan = Plan(Pacing.read(context.cursor, (_TAIL,)), now)
        under_way = queued_or_under_way(context.instance, _NAME, [provider])
        stale = [row for row in rows if _is_due(row, now - lag - refresh)]
        if stale and not under_way:
            what = fingerprint(f"{row.listing} {row.stale_since}" for row in stale)
            plan.launch(_TAIL, what, Pace(refresh, LONGEST), [_of_tail(tail)])
        elif stale:
            plan.say(f"{len(stale)} listings are behind, and a refresh is queued or under way")
        return plan.result(_nothing(rows))

    return sensor


def _is_due(row: Freshness, late: datetime) -> bool:
    return row.unasked_since is not None and row.unasked_since + MINUTE < late


def _nothing(rows: Sequence[Freshness]) -> str:
    failing = sum(row.failing_since is not None for row in rows)
    return f"{len(rows)} listings, nothing new to ask for; {failing} are failing"


def _of_tail(tail: dg.AssetKey) -> dg.RunRequest:
    tags = {tag_of(_NAME): tail.path[0], PRIORITY: "10"}
    return dg.RunRequest(asset_selection=[tail], tags=tags)
