"""Repair: what is due in any month of any listing, within a budget.

What a provider will soon not have any more comes first, then the cheapest.

What belongs here: finding due retries, due settling checks and pending minutes of whatever age, and
the order in which they are downloaded. How one month is downloaded is `download`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby

import psycopg

from pipeline.download import Downloader
from pipeline.intervals import Interval, floor_minute
from pipeline.listing import Listing
from pipeline.pages import pages
from pipeline.providers.capabilities import Capabilities
from pipeline.questions import batched
from pipeline.reports import MonthReport
from pipeline.store.cells import Cell
from pipeline.store.listings import listings
from pipeline.store.losses import Threat, threats
from pipeline.store.work import Rules, Work, find_due_cells, find_work

BUDGET_TIME = timedelta(minutes=10)
"""Unless somebody says otherwise, a provider is asked what its limit admits in so much time."""

_REFRESHES = 2
"""A single one may have had trouble, or have begun just before a check fell due."""


@dataclass(frozen=True, slots=True)
class Task:
    """A listing's month in which something is due.

    Attributes:
        listing: The listing.
        month: First day of the month.
        requests: How many requests it takes.
        threat: What of it was never answered and is soon lost; None if nothing.
    """

    listing: Listing
    month: date
    requests: int
    threat: Threat | None = None

    @property
    def urgency(self) -> tuple[object, ...]:
        """What tasks are ordered by: what costs nothing, what is lost first, what costs least."""
        if self.threat and self.requests:
            return (1, self.threat.first, self.listing.key)
        return (2 if self.requests else 0, self.requests, self.month, self.listing.key)


@dataclass(slots=True)
class Healing:
    """What a repair of one provider did.

    Attributes:
        budget: How many requests it was allowed.
        reports: What was done for each month, in that order.
        left: What is left for next time: the budget was spent, or the provider given up.
        requests: How many requests were sent.
        judged: The months whose silences were judged again.
    """

    budget: int
    reports: list[MonthReport] = field(default_factory=list)
    left: Sequence[Task] = ()
    requests: int = 0
    judged: Collection[Cell] = ()


def find_tasks(
    connection: psycopg.Connection,
    provider: str,
    capabilities: Capabilities,
    now: datetime,
    keys: Collection[str] | None = None,
    *,
    begun: bool = False,
) -> list[Task]:
    """Return everything that is due at a provider: endangered months first, then the cheapest.

    Args:
        connection: An open connection.
        provider: The provider's name in the universe.
        capabilities: How it behaves.
        now: The present, UTC.
        keys: Keys of the listings to look at; None for all in the universe.
        begun: Leave out what a backfill or a refresh will ask for; see `find_due_again`.

    Raises:
        KeyError: A named key is not in the ledger.
    """
    known = {listing.id: listing for listing in listings(connection, provider, keys)}
    reach = capabilities.edge_of_history(now)
    endangered = {
        (threat.listing, threat.month): threat
        for threat in threats(connection, provider, capabilities.endangered(now), keys)
    }
    tasks = [
        Task(
            listing := known[cell.listing_id],
            cell.month,
            _requests(cell, capabilities, reach),
            endangered.get((listing.key, cell.month)),
        )
        for cell in _work(connection, provider, capabilities, now, keys, only_due=True, begun=begun)
        if cell.listing_id in known
    ]
    if begun:
        again = find_due_again(connection, provider, capabilities, now)
        tasks = [task for task in tasks if Cell(task.listing.key, task.month) in again]
    return sorted(tasks, key=lambda task: task.urgency)


def find_due(
    connection: psycopg.Connection,
    provider: str,
    capabilities: Capabilities,
    now: datetime,
    keys: Collection[str],
) -> set[Cell]:
    """Return the cells of some listings in which anything is to be asked, also what was given up.

    Args:
        connection: An open connection.
        provider: The provider's name in the universe.
        capabilities: How it behaves.
        now: The present, UTC.
        keys: Keys of the listings to look at.
    """
    known = {listing.id: listing.key for listing in listings(connection, provider, keys)}
    work = _work(connection, provider, capabilities, now, keys, only_due=False)
    return {Cell(known[one.listing_id], one.month) for one in work}


def _work(
    connection: psycopg.Connection,
    provider: str,
    capabilities: Capabilities,
    now: datetime,
    keys: Collection[str] | None,
    *,
    only_due: bool,
    begun: bool = False,
) -> list[Work]:
    return find_work(
        connection,
        provider,
        Rules(now, capabilities.settling, only_due=only_due),
        final=floor_minute(now - capabilities.lag),
        reach=capabilities.edge_of_history(now),
        listings=keys,
        begun=begun,
    )


def find_due_again(
    connection: psycopg.Connection, provider: str, capabilities: Capabilities, now: datetime
) -> dict[Cell, datetime]:
    """Return the cells of a provider in which something that was asked for before is due again.

    Settling checks wait for two refreshes: these take them along, mostly in the same requests.

    Args:
        connection: An open connection.
        provider: The provider's name in the universe.
        capabilities: How it behaves.
        now: The present, UTC.

    Returns:
        Each with the first minute of it that is to be asked for, UTC.
    """
    return find_due_cells(
        connection,
        provider,
        Rules(now, capabilities.settling, only_due=True, leisure=_REFRESHES * capabilities.refresh),
        final=floor_minute(now - capabilities.lag),
        reach=capabilities.edge_of_history(now),
        quiet=BUDGET_TIME,
    )


def default_budget(capabilities: Capabilities, left: int | None = None) -> int:
    """Return how many requests for bars the provider's limits admit in `BUDGET_TIME`.

    Args:
        capabilities: How the provider behaves.
        left: What is left of its longer limit, if it has one.
    """
    limit, weight = capabilities.limit, capabilities.request_weight
    windows = BUDGET_TIME.total_seconds() / limit.seconds
    requests = max(1, int(limit.requests * windows / weight))
    return requests if left is None else min(requests, left // weight)


def heal(
    downloader: Downloader,
    tasks: Sequence[Task],
    *,
    budget: int,
    tell: Callable[[Healing], None] = lambda _: None,
) -> Healing:
    """Download what is due, in the order of the tasks, as far as the budget reaches.

    Then the silences of the listings that were asked for are judged again.

    Args:
        downloader: A downloader for the tasks' provider.
        tasks: What to download.
        budget: How many requests may be planned; asking again after trouble can take some more.
        tell: Called after each task.

    Raises:
        psycopg.Error, DatabaseError: The ledger cannot be read or written.
    """
    healing = Healing(budget, left=tasks)
    known: dict[int, Listing] = {}
    done = 0
    for together in _together(tasks, downloader.capabilities):
        allowed, takes = budget - healing.requests, sum(task.requests for task in together)
        if downloader.given_up or takes > 0 >= allowed:
            break
        # Their first trades may have been found by an earlier task.
        wanted = [known.get(task.listing.id, task.listing) for task in together]
        reports = downloader.download_together(
            wanted, together[0].month, only_due=True, at_most=max(allowed, 0)
        )
        for report in reports:
            if report.broken:
                raise report.broken
            known[report.listing.id] = report.listing
            healing.reports.append(report)
            healing.requests += report.requests
            tell(healing)
        if takes > allowed:
            break
        done += len(together)
        healing.left = tasks[done:]
    healing.judged = downloader.judge(known.values())
    return healing


def _together(tasks: Sequence[Task], capabilities: Capabilities) -> Iterator[Sequence[Task]]:
    """Yield the tasks, in their order, as they may share requests: of one month and one size."""
    most = capabilities.sharing.listings if capabilities.sharing else 1
    for _, alike in groupby(tasks, key=lambda task: (task.requests, task.month)):
        yield from batched(alike, most)


def _requests(work: Work, capabilities: Capabilities, reach: datetime | None) -> int:
    needed, askable = (_since(reach, pieces) for pieces in (work.needed, work.askable))
    return len(pages(needed, askable, capabilities.bars_per_request))


def _since(reach: datetime | None, pieces: Sequence[Interval]) -> Sequence[Interval]:
    if reach is None:
        return pieces
    return [Interval(max(reach, piece.start), piece.end) for piece in pieces if piece.end > reach]
