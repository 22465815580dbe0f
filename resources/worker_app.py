"""What a worker loads: the Celery application whose one task executes a run of Dagster."""

from __future__ import annotations

import os

from dagster_celery.config import DEFAULT_CONFIG
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task

_BROKER = os.environ["MINUTELEDGER_BROKER_URL"]

app = make_app(
    {
        "broker": _BROKER,
        "backend": _BROKER,
        # Loaded once, and not again for each run.
        "include": ["pipeline.definitions"],
        "config_source": DEFAULT_CONFIG
        | {
            # Each run sees the universe file as it is.
            "worker_max_tasks_per_child": 1,
            # No run waits behind another one while a worker elsewhere has nothing to do.
            "worker_disable_prefetch": True,
        },
    }
)
create_execute_job_task(app)
