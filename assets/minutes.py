"""`P/bars_1m`, `P/gaps` and `P/bars`: minutes, why some have no bar, and bars of more minutes.

What belongs here: the factory, and turning a run's outcomes into Dagster's events.

All are made by one step. As several they would part when a month fails: Dagster skips what is
downstream of a failed step, and the gaps and bars of all the other months would be left as they
were.
"""

# No `from __future__ import annotations`: Dagster reads the asset's annotations as they are.

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from assets import heat_map, metadata
from assets.checks import minutes_add_up, minutes_add_up_spec
from assets.columns import Described, with_link
from assets.consolidated import log_consolidated
from assets.downloading import (
    download_cells,
    follow_minutes,
    judge_cells,
    look_at_all,
    note_told,
)
from assets.events import Context, Problem, finish, log_made
from assets.outcomes import CellOutcome
from pipeline.plan import CELLS_PER_RUN
from pipeline.providers.errors import ProviderError
from pipeline.store.database import Database
from pipeline.store.health import ProviderHealth, provider_health
from pipeline.store.losses import threats
from pipeline.store.session import LedgerSession
from pipeline.universe import Universe
from resources.downloads import DownloadsResource
from resources.ledger import LedgerResource
from resources.partitions import cell_partitions, to_cell, to_key

_BARS = (
    "The 1-minute bars of {provider}, one partition a listing and month.\n\n"
    "Materializing asks for what is wanted and not covered yet, so it costs nothing for what is "
    "complete. A partition fails when minutes of it were not properly answered; what was answered "
    "is stored nevertheless, and the next run asks for the rest."
)
_GAPS = (
    "Why minutes of {provider} have no bar, one partition a listing and month: nobody traded, "
    "there was an outage or a halt, asking failed, or it was not asked for yet.\n\n"
    "Judged in the same run as the bars. Materialized alone it asks the provider for nothing."
)
_TIMEFRAMES = (
    "Bars of {timeframes} of {provider}, built from its 1-minute bars; one partition a listing and "
    "month.\n\n"
    "Built in the same run as the minutes, wherever these have changed, however old they are. "
    "Materialized alone it asks the provider for nothing. Each bar says how many of its minutes "
    "were expected and are present, and whether all were answered (`complete`)."
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
    rebuild: bool = Field(
        default=False,
        description="Build all bars of more minutes anew, also where no minute has changed.",
    )
    shows: bool = Field(
        default=False,
        description="Show also consolidated series of which nothing has changed in this run: what "
        "refreshes have changed was not shown yet.",
    )


def minutes(provider: str, universe: Universe) -> dg.AssetsDefinition:
    """Make the assets of a provider's 1-minute bars, of their gaps, and of bars above them."""
    bars, gaps, higher = (dg.AssetKey([provider, name]) for name in ("bars_1m", "gaps", "bars"))
    about_higher = _TIMEFRAMES.format(provider=provider, timeframes=", ".join(universe.timeframes))

    @dg.multi_asset(
        name=f"{provider}__minutes",
        specs=[
            _spec(bars, universe, _BARS.format(provider=provider), metadata.of_bars(provider)),
            _spec(
                gaps, universe, _GAPS.format(provider=provider), metadata.of_gaps(provider), bars
            ),
            _spec(higher, universe, about_higher, metadata.of_higher_bars(provider), bars),
        ],
        check_specs=[minutes_add_up_spec(bars)],
        partitions_def=cell_partitions(provider, universe.first_month(provider)),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=CELLS_PER_RUN),
        pool=provider,
        can_subset=True,
    )
    def step(
        context: dg.AssetExecutionContext,
        config: DownloadConfig,
        ledger: LedgerResource,
        downloads: DownloadsResource,
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:  # type: ignore[type-arg]  # Dagster knows it bare only
        database, started = ledger.database(), datetime.now(UTC)
        if not context.selected_asset_keys:  # the check alone, which has no partitions
            outcomes = look_at_all(database, provider)
            yield minutes_add_up(bars, outcomes, heat_map.of_provider(database, provider))
            return
        cells = [to_cell(key) for key in context.partition_keys]
        try:
            with downloads.downloader(database, universe, provider) as downloader:
                if bars in context.selected_asset_keys:
                    outcomes = download_cells(
                        database,
                        downloader,
                        provider,
                        cells,
                        only_due=config.only_due,
                        again=config.again,
                        tell=lambda outcome: tell(context, outcome),
                    )
                else:
                    outcomes = judge_cells(database, downloader, provider, cells)
                during = downloader.endangered
        except ProviderError as error:
            raise dg.Failure(str(error), allow_retries=error.retryable) from error
        followed = follow_minutes(database, provider, outcomes, rebuild=config.rebuild)
        for outcome in outcomes:
            warn_of_incomplete(context, outcome)
        told = [outcome for outcome in outcomes if not outcome.problem]
        made = made_of(provider, told)
        totals = metadata.of_run(outcomes)
        besides = {key: made.pop(key) for key in made.keys() - context.selected_asset_keys}
        besides.pop(bars, None)  # nobody was asked for them
        anyway = {cell.month for cell in cells} if config.shows else ()

        def tell_what_follows() -> None:
            for key, partitions in besides.items():
                log_made(context, {key: {k: v for k, v in partitions.items() if v}}, totals)
            log_consolidated(context, database, followed.instruments, followed.consolidated, anyway)
            if bars in context.selected_asset_keys:
                note_told(database, provider, told)

        picture = heat_map.of_provider(database, provider)
        health = _health(database, provider, started)
        with LedgerSession(database) as session:
            endangered = session.run(lambda connection: threats(connection, provider, during))
        checks = [
            minutes_add_up(key.asset_key, outcomes, picture, health, endangered)
            for key in context.selected_asset_check_keys
        ]
        yield from finish(
            context,
            made,
            totals,
            problems(outcomes),
            checks,
            tell_what_follows=tell_what_follows,
        )

    return step


def made_of(
    provider: str, outcomes: Collection[CellOutcome]
) -> dict[dg.AssetKey, dict[str, metadata.Metadata]]:
    """Return what a provider's assets show of cells, by asset and partition key."""
    shown = {
        "bars_1m": metadata.of_cell,
        "gaps": metadata.of_cell_gaps,
        "bars": metadata.of_cell_bars,
    }
    return {
        dg.AssetKey([provider, name]): {
            to_key(outcome.cell): describe(outcome) for outcome in outcomes
        }
        for name, describe in shown.items()
    }


def _health(database: Database, provider: str, since: datetime) -> ProviderHealth | None:
    with LedgerSession(database) as session:
        found = session.run(lambda connection: provider_health(connection, since, provider))
    return found[0] if found else None


def _spec(
    key: dg.AssetKey,
    universe: Universe,
    description: str,
    shown: Described,
    *deps: dg.AssetKey,
) -> dg.AssetSpec:
    provider = key.path[0]
    return dg.AssetSpec(
        key,
        deps=deps,
        group_name=provider,
        kinds={"postgres", universe.client(provider)},
        owners=["team:market-data"],
        description=with_link(description, universe.documentation(provider)),
        metadata=shown,
    )


def tell(context: Context, outcome: CellOutcome) -> None:
    """Log what was done for a cell."""
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


def warn_of_incomplete(context: Context, outcome: CellOutcome) -> None:
    """Log that bars were built over minutes that are still to come."""
    coverage, lacking = outcome.state.coverage, sum(count.incomplete for count in outcome.bars)
    if lacking and coverage is not None and coverage.failed + coverage.pending:
        context.log.warning(
            "%s: %d bars are not complete, for %d of the month's minutes have failed and"
            " %d are pending",
            to_key(outcome.cell),
            lacking,
            coverage.failed,
            coverage.pending,
        )


def problems(outcomes: Iterable[CellOutcome]) -> list[Problem]:
    """Return the cells that are not complete, and why."""
    return [
        Problem(to_key(outcome.cell), outcome.problem, outcome.retryable)
        for outcome in outcomes
        if outcome.problem
    ]
