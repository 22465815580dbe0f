"""`heal_P`: asking a provider again for what is due, of whatever age.

What belongs here: the job's factory. What is due, and in which order, is `pipeline.heal`'s
business; what Dagster is told of a cell is the same as after a run of the assets.
"""

# No `from __future__ import annotations`: Dagster reads the op's annotations as they are.

from collections.abc import Collection
from datetime import date

import dagster as dg
from pydantic import Field

from assets import metadata
from assets.consolidated import log_consolidated
from assets.downloading import follow_minutes, look, note_told
from assets.events import failure, log_made
from assets.minutes import made_of, problems, tell, warn_of_incomplete
from assets.outcomes import CellOutcome, outcome_of
from pipeline.download import Downloader
from pipeline.heal import Healing, default_budget, find_tasks, heal
from pipeline.providers.errors import ProviderError
from pipeline.store.cells import Cell, failing_cells
from pipeline.store.database import Database
from pipeline.store.limits import budget_left
from pipeline.store.listings import listings
from pipeline.store.session import LedgerSession
from pipeline.store.shown import shown_daily
from pipeline.universe import Universe
from resources.downloads import DownloadsResource
from resources.ledger import LedgerResource


class HealConfig(dg.Config):
    """Options of a repair."""

    requests: int | None = Field(
        default=None,
        gt=0,
        description="Most requests; by default what the provider's limit admits in ten minutes.",
    )

    begun: bool = Field(
        default=False,
        description="Leave months alone in which nothing was asked yet or nothing but new minutes "
        "is missing: they are a backfill's, or a refresh's.",
    )


def heal_job(provider: str, universe: Universe) -> dg.JobDefinition:
    """Make the job that repairs the minutes of a provider."""
    description = (
        f"Asks {provider} for what is due: failed minutes, settling checks and pending minutes of "
        "any age, what is soon lost first, then the cheapest listing-months, until the budget of "
        "requests is spent. "
        "Partitions in which minutes had failed then turn green; the others of this month and the "
        "last are shown once a day."
    )

    @dg.op(name=f"heal_{provider}_minutes", pool=provider, description=description)
    def step(
        context: dg.OpExecutionContext,
        config: HealConfig,
        ledger: LedgerResource,
        downloads: DownloadsResource,
    ) -> None:
        database = ledger.database()
        try:
            with downloads.downloader(database, universe, provider) as downloader:
                since = shown_daily(downloader.now())
                with LedgerSession(database) as session:
                    failing = session.run(lambda c: failing_cells(c, provider))
                healing = _heal(context, database, downloader, provider, config)
        except ProviderError as error:
            raise dg.Failure(str(error), allow_retries=error.retryable) from error
        _finish(context, database, provider, healing, since=since, failing=failing)

    @dg.job(name=f"heal_{provider}", description=description)
    def job() -> None:
        step()

    return job


def _heal(
    context: dg.OpExecutionContext,
    database: Database,
    downloader: Downloader,
    provider: str,
    config: HealConfig,
) -> Healing:
    capabilities, now = downloader.capabilities, downloader.now()
    with LedgerSession(database) as session:
        downloader.look(session.run(lambda c: listings(c, provider)))
        tasks = session.run(
            lambda c: find_tasks(c, provider, capabilities, now, begun=config.begun)
        )
        left = session.run(lambda c: budget_left(c, provider, capabilities.budget))
    due = sum(task.requests for task in tasks)
    budget = config.requests or default_budget(capabilities, left)
    context.log.info(
        "%d listing-months are due; they take %d requests of %d", len(tasks), due, budget
    )
    return heal(
        downloader,
        tasks,
        budget=budget,
        tell=lambda healing: tell(context, _outcome(healing, -1)),
    )


def _outcome(healing: Healing, number: int) -> CellOutcome:
    report = healing.reports[number]
    return outcome_of(Cell(report.listing.key, report.month), report)


def _finish(
    context: dg.OpExecutionContext,
    database: Database,
    provider: str,
    healing: Healing,
    *,
    since: date,
    failing: Collection[Cell],
) -> None:
    """Tell what was done; of months that are shown daily anyway, only what had failed before."""
    outcomes = [_outcome(healing, number) for number in range(len(healing.reports))]
    with LedgerSession(database) as session:
        look(session, provider, outcomes, healing.judged)
    followed = follow_minutes(database, provider, outcomes)
    shown = [one for one in outcomes if one.cell.month < since or one.cell in failing]
    for outcome in shown:
        warn_of_incomplete(context, outcome)
    totals = metadata.of_run(outcomes)
    told = [outcome for outcome in shown if _whole(outcome)]
    log_made(context, made_of(provider, told), totals)
    note_told(database, provider, told)
    log_consolidated(context, database, followed.instruments, followed.consolidated, before=since)
    left = {"left_listing_months": dg.MetadataValue.int(len(healing.left))}
    if bad := problems(outcomes):
        raise failure(bad, totals | left)
    context.add_output_metadata(totals | left)


def _whole(outcome: CellOutcome) -> bool:
    """Return whether nothing of the cell has failed, also of what was not due now."""
    coverage = outcome.state.coverage
    return not outcome.problem and coverage is not None and coverage.failed == 0
