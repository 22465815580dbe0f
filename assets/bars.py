"""`P/bars_1m`: the minutes of each provider, as the provider gave them.

What belongs here: the factory, and turning a run's outcomes into Dagster's events.
"""

# No `from __future__ import annotations`: Dagster reads the asset's annotations as they are.

from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from assets import heat_map, metadata
from assets.checks import logged, minutes_add_up, minutes_add_up_spec
from assets.downloading import CellOutcome, download_cells
from pipeline.providers.errors import ProviderError
from pipeline.universe import Universe
from resources.downloads import DownloadsResource
from resources.ledger import LedgerResource
from resources.partitions import cell_partitions, to_cell, to_key

PARTITIONS_PER_RUN = 60
"""Enough that a run lasts for minutes, for each costs two CPU seconds before it does anything."""
_SHOWN = 20
_EXAMPLES = (
    "SELECT * FROM market.bars_1m WHERE provider = '{provider}' AND listing = 'BTC-USD';",
    "SELECT * FROM market.coverage WHERE provider = '{provider}' ORDER BY percent;",
)


class DownloadConfig(dg.Config):
    """Options of a download."""

    only_due: bool = Field(
        default=False,
        description="Leave minutes that failed alone until their next attempt is due.",
    )
    again: bool = Field(
        default=False,
        description="Ask for all minutes again, also settled ones, and compare.",
    )


def bars_1m(provider: str, universe: Universe) -> dg.AssetsDefinition:
    """Make the asset of a provider's 1-minute bars."""
    key = dg.AssetKey([provider, "bars_1m"])

    @dg.asset(
        key=key,
        partitions_def=cell_partitions(provider, universe.first_month(provider)),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=PARTITIONS_PER_RUN),
        pool=provider,
        group_name=provider,
        kinds={"postgres", universe.providers[provider].client},
        owners=["team:market-data"],
        description=_description(provider),
        metadata=_definition_metadata(provider),
        check_specs=[minutes_add_up_spec(key)],
    )
    def asset(
        context: dg.AssetExecutionContext,
        config: DownloadConfig,
        ledger: LedgerResource,
        downloads: DownloadsResource,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows it bare only
        database = ledger.database()
        cells = [to_cell(key) for key in context.partition_keys]
        try:
            with downloads.downloader(database, universe, provider) as downloader:
                outcomes = download_cells(
                    database,
                    downloader,
                    provider,
                    cells,
                    only_due=config.only_due,
                    again=config.again,
                    tell=lambda outcome: _tell(context, outcome),
                )
        except ProviderError as error:
            raise dg.Failure(str(error), allow_retries=error.retryable) from error
        return _finish(context, key, outcomes, heat_map.of_provider(database, provider))

    return asset


def _tell(context: dg.AssetExecutionContext, outcome: CellOutcome) -> None:
    name, report = to_key(outcome.cell), outcome.report
    if outcome.problem:
        context.log.warning("%s is not complete: %s", name, outcome.problem)
    elif report is not None and report.requests:
        context.log.info(
            "%s: %d bars inserted, %d revised, %d refused; %d requests in %.1f s",
            name,
            report.inserted,
            report.revised,
            report.refused,
            report.requests,
            report.seconds,
        )


def _finish(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    outcomes: Sequence[CellOutcome],
    picture: str,
) -> dg.MaterializeResult[None]:
    check = minutes_add_up(key, outcomes, picture)
    totals = metadata.of_run(outcomes)
    bad = [outcome for outcome in outcomes if outcome.problem]
    if not bad:
        for outcome in outcomes:
            context.add_asset_metadata(
                metadata.of_cell(outcome), partition_key=to_key(outcome.cell)
            )
        return dg.MaterializeResult(metadata=totals, check_results=[check])
    # An error marks no partition as materialized, so the good ones are logged one by one.
    for outcome in outcomes:
        if not outcome.problem:
            context.log_event(_materialization(key, outcome, totals))
    context.log_event(logged(check))
    raise _failure(bad, totals)


def _materialization(
    key: dg.AssetKey, outcome: CellOutcome, totals: metadata.Metadata
) -> dg.AssetMaterialization:
    partition = to_key(outcome.cell)
    return dg.AssetMaterialization(
        key,
        partition=partition,
        metadata={**totals, **metadata.of_cell(outcome)},
        # Dagster adds these itself to what an asset returns.
        tags={f"dagster/partition/{name}": k for name, k in partition.keys_by_dimension.items()},
    )


def _failure(bad: Sequence[CellOutcome], totals: metadata.Metadata) -> dg.Failure:
    lines = [f"{to_key(outcome.cell)}: {outcome.problem}" for outcome in bad]
    more = [f"and {len(lines) - _SHOWN} more, see the run's log"] if len(lines) > _SHOWN else []
    return dg.Failure(
        "\n".join([f"{len(bad)} partitions are not complete:", *lines[:_SHOWN], *more]),
        metadata={
            **totals,
            "not_complete": dg.MetadataValue.json([to_key(outcome.cell) for outcome in bad]),
        },
        allow_retries=any(outcome.retryable for outcome in bad),
    )


def _description(provider: str) -> str:
    return (
        f"The 1-minute bars of {provider}, one partition a listing and month.\n\n"
        "Materializing asks for what is wanted and not covered yet, so it costs nothing for what "
        "is complete. A partition fails when minutes of it were not properly answered; what was "
        "answered is stored nevertheless, and the next run asks for the rest."
    )


def _definition_metadata(provider: str) -> dict[str, dg.MetadataValue | str | dg.TableSchema]:
    examples = "\n".join(_EXAMPLES).format(provider=provider)
    return {
        "dagster/column_schema": metadata.column_schema(),
        "dagster/table_name": "market.bars_1m",
        "queries": dg.MetadataValue.md(f"```sql\n{examples}\n```"),
    }
