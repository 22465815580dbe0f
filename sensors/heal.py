"""`heal`: what failed, has to be checked again or was left is asked for, whatever its age."""

# No `from __future__ import annotations`: Dagster reads the sensor's annotations as they are.

from collections.abc import Mapping
from datetime import timedelta

import dagster as dg

from pipeline.heal import BUDGET_TIME, find_due_again
from pipeline.opening import capabilities_of
from pipeline.universe import Universe
from resources.ledger import LedgerResource
from sensors.pacing import Pace, Pacing
from sensors.ticking import (
    SLOW,
    Plan,
    Ticking,
    fingerprint,
    looking,
    missing_keys,
    queued_or_under_way,
    tag_of,
)

NAME = "heal"
_PACE = Pace(BUDGET_TIME, timedelta(hours=6))


def heal_sensor(
    universe: Universe, jobs: Mapping[str, dg.JobDefinition], ticking: Ticking
) -> dg.SensorDefinition:
    """Make the sensor that launches the repairs of providers, `jobs`."""

    @dg.sensor(
        name=NAME,
        description="Repairs what is due at each provider: failed minutes, settling checks, and "
        "minutes that were left, of any age. Stopped, it pauses: it is found again later.",
        jobs=list(jobs.values()),
        minimum_interval_seconds=ticking.every(60),
        default_status=ticking.status,
    )
    def sensor(context: dg.SensorEvaluationContext, ledger: LedgerResource) -> dg.SensorResult:
        now = ledger.now()
        plan = Plan(Pacing.read(context.cursor, list(jobs)), now)
        busy = queued_or_under_way(context.instance, NAME, list(jobs))
        with looking(ledger) as connection:
            for provider in sorted(jobs.keys() - busy):
                if why := missing_keys(universe, provider):
                    plan.say(why)
                    continue
                capabilities = capabilities_of(universe, provider)
                due = find_due_again(connection, provider, capabilities, now)
                if due:
                    # Other minutes of the same months do not wait for these.
                    what = fingerprint(f"{cell.listing} {at}" for cell, at in due.items())
                    plan.launch(provider, what, _PACE, [_request(provider, jobs[provider])])
        for provider in sorted(busy):
            plan.say(f"{provider}: a repair is queued or under way")
        return plan.result("nothing is due at any provider")

    return sensor


def _request(provider: str, job: dg.JobDefinition) -> dg.RunRequest:
    return dg.RunRequest(
        job_name=job.name,
        tags={tag_of(NAME): provider, **SLOW},
        run_config={"ops": {f"heal_{provider}_minutes": {"config": {"begun": True}}}},
    )
