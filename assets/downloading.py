"""Downloading the cells of one run, and telling what became of each. No Dagster in here.

What belongs here: the order of the cells, going on when one of them fails, and the words for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from itertools import groupby
from typing import TypedDict

from pipeline.building import Built
from pipeline.download import Downloader
from pipeline.following import Followed, follow
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.questions import batched
from pipeline.reports import MonthReport
from pipeline.store.cells import (
    Candle,
    Cell,
    CellState,
    Slice,
    candles,
    known_listings,
    slices,
    states,
)
from pipeline.store.database import Database
from pipeline.store.losses import threats
from pipeline.store.reasons import ReasonedGap, SilenceCount, gaps_of_cells, silence_counts
from pipeline.store.session import LedgerSession
from pipeline.store.timeframes import BarCount, bar_counts, mark_stale
from pipeline.timeframes import DAY


class _Place(TypedDict):
    listing_id: int
    during: Interval


_Ask = Callable[[Sequence[Listing], date], Sequence[MonthReport]]

PICTURE_SLICES = 160
"""How many slices of a month its picture is drawn from."""


@dataclass(slots=True)
class CellOutcome:
    """What a run did for one cell.

    Attributes:
        cell: The cell.
        report: What was done; None when nothing could be.
        problem: Why it is not complete; empty when it is.
        retryable: Whether asking again may help.
        state: What the ledger says of it after the run.
        judged: Whether its silences were judged in this run, for something had changed.
        silences: How many minutes it has without a bar, and why; None without coverage.
        gaps: Its gaps that need action or explanation, if it was judged or bars were built.
        bars: Its bars above a minute, if any were built in this run.
        candles: Its daily bars to draw, if any were built in this run and days are built at all.
        shape: Slices of the month to draw; none when nothing was stored in this run.
    """

    cell: Cell
    report: MonthReport | None = None
    problem: str = ""
    retryable: bool = True
    state: CellState = field(default=CellState(None, 0))
    judged: bool = False
    silences: SilenceCount | None = None
    gaps: tuple[ReasonedGap, ...] = ()
    bars: tuple[BarCount, ...] = ()
    candles: tuple[Candle, ...] = ()
    shape: tuple[Slice, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether bars were stored or revised."""
        return self.report is not None and self.report.inserted + self.report.revised > 0

    @property
    def note(self) -> str:
        """What a reader of the numbers should know, if anything."""
        if self.report is None:
            return ""
        coverage = self.state.coverage
        if self.report.complete and coverage is not None and coverage.failed:
            return "the failed minutes are left alone until their next attempt is due"
        return _why_nothing_wanted(self.report)


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
            session.run(partial(mark_stale, **_place(outcome, known)))
        followed = follow(database, session, [listing.id for listing in known.values()])
        new = [outcome for outcome in of_known if _is_built(outcome, known, followed.built)]
        for outcome in new:
            place = _place(outcome, known)
            outcome.bars = tuple(session.run(partial(bar_counts, **place)))
            if DAY.name in {one.timeframe for one in outcome.bars}:
                of_days = partial(candles, listing_id=place["listing_id"], month=outcome.cell.month)
                outcome.candles = tuple(session.run(of_days))
        _note_gaps(session, provider, [outcome for outcome in new if not outcome.judged])
    return followed


def _is_built(
    outcome: CellOutcome, known: Mapping[str, Listing], built: Mapping[int, Built]
) -> bool:
    of_listing = built.get(known[outcome.cell.listing].id)
    return of_listing is not None and outcome.cell.month in of_listing.months


def _place(outcome: CellOutcome, known: Mapping[str, Listing]) -> _Place:
    cell = outcome.cell
    return {"listing_id": known[cell.listing].id, "during": Interval.month(cell.month)}


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
    found = session.run(lambda c: states(c, provider, cells))
    silences = session.run(lambda c: silence_counts(c, provider, cells))
    for outcome in outcomes:
        outcome.state = found[outcome.cell]
        outcome.silences = silences.get(outcome.cell)
        outcome.judged = outcome.cell in judged
    _note_gaps(session, provider, [outcome for outcome in outcomes if outcome.judged])


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


def outcome_of(cell: Cell, report: MonthReport) -> CellOutcome:
    """Return what a report says of its cell; what the ledger says is not known yet."""
    if report.complete:
        return CellOutcome(cell, report)
    if report.broken:
        # Something about this cell's rows; the other cells may well be stored.
        return CellOutcome(cell, problem=report.explain(), retryable=False)
    retryable = bool(report.unasked) or any(failure.retryable for failure in report.failures)
    return CellOutcome(cell, report, problem=report.explain(), retryable=retryable)


def _shape(session: LedgerSession, outcome: CellOutcome) -> None:
    report = outcome.report
    if report is not None:
        outcome.shape = tuple(
            session.run(lambda c: slices(c, report.listing.id, report.month, PICTURE_SLICES))
        )


def _why_nothing_wanted(report: MonthReport) -> str:
    listing, month = report.listing, Interval.month(report.month)
    if not listing.in_universe:
        return "no longer in the universe: nothing is asked, and what is stored stays"
    if report.wanted is not None or not report.complete:
        return ""
    if listing.ends_at is not None and listing.ends_at <= month.start:
        return f"after the listing's end, {listing.ends_at:%Y-%m-%d %H:%M} UTC"
    start = max(listing.starts_at, listing.first_trade or listing.starts_at)
    if start >= month.end:
        what = "start in the universe" if start == listing.starts_at else "first trade"
        return f"before the listing's {what}, {start:%Y-%m-%d %H:%M} UTC"
    if listing.standby is not None:
        return "a standby: nobody before it failed to deliver anything here"
    return "no minute of it is final yet"
