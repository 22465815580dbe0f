"""Asset checks that ride along with a run."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from assets.outcomes import CellOutcome
from pipeline.store.health import ProviderHealth
from pipeline.store.losses import Threat

MINUTES_ADD_UP = "minutes_add_up"
_SHOWN = 20


def minutes_add_up_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the definition of the check for one asset."""
    return dg.AssetCheckSpec(
        MINUTES_ADD_UP,
        asset=key,
        description="Each expected minute of the run's partitions is a bar, empty, failed, "
        "unavailable or pending, and the table holds exactly the bars that were accounted for. "
        "Executed by itself it looks at all partitions, which takes a while, and asks nobody.",
    )


def minutes_add_up(
    key: dg.AssetKey,
    outcomes: Sequence[CellOutcome],
    picture: str,
    health: ProviderHealth | None = None,
    endangered: Sequence[Threat] = (),
) -> dg.AssetCheckResult:
    """Judge the cells of a run.

    Args:
        key: The asset.
        outcomes: What became of the cells.
        picture: Markdown to show beside the numbers.
        health: How the provider has been answering, to be plotted; None if it was not asked.
        endangered: What the provider will soon not have any more, and was never answered.
    """
    wrong = [outcome for outcome in outcomes if not outcome.state.adds_up]
    rows = [one.state.coverage for one in outcomes if one.state.coverage is not None]
    metadata: dict[str, dg.MetadataValue] = {
        "partitions": dg.MetadataValue.int(len(outcomes)),
        "expected_minutes": dg.MetadataValue.int(sum(row.expected for row in rows)),
        "bars": dg.MetadataValue.int(sum(row.bars for row in rows)),
        "stored": dg.MetadataValue.int(sum(one.state.stored for one in outcomes)),
    }
    if health is not None and health.requests:
        metadata["provider_requests"] = dg.MetadataValue.int(health.requests)
        metadata["provider_success_percent"] = dg.MetadataValue.float(health.success_percent or 0.0)
        metadata["provider_p95_ms"] = dg.MetadataValue.float(health.p95_ms or 0.0)
        metadata["provider_refusals"] = dg.MetadataValue.int(health.refusals)
    if endangered:
        metadata["minutes_soon_lost"] = dg.MetadataValue.int(sum(t.minutes for t in endangered))
        metadata["first_minute_lost"] = dg.MetadataValue.timestamp(endangered[0].first)
        metadata["soon_lost"] = dg.MetadataValue.json(
            [f"{threat.listing} {threat.month:%Y-%m}" for threat in endangered[:_SHOWN]]
        )
    if picture:
        metadata["coverage"] = dg.MetadataValue.md(picture)
    if wrong:
        metadata["wrong"] = dg.MetadataValue.json([_describe(one) for one in wrong[:_SHOWN]])
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=MINUTES_ADD_UP,
        passed=not wrong,
        description=f"{len(wrong)} of {len(outcomes)} partitions do not add up" if wrong else None,
        metadata=metadata,
    )


def logged(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """Return the result as an event, for a step that ends with an error and so has no results."""
    if result.asset_key is None or result.check_name is None:
        raise ValueError("a result to be logged names its asset and its check")
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
    )


def _describe(outcome: CellOutcome) -> dict[str, object]:
    row = outcome.state.coverage
    counts = ("expected", "bars", "empty", "failed", "unavailable", "pending")
    return {
        "listing": outcome.cell.listing,
        "month": outcome.cell.month.isoformat(),
        "stored": outcome.state.stored,
        **{name: getattr(row, name) for name in counts if row is not None},
    }
