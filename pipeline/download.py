"""Downloading: wanted minus covered, for one listing and month at a time.

What belongs here: the order of the steps. Backfill, refresh and repair are all this; they differ
only in which cells they name.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Self

from pipeline.archives import Archive
from pipeline.asking import Asking, Patience
from pipeline.chunks import Chunk, failure_of
from pipeline.gaps import judge
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.pages import pages
from pipeline.providers.capabilities import Capabilities
from pipeline.providers.errors import Paused, ProviderError
from pipeline.providers.protocol import ArchiveProvider, BarProvider
from pipeline.store import coverage, failures, listings, refusals
from pipeline.store.cells import Cell
from pipeline.store.database import Database
from pipeline.store.deliveries import commit
from pipeline.store.merging import ContradictoryDelivery, Merged
from pipeline.store.session import LedgerSession
from pipeline.store.work import Rules, Work, work_of

CHUNK_BARS = 20_000
"""A chunk of answers is committed once it holds so many bars: enough for COPY, little enough for
memory."""
CHUNK_AGE = timedelta(seconds=5)
"""... or once its first answer is so old. A killed process loses no more than one chunk."""
_LARGEST_SKEW = timedelta(days=2)
"""What ended longer ago is over by any clock; and no answer is taken about what is not over."""


@dataclass(slots=True)
class MonthReport:
    """What a download did for one listing and month.

    Attributes:
        listing: The listing, with its first trade.
        month: The calendar month.
        wanted: The minutes to have by now; None when the listing has no life in that month yet.
        requests: HTTP requests sent.
        inserted: Bars stored for the first time.
        revised: Stored bars that came back different.
        refused: Delivered rows that were refused.
        failures: Ranges that were asked for and not properly answered.
        unasked: Minutes left because the provider was given up before they were asked for, no more
            questions were allowed, or nothing new is believed of the listing.
        doubt: Why nothing new is believed of it, if that is so.
        given_up: Why the provider was not asked any more, if that is so.
        seconds: Wall time.
    """

    listing: Listing
    month: date
    wanted: Interval | None = None
    requests: int = 0
    inserted: int = 0
    revised: int = 0
    refused: int = 0
    failures: tuple[failures.Failure, ...] = ()
    unasked: int = 0
    doubt: refusals.Doubt | None = None
    given_up: str = ""
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether everything that could be asked for was properly answered."""
        return not self.failures and not self.unasked

    def explain(self) -> str:
        """Return, in a line, why the month is not complete; empty when it is."""
        reasons = [f"{failure.during}: {failure.message}" for failure in self.failures[:3]]
        if len(self.failures) > len(reasons):
            reasons.append(f"and {len(self.failures) - len(reasons)} more failed ranges")
        if self.unasked:
            why = self.doubt or self.given_up or "no more questions were allowed"
            reasons.append(f"{self.unasked} minutes left open: {why}")
        return "; ".join(reasons)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Downloader:
    """Downloads listings of one provider, month by month.

    Args:
        database: The ledger's database.
        provider: The provider's client.
        patience: When to try again and when to stop.
        now: The clock; UTC.
    """

    def __init__(
        self,
        database: Database,
        provider: BarProvider,
        *,
        patience: Patience | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._provider = provider
        self._capabilities = provider.capabilities
        self._session = LedgerSession(database)
        self._archive = (
            Archive(self._session, provider) if isinstance(provider, ArchiveProvider) else None
        )
        self._asking = Asking(provider, patience or Patience())
        self._now = now

    def __enter__(self) -> Self:
        # Pages of short-lived lists make the collector look again and again at all that lives:
        # market lists and libraries, which stay anyway. That took a fifth of the time.
        gc.freeze()
        return self

    def __exit__(self, *error: object) -> None:
        gc.unfreeze()
        self._asking.close()
        self._session.close()

    @property
    def capabilities(self) -> Capabilities:
        """What the provider can serve and how it behaves."""
        return self._capabilities

    @property
    def endangered(self) -> Interval | None:
        """What the provider still has and will soon not have any more; None if it keeps all."""
        return self._capabilities.endangered(self._now())

    @property
    def given_up(self) -> bool:
        """Whether the provider has failed so often in a row that nothing more is asked of it."""
        return self._asking.given_up

    def download(
        self,
        listing: Listing,
        month: date,
        *,
        only_due: bool = False,
        again: bool = False,
        at_most: int | None = None,
    ) -> MonthReport:
        """Ask for what is wanted of one month and not covered, and store it.

        Args:
            listing: The listing.
            month: Any day of the month.
            only_due: Leave failed ranges alone until their next attempt is due.
            again: Ask for all minutes again, also settled ones, and compare.
            at_most: Ask so many questions, and leave the rest; None for as many as it takes.

        Returns:
            What was done; look at `complete`. Provider trouble is in the report and in the ledger,
            never raised.

        Raises:
            psycopg.Error, DatabaseError: The ledger cannot be read or written.
        """
        started, sent = time.monotonic(), self._provider.requests_sent
        report = MonthReport(listing, month.replace(day=1))
        if listing.in_universe:
            rules = Rules(self._now(), self._capabilities.settling, only_due=only_due, again=again)
            if work := self._work(report, rules):
                self._ask(report, work, at_most)
        report.given_up = self._asking.why_given_up
        report.requests = self._provider.requests_sent - sent
        report.seconds = time.monotonic() - started
        return report

    def look(self, listings: Iterable[Listing]) -> None:
        """Notice what has changed where the provider is an archive: it is due from then on.

        Raises:
            psycopg.Error, DatabaseError: The ledger cannot be read or written.
        """
        if self._archive:
            for listing in listings:
                self._archive.look(listing, self._now())

    def judge(self, listings: Iterable[Listing]) -> set[Cell]:
        """Judge the silences of listings wherever something has changed; return which months.

        Raises:
            psycopg.Error, DatabaseError: The ledger cannot be read or written.
        """
        keys = {listing.id: listing.key for listing in listings}
        judged = self._session.run(
            lambda c: judge(
                c,
                self._provider.name,
                keys,
                sends_quiet_minutes=self._capabilities.quiet_minutes == "flat",
            )
        )
        return {Cell(keys[number], month) for number, months in judged.items() for month in months}

    def _work(self, report: MonthReport, rules: Rules) -> Work | None:
        """Return what is open of the month; None when nothing of it is to be had yet."""
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
            return self._work(report, rules)
        return work

    def _prepare(self, report: MonthReport) -> Interval | None:
        """Find out what is wanted of the month; return what of it can still be asked for."""
        month = Interval.month(report.month)
        if self._wanted(report.listing, month) is None:
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

    def _ask(self, report: MonthReport, work: Work, at_most: int | None) -> None:
        """Ask for what is not covered, in as few pages as hold it.

        What overlaps stored answers comes first: a feed that contradicts them is noticed before
        anything new of it is stored.
        """
        windows = pages(work.needed, work.askable, self._capabilities.bars_per_request)
        known = [one for one in windows if any(map(one.intersection, work.answered))]
        new = [one for one in windows if one not in known]
        asked = self._ask_for(report, known[:at_most])
        rest = None if at_most is None else max(0, at_most - len(known))
        if new[:rest]:
            report.doubt = self._doubt(report)
            if report.doubt is None:
                asked += self._ask_for(report, new[:rest])
        report.unasked = sum(window.minutes for window in windows) - asked

    def _doubt(self, report: MonthReport) -> refusals.Doubt | None:
        """Return why nothing new is to be believed; an older doubt is put to the test again."""
        page = self._capabilities.bars_per_request
        listing = report.listing
        found = self._session.run(lambda c: refusals.doubt(c, listing.id, page))
        if found is None or found.month == report.month:
            return found
        for chunk, _ in self._chunks(listing, [found.last]):
            delivery = chunk.delivery(listing.id, self._now(), self._capabilities.settling)
            # What is kept for somebody to decide about stays as it was shown.
            with suppress(ContradictoryDelivery):
                self._session.run(partial(commit, delivery=delivery))
        return self._session.run(lambda c: refusals.doubt(c, listing.id, page))

    def _ask_for(self, report: MonthReport, windows: list[Interval]) -> int:
        """Ask some questions and store the answers; return how many minutes that settled."""
        asked = 0
        for chunk, minutes in self._chunks(report.listing, windows):
            asked += minutes
            self._commit(report, chunk)
        return asked

    def _chunks(self, listing: Listing, windows: list[Interval]) -> Iterator[tuple[Chunk, int]]:
        """Yield chunks of answers, each with the number of minutes that its questions settled."""
        chunk, minutes = Chunk(self._now()), 0
        for outcome in self._asking.ask(listing, windows):
            now = self._now()
            chunk.add(outcome, now)
            minutes += (outcome.answer.answered if outcome.answer else outcome.window).minutes
            if chunk.rows >= CHUNK_BARS or now - chunk.opened_at >= CHUNK_AGE:
                yield chunk, minutes
                chunk, minutes = Chunk(self._now()), 0
        if minutes:
            yield chunk, minutes

    def _commit(self, report: MonthReport, chunk: Chunk) -> None:
        now = self._now()
        delivery = chunk.delivery(report.listing.id, now, self._capabilities.settling)
        report.refused += len(delivery.refused)
        report.failures += delivery.failed
        try:
            merged: Merged = self._session.run(partial(commit, delivery=delivery))
        except ContradictoryDelivery as error:
            keep = partial(refusals.keep, delivery=delivery, error=error)
            report.failures += self._session.run(keep)
            return
        report.inserted += merged.inserted
        report.revised += merged.revised
