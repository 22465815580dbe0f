"""What a run tells Dagster of its partitions: those that are done, and one failure for the others.

What belongs here: the events, whatever the partitions are of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from assets.checks import logged
from assets.metadata import Metadata
from resources.partitions import dimension_tags

Context = dg.OpExecutionContext | dg.AssetExecutionContext
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a partition is not complete.

    Attributes:
        partition: Its key.
        why: The reason, in words.
        retryable: Whether doing it again may help.
    """

    partition: str
    why: str
    retryable: bool


def log_made(
    context: Context, made: Mapping[dg.AssetKey, Mapping[str, Metadata]], totals: Metadata
) -> None:
    """Log partitions of assets as made, by whatever run.

    Args:
        context: Of the run.
        made: By asset and partition key what is shown of it.
        totals: What is shown of each besides.
    """
    for key, partitions in made.items():
        for partition, shown in partitions.items():
            context.log_event(
                dg.AssetMaterialization(
                    key,
                    partition=partition,
                    metadata=totals | shown,
                    tags=dimension_tags(partition),
                )
            )


def finish(
    context: dg.AssetExecutionContext,
    made: Mapping[dg.AssetKey, Mapping[str, Metadata]],
    totals: Metadata,
    problems: Sequence[Problem],
    checks: Sequence[dg.AssetCheckResult],
    *,
    tell_what_follows: Callable[[], None] = lambda: None,
) -> Iterator[dg.MaterializeResult[None]]:
    """End the run of assets' partitions.

    Args:
        context: Of the run.
        made: By asset and partition key what is shown of it; those with problems are left out.
        totals: What is shown of each besides.
        problems: The partitions that are not complete.
        checks: What the checks of the assets say.
        tell_what_follows: Logs assets that follow from these as made. Told before these are, they
            would be out of step with them in Dagster's eyes.

    Raises:
        dg.Failure: Some partitions are not complete; the others have been logged as made.
    """
    if problems:
        # An error marks no partition as materialized, so the good ones are logged one by one.
        log_made(context, made, totals)
        for check in checks:
            context.log_event(logged(check))
        tell_what_follows()
        raise failure(problems, totals)
    for key, partitions in made.items():
        for partition, shown in partitions.items():
            if shown:
                context.add_asset_metadata(shown, key, partition_key=partition)
        mine = [check for check in checks if check.asset_key == key]
        yield dg.MaterializeResult(asset_key=key, metadata=totals, check_results=mine)
    tell_what_follows()


def failure(problems: Sequence[Problem], totals: Metadata) -> dg.Failure:
    """Return the failure that names the partitions that are not complete, and why."""
    lines = [f"{problem.partition}: {problem.why}" for problem in problems]
    more = [f"and {len(lines) - _SHOWN} more, see the run's log"] if len(lines) > _SHOWN else []
    return dg.Failure(
        "\n".join([f"{len(problems)} partitions are not complete:", *lines[:_SHOWN], *more]),
        metadata={
            **totals,
            "not_complete": dg.MetadataValue.json([problem.partition for problem in problems]),
        },
        allow_retries=any(problem.retryable for problem in problems),
    )
