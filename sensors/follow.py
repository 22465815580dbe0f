"""`follow`: what follows from changed minutes is worked out, of whatever age these are.

That is how all that is downstream reaches history: by the ledger's notes, and not by the events
of partitions. A tick costs a look at two tables that are mostly empty, however many partitions
there are.
"""

# No `from __future__ import annotations`: Dagster reads the sensor's annotations as they are.

from datetime import timedelta

import dagster as dg

from pipeline.store.upkeep import noted_since
from pipeline.universe import Universe
from resources.ledger import LedgerResource
from sensors.pacing import Pace, Pacing
from sensors.ticking import (
    SLOW,
    Plan,
    Ticking,
    assets_of_minutes,
    at_work,
    looking,
    queued_or_under_way,
    tag_of,
    tail_of,
)

NAME = "follow"
_ALL = "all"
_AGE = timedelta(minutes=5)
_PACE = Pace(timedelta(minutes=5), timedelta(hours=6))


def follow_sensor(
    universe: Universe, job: dg.JobDefinition, ticking: Ticking
) -> dg.SensorDefinition:
    """Make the sensor that launches `follow_up`."""
    assets = {name: [*assets_of_minutes(name), tail_of(name)] for name in universe.bar_providers}

    @dg.sensor(
        name=NAME,
        description="Builds bars and consolidated series above minutes that have changed, where "
        "the run that changed them did not come to it. Stopped, it pauses.",
        job=job,
        minimum_interval_seconds=ticking.every(60),
        default_status=ticking.status,
    )
    def sensor(context: dg.SensorEvaluationContext, ledger: LedgerResource) -> dg.SensorResult:
        plan = Plan(Pacing.read(context.cursor, [_ALL]), ledger.now())
        if queued_or_under_way(context.instance, NAME, [_ALL]):
            return plan.result("it is queued or under way")
        busy = at_work(context.instance, assets)
        with looking(ledger) as connection:
            since = noted_since(connection, _AGE, busy)
        if since is not None:
            tags = {tag_of(NAME): _ALL, **SLOW}
            plan.launch(
                _ALL, since.isoformat(), _PACE, [dg.RunRequest(job_name=job.name, tags=tags)]
            )
        return plan.result("all that follows from minutes is in step with them")

    return sensor
