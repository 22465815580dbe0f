"""What is told of runs that failed. What ran, and what came of it, Dagster says."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from pipeline.alerts.model import Kind, Trouble
from pipeline.store.alerts import FailedRun

_LONGEST: Final = 600


def failed_run(
    run: str, step: str, name: str, *, why: str, at: datetime, providers: Collection[str]
) -> FailedRun:
    """Return what is told of a step of a run that failed.

    Args:
        run: The run's id.
        step: The step, by which its later runs are known.
        name: What it makes or is called: assets, or a job.
        why: What was wrong.
        at: When it failed, UTC.
        providers: The universe's providers, one of which it may be of.
    """
    why = why.strip()
    why = why if len(why) <= _LONGEST else f"{why[: _LONGEST - 3]}..."
    trouble = Trouble(
        Kind.RUN_FAILED,
        step,
        "warning",
        f"{name} failed",
        f"Run {run} failed at {at:%Y-%m-%d %H:%M} UTC:\n{why}\nDagster shows it under Runs, with "
        "its whole log. What providers did not answer is in the ledger and is asked for again by "
        "itself; anything else somebody has to mend. It is over once a run of the same succeeds.",
        at,
        provider=provider_of(step, name, providers),
    )
    return FailedRun(run, trouble)


def provider_of(step: str, name: str, providers: Collection[str]) -> str | None:
    """Return the provider that a step is of, by its names: `bitfinex__minutes`, `heal_bitfinex`."""
    found = [
        one
        for one in providers
        if step.startswith(f"{one}__") or name.startswith(f"{one}/") or name.endswith(f"_{one}")
    ]
    return max(found, key=len, default=None)
