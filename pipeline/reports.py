"""What a download did for one listing and month.

What belongs here: the numbers, and why a month is not complete. Not here: how it is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import psycopg

from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.store import failures, refusals


@dataclass(slots=True)
class MonthReport:
    """What a download did for one listing and month.

    Attributes:
        listing: The listing, with its first trade.
        month: The calendar month.
        wanted: The minutes to have by now; None when the listing has no life in that month yet.
        requests: HTTP requests sent; for several listings together, all are counted with the first.
        inserted: Bars stored for the first time.
        revised: Stored bars that came back different.
        refused: Delivered rows that were refused.
        failures: Ranges that were asked for and not properly answered.
        unasked: Minutes left because the provider was given up before they were asked for, no more
            questions were allowed, or nothing new is believed of the listing.
        doubt: Why nothing new is believed of it, if that is so.
        given_up: Why the provider was not asked any more, if that is so.
        broken: What the ledger refused about it; nothing more was done for it then.
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
    broken: psycopg.Error | None = None
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether everything that could be asked for was properly answered."""
        return not self.failures and not self.unasked and not self.broken

    def explain(self) -> str:
        """Return, in a line, why the month is not complete; empty when it is."""
        reasons = [f"{failure.during}: {failure.message}" for failure in self.failures[:3]]
        if len(self.failures) > len(reasons):
            reasons.append(f"and {len(self.failures) - len(reasons)} more failed ranges")
        if self.unasked:
            why = self.doubt or self.given_up or "no more questions were allowed"
            reasons.append(f"{self.unasked} minutes left open: {why}")
        if self.broken:
            kind, message = type(self.broken).__name__, self.broken.diag.message_primary
            reasons.append(f"the ledger refused it: {kind}: {message}")
        return "; ".join(reasons)


@contextmanager
def noting(report: MonthReport) -> Iterator[None]:
    """Note what the ledger refuses about one listing, so that others go on.

    Raises:
        psycopg.OperationalError: The ledger cannot be reached; that is about all of them.
    """
    try:
        yield
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        report.broken = error
