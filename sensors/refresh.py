"""`refresh_P`: what is new at a provider is asked for as soon as it has waited for long enough."""

# No `from __future__ import annotations`: Dagster reads the sensor's annotations as they are.

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta

import dagster as dg

from pipeline.intervals import MINUTE
from pipeline.plan import CELLS_PER_RUN
from pipeline.store.cells import Cell
from pipeline.store.freshness import Freshness, freshness
from pipeline.store.listings import listings
from pipeline.universe import Universe
from resources.ledger import LedgerResource
from sensors.pacing import Pace, Pacing
from sensors.ticking import (
    PRIORITY,
    SLOW,
    Plan,
    Ticking,
    backfilled,
    cell_range,
    fingerprint,
    looking,
    missing_keys,
    queued_or_under_way,
    runs_of_neighbours,
    tag_of,
)

_TAIL, _DAY, _MONTH = "tail", "day", "month"
_NAME = "refresh"
LONGEST = timedelta(hours=2)
_DAILY = Pace(timedelta(hours=1), timedelta(days=1))


def refresh_sensor(provider: str, universe: Universe, ticking: Ticking) -> dg.SensorDefinition:
    """Make the sensor that keeps a provider's listings fresh."""
    bars = [dg.AssetKey([provider, name]) for name in ("bars_1m", "gaps", "bars")]
    tail = dg.AssetKey([provider, "tail"])
    lag, refresh = universe.pace(provider)

    @dg.sensor(
        name=f"{_NAME}_{provider}",
        description=f"Asks {provider} for what is new, once a minute that can be had has waited "
        f"for {refresh // MINUTE} minutes; once a day it lets the partitions of the month show it. "
        "Stopped, it pauses: what was missed is asked for later.",
        asset_selection=[tail, *bars],
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
            live = {one.key for one in listings(connection, provider) if not one.ended(now)}
        plan = Plan(Pacing.read(context.cursor, (_TAIL, _DAY, _MONTH)), now)
        under_way = queued_or_under_way(context.instance, _NAME, [provider])
        stale = [row for row in rows if _is_due(row, now - lag - refresh)]
        if stale and not under_way:
            what = fingerprint(f"{row.listing} {row.stale_since}" for row in stale)
            plan.launch(_TAIL, what, Pace(refresh, LONGEST), [_of_tail(tail)])
        elif stale:
            plan.say(f"{len(stale)} listings are behind, and a refresh is queued or under way")
        elif not set(bars) & backfilled(context.instance):
            # What is not answered yet has nothing to show.
            shown = live & {row.listing for row in rows if row.answered_until is not None}
            _daily(plan, context.instance, bars, shown, now)
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


def _daily(
    plan: Plan,
    instance: dg.DagsterInstance,
    bars: Sequence[dg.AssetKey],
    listings: Collection[str],
    now: datetime,
) -> None:
    """Let the partitions of the month be materialized once a day, and those of the last once."""
    provider, today = bars[0].path[0], now.date()
    month = today.replace(day=1)
    before = (month - timedelta(days=1)).replace(day=1)
    ordered = instance.get_dynamic_partitions(f"{provider}_listings") if listings else []
    for key, what, first in ((_DAY, today, month), (_MONTH, before, before)):
        if plan.last(key) != what.isoformat():
            runs = runs_of_neighbours(listings, ordered, CELLS_PER_RUN)
            requests = [_of_month(bars, run, first) for run in runs]
            if requests:
                plan.launch(key, what.isoformat(), _DAILY, requests)


def _of_month(bars: Sequence[dg.AssetKey], listings: Sequence[str], month: date) -> dg.RunRequest:
    provider = bars[0].path[0]
    return dg.RunRequest(
        asset_selection=list(bars),
        tags={
            tag_of(_MONTH): provider,
            **SLOW,
            **cell_range(Cell(listings[0], month), Cell(listings[-1], month)),
        },
        run_config={"ops": {f"{provider}__minutes": {"config": {"only_due": True, "shows": True}}}},
    )
