"""Downloading: wanted minus covered, for one listing and month at a time.

What belongs here: the order of the steps. Backfill, refresh and repair are all this; they differ
only in which cells they name.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Self

import psycopg

from pipeline.archives import Archive
from pipeline.asking import Asking, Patience
from pipeline.chunks import Chunk, chunks
from pipeline.gaps import judge
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.pages import pages
from pipeline.providers.capabilities import Capabilities
from pipeline.providers.protocol import ArchiveProvider, BarProvider
from pipeline.questions import Part
from pipeline.reports import MonthReport, noting
from pipeline.stopping import finishing
from pipeline.store import refusals
from pipeline.store.cells import Cell
from pipeline.store.database import Database
from pipeline.store.deliveries import commit
from pipeline.store.merging import ContradictoryDelivery, Merged
from pipeline.store.session import LedgerSession
from pipeline.store.standby import follow_needs
from pipeline.store.work import Rules
from pipeline.wanting import Wanting


@dataclass(slots=True)
class _Job:
    """What is open of one listing's month: the windows to ask for.

    What overlaps stored answers comes first: a feed that contradicts them is noticed before
    anything new of it is stored.
    """

    report: MonthReport
    known: Sequence[Interval]
    new: Sequence[Interval]


class Downloader:
    """Downloads listings of one provider, month by month.

    Args:
        database: The ledger's database.
        provider: The provider's client.
        patience: When to try again and when to stop.
        now: The clock, UTC; None for the ledger's.
    """

    def __init__(
        self,
        database: Database,
        provider: BarProvider,
        *,
        patience: Patience | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._provider = provider
        self._capabilities = provider.capabilities
        self._session = LedgerSession(database)
        self._archive = (
            Archive(self._session, provider) if isinstance(provider, ArchiveProvider) else None
        )
        self._asking = Asking(provider, patience or Patience())
        self._now = now or database.clock.now
        self._wanting = Wanting(self._session, self._asking, provider, self._archive, self._now)

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

    def now(self) -> datetime:
        """Return the present by the clock that it goes by, UTC."""
        return self._now()

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
        (report,) = self.download_together(
            [listing], month, only_due=only_due, again=again, at_most=at_most
        )
        if report.broken:
            raise report.broken
        return report

    def look(self, listings: Iterable[Listing]) -> None:
        """Notice what has changed where the provider is an archive: it is due from then on.

        Raises:
            psycopg.Error, DatabaseError: The ledger cannot be read or written.
        """
        if self._archive:
            for listing in listings:
                self._archive.look(listing, self._now())

    def download_together(
        self,
        listings: Sequence[Listing],
        month: date,
        *,
        only_due: bool = False,
        again: bool = False,
        at_most: int | None = None,
    ) -> list[MonthReport]:
        """Download one month of several listings, which share requests where the provider has such.

        Each listing's answers are judged, stored and refused by themselves.

        Args:
            listings: The listings, each once.
            month: Any day of the month.
            only_due: Leave failed ranges alone until their next attempt is due.
            again: Ask for all minutes again, also settled ones, and compare.
            at_most: Ask so many questions, as if none were shared; None for as many as it takes.

        Returns:
            What was done, in the order of the listings.

        Raises:
            psycopg.OperationalError, DatabaseError: The ledger stayed away too long.
        """
        started, sent = time.monotonic(), self._provider.requests_sent
        reports = [MonthReport(listing, month.replace(day=1)) for listing in listings]
        rules = Rules(self._now(), self._capabilities.settling, only_due=only_due, again=again)
        found = [self._job(report, rules) for report in reports if report.listing.in_universe]
        with finishing():
            self._ask([job for job in found if job], at_most)
        reports[0].requests = self._provider.requests_sent - sent
        for report in reports:
            report.given_up = self._asking.why_given_up
            report.seconds = (time.monotonic() - started) / len(reports)
        return reports

    def judge(self, listings: Iterable[Listing]) -> set[Cell]:
        """Judge the silences of listings wherever something has changed; return which months.

        What is wanted of their standbys follows.

        Raises:
            psycopg.Error, DatabaseError: The ledger cannot be read or written.
        """
        keys = {listing.id: listing.key for listing in listings}
        flat = self._capabilities.quiet_minutes == "flat"

        def judge_and_follow(connection: psycopg.Connection) -> dict[int, list[date]]:
            with connection.transaction():
                found = judge(connection, self._provider.name, keys, sends_quiet_minutes=flat)
                follow_needs(connection, keys)
            return found

        judged = self._session.run(judge_and_follow)
        return {Cell(keys[number], month) for number, months in judged.items() for month in months}

    def _job(self, report: MonthReport, rules: Rules) -> _Job | None:
        with noting(report):
            work = self._wanting.work(report, rules)
            if work is None:
                return None
            windows = pages(work.needed, work.askable, self._capabilities.bars_per_request)
            known = [one for one in windows if any(map(one.intersection, work.answered))]
            return _Job(report, known, [one for one in windows if one not in known])
        return None

    def _ask(self, jobs: Sequence[_Job], at_most: int | None) -> None:
        """Ask for what is not covered, in as few requests as hold it."""
        for job in jobs:
            job.report.unasked = sum(window.minutes for window in (*job.known, *job.new))
        reports = {job.report.listing.id: job.report for job in jobs}
        known = [Part(job.report.listing, window) for job in jobs for window in job.known]
        self._ask_for(reports, known[:at_most])
        rest = None if at_most is None else max(0, at_most - len(known))
        new = []
        for job in jobs:
            if job.new and rest != 0 and not job.report.broken:
                with noting(job.report):
                    job.report.doubt = self._doubt(job.report)
                    if job.report.doubt is None:
                        new += [Part(job.report.listing, window) for window in job.new]
        self._ask_for(reports, new[:rest])

    def _doubt(self, report: MonthReport) -> refusals.Doubt | None:
        """Return why nothing new is to be believed; an older doubt is put to the test again."""
        page = self._capabilities.bars_per_request
        listing = report.listing
        found = self._session.run(lambda c: refusals.doubt(c, listing.id, page))
        if found is None or found.month == report.month:
            return found
        for _, chunk in chunks(self._asking.ask([Part(listing, found.last)]), self._now):
            delivery = chunk.delivery(listing.id, self._now(), self._capabilities.settling)
            # What is kept for somebody to decide about stays as it was shown.
            with suppress(ContradictoryDelivery):
                self._session.run(partial(commit, delivery=delivery))
        return self._session.run(lambda c: refusals.doubt(c, listing.id, page))

    def _ask_for(self, reports: Mapping[int, MonthReport], parts: Sequence[Part]) -> None:
        """Ask some questions and store the answers, each listing's by themselves."""
        for listing_id, chunk in chunks(self._asking.ask(parts), self._now):
            report = reports[listing_id]
            if not report.broken:
                report.unasked -= chunk.minutes
                with noting(report):
                    self._commit(report, chunk)

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
