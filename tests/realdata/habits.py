"""How often the silences of recorded markets are called broken: counted, and printed with `-s`."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.store.database import Database
from tests.realdata.reading import query

_COUNTED = """
SELECT listing, sum(gaps)::int,
       (SELECT count(*) FROM ledger.gap g WHERE g.listing_id = l.id AND g.expected IS NOT NULL),
       (SELECT count(*) FROM ledger.gap g WHERE g.listing_id = l.id AND g.expected IS NOT NULL
                                            AND g.reason = 'outage')
FROM market.silences s JOIN ledger.listing l ON (l.provider, l.key) = (s.provider, s.listing)
GROUP BY l.id, listing ORDER BY listing
"""


class Called(NamedTuple):
    """What the silences of a listing were called.

    Attributes:
        listing: Its name.
        silences: How many there are.
        beyond_habit: Those that its own habit does not explain.
        confirmed: Those of them that another listing had at the same minutes.
    """

    listing: str
    silences: int
    beyond_habit: int
    confirmed: int

    @property
    def unconfirmed(self) -> int:
        """No more than so many alarms can be false."""
        return self.beyond_habit - self.confirmed


def called(database: Database, title: str) -> list[Called]:
    """Count what silences were called, and print it."""
    found = [Called(*row) for row in query(database, _COUNTED)]
    print(f"\n{title}: silences, beyond habit, of these confirmed by another listing, the rest")
    for one in found:
        print(f"  {one.listing:9}{one.silences:8,}{one.beyond_habit:4}", end="")
        print(f"{one.confirmed:4}{one.unconfirmed:4}")
    return found


def bearable(silences: int) -> float:
    """Return how many alarms may be false, of so many silences: one in 5,000, or a single one."""
    return max(1.0, silences / 5_000)
