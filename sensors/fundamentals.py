"""`fundamentals`: documents whose time to live is over are asked for again."""

# No `from __future__ import annotations`: Dagster reads the sensor's annotations as they are.

from datetime import timedelta

import dagster as dg

from pipeline.snapshots.refreshing import due
from pipeline.store.subjects import subjects
from pipeline.universe import Universe
from resources.ledger import LedgerResource
from sensors.pacing import Pace, Pacing
from sensors.ticking import (
    SLOW,
    Plan,
    Ticking,
    backfilled,
    fingerprint,
    looking,
    missing_keys,
    queued_or_under_way,
    range_tags,
    runs_of_neighbours,
    tag_of,
)

FUNDAMENTALS = "fundamentals"
RUNS_PER_TICK = 20
INSTRUMENTS_PER_RUN = 60
_PACE = Pace(timedelta(minutes=10), timedelta(days=1))


def fundamentals_sensor(universe: Universe, ticking: Ticking) -> dg.SensorDefinition:
    """Make the sensor that refreshes what providers say of companies and coins."""
    providers = universe.fundamentals_providers
    assets = {provider: dg.AssetKey([provider, FUNDAMENTALS]) for provider in providers}

    @dg.sensor(
        name=FUNDAMENTALS,
        description="Asks for the documents whose time to live is over, or that a date of earnings "
        "has made old. Stopped, it pauses.",
        asset_selection=list(assets.values()),
        minimum_interval_seconds=ticking.every(300),
        default_status=ticking.status,
    )
    def sensor(context: dg.SensorEvaluationContext, ledger: LedgerResource) -> dg.SensorResult:
        now = ledger.now()
        with looking(ledger) as connection:
            wanted = due(connection, subjects(connection), now)
        plan = Plan(Pacing.read(context.cursor, providers), now)
        busy = queued_or_under_way(context.instance, FUNDAMENTALS, providers) if wanted else set()
        others = backfilled(context.instance) if wanted else set()
        for provider in sorted({one.subject.provider for one in wanted} & set(providers)):
            mine = [one for one in wanted if one.subject.provider == provider]
            if provider in busy or assets[provider] in others:
                plan.say(f"{provider}: {len(mine)} documents are due, and a run is under way")
            elif why := missing_keys(universe, provider):
                plan.say(why)
            else:
                ordered = context.instance.get_dynamic_partitions(f"{provider}_{FUNDAMENTALS}")
                names = {one.subject.instrument for one in mine}
                runs = list(runs_of_neighbours(names, ordered, INSTRUMENTS_PER_RUN))
                what = fingerprint(f"{one.subject.instrument} {one.document}" for one in mine)
                requests = [
                    dg.RunRequest(
                        asset_selection=[assets[provider]],
                        tags={
                            tag_of(FUNDAMENTALS): provider,
                            **SLOW,
                            **range_tags(run[0], run[-1]),
                        },
                    )
                    for run in runs[:RUNS_PER_TICK]
                ]
                if requests:
                    plan.launch(provider, what, _PACE, requests)
        return plan.result("no document is due")

    return sensor
