"""Settled minutes to be asked for again, and how providers have borne that out.

What belongs here: the statements. Which minutes are drawn is `pipeline.deep_check`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from pipeline.intervals import Interval
from pipeline.store.ranges import from_multirange

# Only a month that the edge of the provider's history divides takes the algebra of ranges.
_CELLS = """
SELECT c.listing_id, c.month,
       CASE WHEN month_start < %(edge)s
            THEN ledger.minutes(c.settled * c.open * tstzmultirange(tstzrange(%(edge)s, NULL)))
            ELSE c.settled_minutes END AS minutes
FROM ledger.coverage c JOIN ledger.listing l ON l.id = c.listing_id,
     timezone('UTC', c.month::timestamp) AS month_start
WHERE l.provider = %(provider)s AND l.in_universe AND c.settled_minutes > 0
  AND (month_start + interval '1 month' > %(edge)s) IS NOT false
ORDER BY c.listing_id, c.month
"""

_MONTHS = """
SELECT c.listing_id, c.month, settled * asked * had AS settled,
       (tstzmultirange(tstzrange(month_start, month_start + interval '1 month'))
        - (asked - settled)) * had AS askable
FROM unnest(%(listings)s::integer[], %(months)s::date[]) AS named (listing_id, month)
JOIN ledger.coverage c USING (listing_id, month)
JOIN ledger.listing l ON l.id = c.listing_id
JOIN ledger.session_month s ON (s.session, s.month) = (l.session, c.month),
     timezone('UTC', c.month::timestamp) AS month_start,
     tstzmultirange(tstzrange(%(edge)s, NULL)) AS had
"""

_KEEP = """
INSERT INTO ledger.deep_check
    (provider, at, ranges, unanswered, minutes, differing, appeared, vanished, refused, requests)
VALUES (%(provider)s, %(at)s, %(ranges)s, %(unanswered)s, %(minutes)s, %(differing)s, %(appeared)s,
        %(vanished)s, %(refused)s, %(requests)s)
ON CONFLICT (provider, at) DO NOTHING
"""

_RATE = """
SELECT provider, checks, since, minutes, differing, appeared, vanished, requests, error_rate,
       at_least, at_most
FROM market.error_rates WHERE provider = coalesce(%s, provider) ORDER BY provider
"""


@dataclass(frozen=True, slots=True, order=True)
class SettledCell:
    """A listing's month with minutes that are settled and can be had again.

    Attributes:
        listing_id: The listing.
        month: First day of the month.
        minutes: How many there are, of the regular session.
    """

    listing_id: int
    month: date
    minutes: int


@dataclass(frozen=True, slots=True)
class SettledMonth:
    """Which minutes of a listing's month are settled.

    Attributes:
        listing_id: The listing.
        month: First day of the month.
        settled: The minutes, of regular and extended hours, in order of time.
        askable: What may be asked for along with them, they included: closed hours, too.
    """

    listing_id: int
    month: date
    settled: Sequence[Interval]
    askable: Sequence[Interval]


@dataclass(frozen=True, slots=True)
class DeepCheck:
    """What came of asking for settled minutes again, as `market.deep_checks` has it."""

    provider: str
    at: datetime
    ranges: int
    unanswered: int
    minutes: int
    differing: int
    appeared: int
    vanished: int
    refused: int
    requests: int

    @property
    def error_rate(self) -> float | None:
        """The share of the compared minutes that are not as they were; None if none was."""
        wrong = self.differing + self.appeared + self.vanished
        return wrong / self.minutes if self.minutes else None


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """How often a provider changes what is settled, as `market.error_rates` has it."""

    provider: str
    checks: int
    since: datetime
    minutes: int
    differing: int
    appeared: int
    vanished: int
    requests: int
    error_rate: float
    at_least: float
    at_most: float


def settled_cells(
    connection: psycopg.Connection, provider: str, edge: datetime | None
) -> list[SettledCell]:
    """Return where a provider's settled minutes are, by listing and month.

    Args:
        connection: An open connection.
        provider: The provider.
        edge: The first minute that it still has, UTC; None if it has all.
    """
    with connection.cursor(row_factory=class_row(SettledCell)) as cursor:
        found = cursor.execute(_CELLS, {"provider": provider, "edge": edge}).fetchall()
    return [cell for cell in found if cell.minutes]


def settled_months(
    connection: psycopg.Connection, cells: Iterable[SettledCell], edge: datetime | None
) -> dict[SettledCell, SettledMonth]:
    """Return which minutes of some cells are settled and can be had again; see `settled_cells`."""
    named = {(cell.listing_id, cell.month): cell for cell in cells}
    row = {
        "listings": [number for number, _ in named],
        "months": [month for _, month in named],
        "edge": edge,
    }
    return {
        named[number, month]: SettledMonth(
            number, month, from_multirange(settled), from_multirange(askable)
        )
        for number, month, settled, askable in connection.execute(_MONTHS, row)
    }


def keep_check(connection: psycopg.Connection, check: DeepCheck) -> None:
    """Keep what came of a check; doing it again changes nothing."""
    connection.execute(_KEEP, asdict(check))


def error_rates(connection: psycopg.Connection, provider: str | None = None) -> Sequence[ErrorRate]:
    """Return how often providers change what is settled, by their last checks; or one's rate."""
    with connection.cursor(row_factory=class_row(ErrorRate)) as cursor:
        return cursor.execute(_RATE, [provider]).fetchall()
