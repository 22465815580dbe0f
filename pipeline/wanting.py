"""What is open of a listing's month: what is wanted and can be had, minus what is covered.

What belongs here: finding out when a listing was first traded, which minutes are over by both
clocks, and what the provider's history still holds. Asking for the rest is `download`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from pipeline.archives import Archive
from pipeline.asking import Asking
from pipeline.chunks import failure_of
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.providers.errors import Paused, ProviderError
from pipeline.providers.protocol import BarProvider
from pipeline.reports import MonthReport
from pipeline.store import coverage, failures, listings
from pipeline.store.session import LedgerSession
from pipeline.store.standby import needed
from pipeline.store.work import Rules, Work, work_of

_LARGEST_SKEW = timedelta(days=2)
"""What ended longer ago is over by any clock; and no answer is taken about what is not over."""


class Wanting:
    """What is open of the months of one provider's listings.

    Args:
        session: A session with the ledger.
        asking: How the provider is asked for first trades.
        provider: The provider's client.
        archive: The provider as an archive, if it is one.
        now: The clock; UTC.
    """

    def __init__(
        self,
        session: LedgerSession,
        asking: Asking,
        provider: BarProvider,
        archive: Archive | None,
        now: Callable[[], datetime],
    ) -> None:
        self._session = session
        self._asking = asking
        self._provider = provider
        self._capabilities = provider.capabilities
        self._archive = archive
        self._now = now

    def work(self, report: MonthReport, rules: Rules) -> Work | None:
        """Return what is open of a month; None when nothing of it is to be had yet.

        What was found out on the way, and what failed, is noted in the report and in the ledger.

        Args:
            report: The listing and the month.
            rules: What of it is to be asked for.

        Raises:
            psycopg.Error, DatabaseError: The ledger cannot be read or written.
        """
        reachable = self._prepare(report)
        if reachable is None:
            return None
        if self._archive:
            self._archive.look_at_month(report.listing, report.month, rules.now)
        work = self._session.run(lambda c: work_of(c, report.listing.id, reachable, rules))
        if self._archive:
            work, failed = self._archive.cut(report.listing, reachable, work, rules.now)
            report.failures += failed
        if self._finds_clock_behind(work.needed):
            return self.work(report, rules)
        return work

    def _prepare(self, report: MonthReport) -> Interval | None:
        """Find out what is wanted of the month; return what of it can still be asked for."""
        month = Interval.month(report.month)
        if self._wanted(report.listing, month) is None or not self._is_needed(report):
            return None
        if not self._find_first_trade(report, month):
            return None
        report.wanted = self._wanted(report.listing, month)
        return report.wanted and self._reachable(report.listing, report.wanted)

    def _wanted(self, listing: Listing, month: Interval) -> Interval | None:
        """Return the minutes to have by now: final by our clock and by the provider's."""
        behind = min(self._provider.clock_skew or timedelta(0), timedelta(0))
        return listing.wanted(month, self._now() + behind, self._capabilities.lag)

    def _finds_clock_behind(self, needed: Iterable[Interval]) -> bool:
        """Ask for the provider's clock, if that matters and is not known; say if it is behind.

        It comes with the market list, which has to be had before any bars. Where bars need none,
        their own first answer tells the time, and is refused if it came too early.
        """
        recent = self._now() - _LARGEST_SKEW
        if self._provider.clock_skew is not None or all(one.end <= recent for one in needed):
            return False
        if not self._capabilities.list_requests:
            return False
        try:
            self._provider.markets()
        except ProviderError:
            return False  # the first question meets the same trouble, and that is put on record
        return (self._provider.clock_skew or timedelta(0)) < timedelta(0)

    def _is_needed(self, report: MonthReport) -> bool:
        """Return whether anything is wanted of a month: of a standby's, seldom."""
        listing, month = report.listing, report.month
        return listing.standby is None or bool(
            self._session.run(lambda c: needed(c, listing.id, month))
        )

    def _find_first_trade(self, report: MonthReport, month: Interval) -> bool:
        """Look up the listing's first trade, if that is due; return whether to go on."""
        listing, now = report.listing, self._now()
        if not listing.first_trade_due(now):
            return True
        try:
            found = self._asking.insist(
                partial(self._provider.first_trade, listing.symbol, listing.asset_class)
            )
        except Paused:
            report.unasked = (self._wanted(listing, month) or month).minutes
            return False
        except ProviderError as error:
            wanted = self._wanted(listing, month) or month
            failure = failure_of(wanted, error, now)
            self._session.run(lambda c: failures.record(c, listing.id, failure, now))
            report.failures = (failure,)
            return False
        ts, evidence = (found.ts, found.evidence) if found else (None, None)
        self._session.run(lambda c: listings.save_first_trade(c, listing, ts, evidence, now))
        report.listing = replace(listing, first_trade=ts, first_trade_checked_at=now)
        return True

    def _reachable(self, listing: Listing, wanted: Interval) -> Interval | None:
        """Return what the provider's history still holds; the rest is noted as unavailable."""
        edge = self._capabilities.edge_of_history(self._now())
        if edge is None or edge <= wanted.start:
            return wanted
        lost = Interval(wanted.start, min(edge, wanted.end))
        self._session.run(lambda c: coverage.mark_unavailable(c, listing.id, lost))
        return Interval(edge, wanted.end) if edge < wanted.end else None
