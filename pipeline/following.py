"""Everything that follows from minutes, brought in step with them.

What belongs here: the order. What is out of step is noted in the ledger, so that a process that is
killed leaves it to the next.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pipeline.building import build
from pipeline.catching_up import CaughtUp
from pipeline.consolidating import consolidate
from pipeline.store.consolidated_series import instruments_of_listings
from pipeline.store.database import Database
from pipeline.store.session import LedgerSession


@dataclass(frozen=True, slots=True)
class Followed:
    """What was brought in step.

    Attributes:
        built: What was built of listings, by their numbers.
        consolidated: What was worked out of their instruments, by these' numbers.
        instruments: The names of all their instruments, with their numbers.
    """

    built: Mapping[int, CaughtUp]
    consolidated: Mapping[int, CaughtUp]
    instruments: Mapping[str, int]


def follow(database: Database, session: LedgerSession, listing_ids: Collection[int]) -> Followed:
    """Bring the bars above listings' minutes, and their instruments' series, in step with these.

    Args:
        database: The ledger's database.
        session: A session with it.
        listing_ids: The listings.

    Raises:
        psycopg.Error, DatabaseError: The ledger cannot be read or written.
    """
    built = build(database, session, listing_ids)
    instruments = session.run(lambda c: instruments_of_listings(c, listing_ids))
    return Followed(built, consolidate(database, session, list(instruments.values())), instruments)
