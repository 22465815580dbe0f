"""Downloading the cells of one run, and noting what became of each. No Dagster in here.

What belongs here: the order of the cells, and going on when one of them fails.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from itertools import groupby

from assets.outcomes import PICTURE_SLICES, CellOutcome, outcome_of
from pipeline.catching_up import CaughtUp
from pipeline.download import Downloader
from pipeline.following import Followed, follow
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.questions import batched
from pipeline.reports import MonthReport
from pipeline.store.cells import (
    Cell,
    candles,
    known_listings,
    slices,
    states,
)
from pipeline.store.coverage import coverage
from pipeline.store.database import Database
from pipeline.store.losses import threats
from pipeline.store.reasons import gaps_of_cells, silence_counts
from pipeline.store.session import LedgerSession
from pipeline.store.shown import note_shown, server_time
from pipeline.store.timeframes import bar_counts, mark_stale
from pipeline.timeframes import DAY

_Ask = Callable[[Sequence[Listing], date], Sequence[MonthReport]]


def download_cells(
    database: Database,
    downloader: Downloader,
    provider: str,
    cells: Collection[Cell],
    *,
    only_due: bool = False,
    again: bool = False,
    tell: Callable[[CellOutcome], None] = lambda _: None,
) -> list[CellOutcome]:
    """Download cells of one provider, whatever becomes of the others.

    Args:
        database: The ledger's database.
        downloader: A downloader for the provider.
        provider: The provider's name in the universe.
        cells: Any cells, in any order.
        only_due: Leave failed ranges alone until their next attempt is due.
        again: Ask for all minutes again, also settled ones, and compare.
        tell: Called as each cell is done; its `state` is not known yet.

    Returns:
        One outcome a cell: first those of which the provider will soon not have all any more, then
        listing by listing and in order of time; month by month where listings share requests.

    Raises:
        psycopg.OperationalError, DatabaseError: The database stayed away too long.
    """
    with LedgerSession(database) as session:
        known = session.run(lambda c: known_listings(c, provider, {cell.listing for cell in cells}))
        during = downloader.endangered
        urgent = session.run(lambda c: threats(c, provider, during, list(known)))
        first = {Cell(threat.listing, threat.month): place for place, threat in enumerate(urgent)}
        ordered = sorted(set(cells), key=lambda cell: (first.get(cell, len(first)), cell))
        outcomes = []
        ask = partial(downloader.download_together, only_due=only_due, again=again)
        sharing = downloader.capabilities.sharing
        together = sharing.listings if sharing else 1
        for outcome in _download(ask, known, ordered, together):
            if outcome.changed:
                _shape(session, outcome)
            tell(outcome)
            outcomes.append(outcome)
        look(session, provider, outcomes, downloader.judge(known.values()))
    return outcomes


def judge_cells(
    database: Database,
    downloader: Downloader,
    provider: str,
    cells: Collection[Cell],
) -> list[CellOutcome]:
    """Judge the silences of cells without asking the provider for anything.

    Args:
        database: The ledger's database.
        downloader: A downloader for the provider.
        provider: The provider's name in the universe.
        cells: Any cells, in any order.

    Raises:
        psycopg.OperationalError, DatabaseError: The database stayed away too long.
    """
    with LedgerSession(database) as session:
        known = session.run(lambda c: known_listings(c, provider, {cell.listing for cell in cells}))
        outcomes = [CellOutcome(cell) for cell in sorted(set(cells))]
        look(session, provider, outcomes, downloader.judge(known.values()))
    return outcomes


def look_at_all(database: Database, provider: str) -> list[CellOutcome]:
    """Note what the ledger says of all cells of a provider; nothing is asked, judged or built.

    Args:
        database: The ledger's database.
        provider: The provider's name in the universe.

    Raises:
        psycopg.OperationalError, DatabaseError: The database stayed away too long.
    """
    with LedgerSession(database) as session:
        rows = session.run(lambda c: coverage(c, provider))
        cells = [Cell(row.listing, row.month) for row in rows]
        found = session.run(lambda c: states(c, provider, cells))
    return [CellOutcome(cell, state=found[cell]) for cell in cells]


def follow_minutes(
    database: Database,
    provider: str,
    outcomes: Collection[CellOutcome],
    *,
    rebuild: bool = False,
) -> Followed:
    """Bring what follows from the minutes of cells' listings in step, and note what became of them.

    Args:
        database: The ledger's database.
        provider: The provider's name in the universe.
        outcomes: What to complete.
        rebuild: Build all bars of the cells anew, and not only those above changed minutes.

    Raises:
        psycopg.OperationalError, DatabaseError: The database stayed away too long.
    """
    keys = {outcome.cell.listing for outcome in outcomes}
    with LedgerSession(database) as session:
        known = session.run(lambda c: known_listings(c, provider, keys))
        of_known = [outcome for outcome in outcomes if outcome.cell.listing in known]
        for outcome in of_known if rebuild else ():
            number, month = known[outcome.cell.listing].id, Interval.month(outcome.cell.month)
            session.run(partial(mark_stale, listing_id=number, during=month))
        followed = follow(database, session, [listing.id for listing in known.values()])
        new = [outcome for outcome in of_known if _is_built(outcome, known, followed.built)]
        for outcome in new:
            number, month = known[outcome.cell.listing].id, Interval.month(outcome.cell.month)
            outcome.bars = tuple(session.run(partial(bar_counts, listing_id=number, during=month)))
            if DAY.name in {one.timeframe for one in outcome.bars}:
                of_days = partial(candles, listing_id=number, month=outcome.cell.month)
                outcome.candles = tuple(session.run(of_days))
        _note_gaps(session, provider, [outcome for outcome in new if not outcome.judged])
    return followed


def _is_built(
    outcome: CellOutcome, known: Mapping[str, Listing], built: Mapping[int, CaughtUp]
) -> bool:
    of_listing = built.get(known[outcome.cell.listing].id)
    return of_listing is not None and outcome.cell.month in of_listing.months


def look(
    session: LedgerSession,
    provider: str,
    outcomes: Collection[CellOutcome],
    judged: Collection[Cell],
) -> None:
    """Note what the ledger says of each cell now.

    Args:
        session: A session with the ledger.
        provider: The provider's name in the universe.
        outcomes: What to complete.
        judged: The cells whose silences were judged in this run.
    """
    cells = [outcome.cell for outcome in outcomes]
    at = session.run(server_time)
    found = session.run(lambda c: states(c, provider, cells))
    silences = session.run(lambda c: silence_counts(c, provider, cells))
    for outcome in outcomes:
        outcome.state, outcome.looked_at = found[outcome.cell], at
        outcome.silences = silences.get(outcome.cell)
        outcome.judged = outcome.cell in judged
    _note_gaps(session, provider, [outcome for outcome in outcomes if outcome.judged])


def note_told(database: Database, provider: str, told: Collection[CellOutcome]) -> None:
    """Note that Dagster was told what has become of cells.

    Args:
        database: The ledger's database.
        provider: The provider's name in the universe.
        told: The cells, with what was told of them.

    Raises:
        psycopg.OperationalError, DatabaseError: The database stayed away too long.
    """
    shown = {outcome.cell: outcome.looked_at for outcome in told if outcome.looked_at}
    with LedgerSession(database) as session:
        session.run(lambda c: note_shown(c, provider, shown))


def _note_gaps(session: LedgerSession, provider: str, outcomes: Collection[CellOutcome]) -> None:
    cells = [outcome.cell for outcome in outcomes]
    gaps = session.run(lambda c: gaps_of_cells(c, provider, cells)) if cells else {}
    for outcome in outcomes:
        outcome.gaps = tuple(gaps[outcome.cell])


def _download(
    ask: _Ask, known: dict[str, Listing], cells: Collection[Cell], together: int
) -> Iterator[CellOutcome]:
    missing = [cell for cell in cells if cell.listing not in known]
    for cell in missing:
        yield CellOutcome(
            cell,
            problem="the ledger has no such listing; add it to the universe file, or leave "
            "its partitions alone",
            retryable=False,
        )
    for batch in _batches([cell for cell in cells if cell.listing in known], together):
        reports = ask([known[cell.listing] for cell in batch], batch[0].month)
        for cell, report in zip(batch, reports, strict=True):
            # It knows the first trade now, and need not ask for it every month.
            known[cell.listing] = report.listing
            yield outcome_of(cell, report)


def _batches(cells: Sequence[Cell], together: int) -> Iterator[Sequence[Cell]]:
    """Yield cells as they are downloaded: one by one, or those of a month that share requests."""
    if together > 1:
        cells = sorted(cells, key=lambda cell: cell.month)
    for _, of_a_month in groupby(cells, key=lambda cell: cell.month):
        yield from batched(of_a_month, together)


def _shape(session: LedgerSession, outcome: CellOutcome) -> None:
    report = outcome.report
    if report is not None:
        outcome.shape = tuple(
            session.run(lambda c: slices(c, report.listing.id, report.month, PICTURE_SLICES))
        )
