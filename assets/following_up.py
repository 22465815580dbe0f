"""`follow_up`: bars and consolidated series above minutes that were noted as changed.

What belongs here: the job's factory, and what Dagster is told of what was built.
"""

# No `from __future__ import annotations`: Dagster reads the op's annotations as they are.

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import dagster as dg

from assets.consolidated import log_consolidated
from assets.events import log_made
from assets.metadata import Metadata, of_cell_bars
from assets.outcomes import CellOutcome
from pipeline.catching_up import CaughtUp
from pipeline.consolidating import consolidate
from pipeline.following import follow
from pipeline.intervals import Interval
from pipeline.store.cells import Cell
from pipeline.store.consolidated_series import instruments_by_number
from pipeline.store.listings import listings_named
from pipeline.store.session import LedgerSession
from pipeline.store.timeframes import bar_counts
from pipeline.store.upkeep import noted_owners
from resources.ledger import LedgerResource
from resources.partitions import to_key

NAME = "follow_up"
_TOGETHER = 20
_ABOUT = (
    "Builds bars and consolidated series above minutes that were noted as changed, of any age: "
    "what a killed run has left, a new timeframe, a change of a session or of an order of "
    "listings. Nobody is asked for anything."
)


def follow_up_job(providers: Collection[str]) -> dg.JobDefinition:
    """Make the job.

    Args:
        providers: The providers whose assets there are; of others nothing is told.
    """

    @dg.op(name="follow_minutes", description=_ABOUT)
    def step(context: dg.OpExecutionContext, ledger: LedgerResource) -> None:
        database = ledger.database()
        with LedgerSession(database) as session:
            listing_ids, instrument_ids = session.run(noted_owners)
            # A few at a time: what is built is told even if the run ends before the rest is.
            for start in range(0, len(listing_ids), _TOGETHER):
                some = listing_ids[start : start + _TOGETHER]
                followed = follow(database, session, some)
                _tell(context, session, providers, followed.built)
                log_consolidated(context, database, followed.instruments, followed.consolidated)
            done = consolidate(database, session, instrument_ids)
            names = session.run(lambda c: instruments_by_number(c, list(done)))
            log_consolidated(context, database, names, done)
        context.log.info(
            "%d listings and %d instruments were noted", len(listing_ids), len(instrument_ids)
        )

    @dg.job(name=NAME, description=_ABOUT)
    def job() -> None:
        step()

    return job


def _tell(
    context: dg.OpExecutionContext,
    session: LedgerSession,
    providers: Collection[str],
    built: Mapping[int, CaughtUp],
) -> None:
    """Log the bars that were built as materializations."""
    for number, provider, key in session.run(listings_named):
        if number in built and provider in providers:
            cells = [Cell(key, month) for month in sorted(built[number].months)]
            made = {dg.AssetKey([provider, "bars"]): _made(session, number, cells)}
            log_made(context, made, {})


def _made(session: LedgerSession, number: int, cells: Sequence[Cell]) -> dict[str, Metadata]:
    found: dict[str, Metadata] = {}
    for cell in cells:
        count = partial(bar_counts, listing_id=number, during=Interval.month(cell.month))
        found[to_key(cell)] = of_cell_bars(CellOutcome(cell, bars=tuple(session.run(count))))
    return found
