"""What a run did for a cell: a partition, one listing and month. No Dagster in here.

What belongs here: the values, and the words for what is not complete.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from pipeline.intervals import Interval
from pipeline.reports import MonthReport
from pipeline.store.cells import Candle, Cell, CellState, Slice
from pipeline.store.reasons import ReasonedGap, SilenceCount
from pipeline.store.timeframes import BarCount

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
        looked_at: Before that was read, UTC; None before it was.
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
    looked_at: datetime | None = None
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


def outcome_of(cell: Cell, report: MonthReport) -> CellOutcome:
    """Return what a report says of its cell; what the ledger says is not known yet."""
    if report.complete:
        return CellOutcome(cell, report)
    if report.broken:
        # Something about this cell's rows; the other cells may well be stored.
        return CellOutcome(cell, problem=report.explain(), retryable=False)
    retryable = bool(report.unasked) or any(failure.retryable for failure in report.failures)
    return CellOutcome(cell, report, problem=report.explain(), retryable=retryable)


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
