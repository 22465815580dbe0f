"""Providers that are what they hold: what they answer for, what they lack, and what has changed.

What belongs here: bringing the ledger in step with an archive, so that its months can be downloaded
as those of any provider. What an archive is evidence for, its client says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime

import psycopg

from pipeline.chunks import failure_of
from pipeline.intervals import Interval, common, floor_minute
from pipeline.listing import Listing
from pipeline.providers.errors import ProviderError
from pipeline.providers.protocol import ArchiveProvider, Holdings, Hole
from pipeline.store import archives, failures, listings
from pipeline.store.failures import Failure
from pipeline.store.session import LedgerSession
from pipeline.store.work import Work


class Archive:
    """An archive, and what the ledger knows of it.

    Args:
        session: A session with the ledger.
        provider: The archive's client.
    """

    def __init__(self, session: LedgerSession, provider: ArchiveProvider) -> None:
        self._session = session
        self._provider = provider

    def look(self, listing: Listing, now: datetime) -> None:
        """Notice what has changed in all of a listing's life, also before its first minute so far.

        Where that cannot be seen, all is as it was: what is needed meets the same trouble when it
        is asked for, and that is put on record.
        """
        end = floor_minute(min(now, listing.ends_at or now))
        life = Interval(listing.starts_at, max(listing.starts_at, end))
        with suppress(ProviderError):
            if not self._notice(listing, life.first_days(), now):
                return
            found = self._provider.first_trade(listing.symbol, listing.asset_class)
            known = listing.first_trade
            if found and (known is None or found.ts < known):
                self._session.run(
                    lambda c: listings.save_first_trade(c, listing, found.ts, found.evidence, now)
                )

    def look_at_month(self, listing: Listing, month: date, now: datetime) -> None:
        """Notice whether a month has changed; it is asked again if so. See `look`."""
        with suppress(ProviderError):
            self._notice(listing, [month], now)

    def _notice(self, listing: Listing, months: Sequence[date], now: datetime) -> Collection[date]:
        versions = self._provider.versions(listing.symbol, listing.asset_class, months)
        return self._session.run(lambda c: archives.notice(c, listing.id, versions, now))

    def cut(
        self, listing: Listing, wanted: Interval, work: Work, now: datetime
    ) -> tuple[Work, tuple[Failure, ...]]:
        """Turn what is needed into what the archive answers, all of it, if anything is needed.

        What lies before its first and after its last minute is noted as unavailable, and what it
        lacks between them as failed, until something of the month changes.

        Returns:
            What is left to be asked, no question of which may reach over the end of a file; and
            what failed.
        """
        if not work.needed:
            return work, ()
        try:
            held = self._provider.holdings(listing.symbol, listing.asset_class, wanted)
        except ProviderError as error:
            held = Holdings(holes=[Hole(wanted, error)])
        for beyond in held.beyond:
            self._session.run(
                lambda c, lost=beyond: archives.mark_beyond(c, listing.id, lost)  # type: ignore[misc]
            )
        failed = tuple(
            failure_of(piece, hole.error, now)
            for hole in held.holes
            for piece in common(work.needed, hole.during)
        )
        self._session.run(lambda c: _record(c, listing.id, failed, now))
        # What lies beside needed minutes costs nothing, and no row is left behind because nobody
        # expected it: trades at night, or on a day on which the market should be closed.
        pieces = held.pieces if any(common(work.needed, one) for one in held.pieces) else ()
        return replace(work, needed=pieces, askable=pieces), failed


def _record(
    connection: psycopg.Connection, listing_id: int, failed: Iterable[Failure], now: datetime
) -> None:
    with connection.transaction():
        for failure in failed:
            failures.record(connection, listing_id, failure, now)
