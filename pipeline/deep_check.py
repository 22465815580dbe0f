"""Asking again for a few settled minutes of any age, to measure how often a provider changes them.

What belongs here: how many are drawn, which, and what came of them. What differs is stored by the
same rules as any other answer: as a revision, or as a refused delivery.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Final

import pyarrow as pa

from pipeline.asking import Asking, Patience
from pipeline.bars import inside
from pipeline.chunks import REFUSED_BAR, chunks
from pipeline.intervals import Interval, common
from pipeline.listing import Listing
from pipeline.pages import pages
from pipeline.providers.capabilities import Capabilities
from pipeline.providers.protocol import BarProvider
from pipeline.questions import Part
from pipeline.settling import Settling
from pipeline.stopping import finishing
from pipeline.store import refusals
from pipeline.store.deliveries import Delivery, commit
from pipeline.store.limits import budget_left
from pipeline.store.listings import listings
from pipeline.store.merging import ContradictoryDelivery, Differences
from pipeline.store.samples import DeepCheck, keep_check, settled_cells, settled_months
from pipeline.store.session import LedgerSession

_DAY_SECONDS: Final = 86_400
_KEPT_OF_A_BUDGET: Final = 0.5
"""Of a limit for a day or so a check leaves at least this share to those who want new minutes."""
_DRAWS: Final = 3
"""How often a range is drawn for each one wanted: one that has been drawn is not taken twice."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Sample:
    """A range to be asked for again.

    Attributes:
        listing: Of which listing.
        window: The minutes to ask for, at most one request.
        settled: Those of them that are compared.
    """

    listing: Listing
    window: Interval
    settled: tuple[Interval, ...]


@dataclass(slots=True)
class Findings:
    """What came of a check so far.

    Attributes:
        ranges: How many ranges were asked for.
        unanswered: Why some of them had no proper answer: range to reason.
        minutes: How many minutes were compared.
        differences: What differs, by range; only of ranges in which anything does.
        refused: How many answers were refused whole.
        requests: How many requests were sent.
    """

    ranges: int = 0
    unanswered: dict[str, str] = field(default_factory=dict)
    minutes: int = 0
    differences: dict[str, Differences] = field(default_factory=dict)
    refused: int = 0
    requests: int = 0

    def as_check(self, provider: str, at: datetime) -> DeepCheck:
        """Return the findings as they are kept."""
        found = self.differences.values()
        return DeepCheck(
            provider,
            at,
            self.ranges,
            len(self.unanswered),
            self.minutes,
            sum(one.differing for one in found),
            sum(one.appeared for one in found),
            sum(one.vanished for one in found),
            self.refused,
            self.requests,
        )


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a check may ask for.

    Attributes:
        percent: That share of what the provider's longest limit admits in a day.
        most: At most so many requests.
        exactly: So many requests, whatever the others say; None if they decide.
    """

    percent: float
    most: int
    exactly: int | None = None

    def requests(self, capabilities: Capabilities, left: int | None, chance: float) -> int:
        """Return how many requests a check may send.

        Args:
            capabilities: How the provider behaves.
            left: The weight that is left now of its limit for a longer time; None if it has none.
            chance: A number from 0 to 1, by which a part of a request is one or none: of 0.25 a
                day, one comes about every four days.
        """
        if self.exactly is not None:
            return self.exactly
        limit, weight = capabilities.budget or capabilities.limit, capabilities.request_weight
        a_day = limit.requests * _DAY_SECONDS / limit.seconds / weight
        wanted = min(self.most, a_day * self.percent / 100)
        if left is not None:
            wanted = min(wanted, (left - limit.requests * _KEPT_OF_A_BUDGET) / weight)
        whole = int(max(0.0, wanted))
        return whole + (chance < wanted - whole)


def deep_check(
    session: LedgerSession,
    provider: BarProvider,
    effort: Effort,
    *,
    day: date,
    patience: Patience,
    now: Callable[[], datetime] = _utc_now,
) -> Findings:
    """Draw settled minutes of a provider, ask for them again, compare them and keep the result.

    Args:
        session: A session with the ledger.
        provider: The provider's client.
        effort: How much may be asked for.
        day: The day whose sample is drawn: on the same ledger, the same one.
        patience: When to try again and when to stop.
        now: The clock; UTC.

    Raises:
        psycopg.Error, DatabaseError: The ledger cannot be read or written.
    """
    name, capabilities = provider.name, provider.capabilities
    generator = random.Random(f"{name} {day.isoformat()}")  # noqa: S311  it guards nothing
    left = session.run(lambda c: budget_left(c, name, capabilities.budget))
    requests = effort.requests(capabilities, left, generator.random())
    samples = draw(session, name, capabilities, now(), generator=generator, number=requests)
    return check(session, provider, samples, requests=requests, patience=patience, now=now)


def draw(
    session: LedgerSession,
    provider: str,
    capabilities: Capabilities,
    now: datetime,
    *,
    generator: random.Random,
    number: int,
) -> list[Sample]:
    """Draw ranges of settled minutes, each of at most one request, no range twice.

    A month of a listing is drawn by the number of its settled minutes, and then one of the pages
    that hold them: so every minute is equally likely, whatever its age.

    Args:
        session: A session with the ledger.
        provider: The provider's name in the universe.
        capabilities: How it behaves.
        now: The present, UTC: what it will not have any more is not drawn.
        generator: What draws.
        number: How many; there are fewer if so few are settled.
    """
    edge = capabilities.edge_of_history(now)
    cells = session.run(lambda c: settled_cells(c, provider, edge))
    if not cells or not number:
        return []
    weights = [cell.minutes for cell in cells]
    drawn = generator.choices(cells, weights, k=_DRAWS * number)
    months = session.run(lambda c: settled_months(c, set(drawn), edge))
    known = {one.id: one for one in session.run(lambda c: listings(c, provider))}
    samples: dict[tuple[int, Interval], Sample] = {}
    for cell in drawn:
        month = months[cell]
        window = generator.choice(
            pages(month.settled, month.askable, capabilities.bars_per_request)
        )
        sample = Sample(known[cell.listing_id], window, tuple(common(month.settled, window)))
        samples.setdefault((cell.listing_id, window), sample)
    return list(samples.values())[:number]


def check(
    session: LedgerSession,
    provider: BarProvider,
    samples: Iterable[Sample],
    *,
    requests: int,
    patience: Patience,
    now: Callable[[], datetime],
) -> Findings:
    """Ask for samples, one after the other, compare them and keep what came of it.

    Args:
        session: A session with the ledger.
        provider: The provider's client.
        samples: What to ask for.
        requests: Nothing more is asked once so many have been sent.
        patience: When to try again and when to stop.
        now: The clock; UTC.

    Raises:
        psycopg.Error, DatabaseError: The ledger cannot be read or written.
    """
    findings, sent, began = Findings(), provider.requests_sent, now()
    with finishing(), closing(Asking(provider, patience)) as asking:
        for sample in samples:
            if asking.given_up or findings.requests >= requests:
                break
            _compare(
                session,
                asking,
                sample,
                settling=provider.capabilities.settling,
                findings=findings,
                now=now,
            )
            findings.requests = provider.requests_sent - sent
        if findings.ranges:
            kept = findings.as_check(provider.name, began)
            session.run(partial(keep_check, check=kept))
    return findings


def _compare(
    session: LedgerSession,
    asking: Asking,
    sample: Sample,
    *,
    settling: Settling,
    findings: Findings,
    now: Callable[[], datetime],
) -> None:
    listing, name = sample.listing, f"{sample.listing.key} {sample.window}"
    outcomes = chunks(asking.ask([Part(listing, sample.window)]), now)
    for number, (_, chunk) in enumerate(outcomes):
        findings.ranges += number == 0
        whole = chunk.delivery(listing.id, now(), settling)
        for failure in whole.failed:
            if failure.error != REFUSED_BAR:
                findings.unanswered[name] = failure.message
        delivery = _settled_part(whole, sample.settled)
        try:
            merged = session.run(partial(commit, delivery=delivery))
            found = merged.differences
        except ContradictoryDelivery as error:
            session.run(partial(refusals.keep, delivery=delivery, error=error))
            findings.refused += 1
            found = error.differences
        findings.minutes += sum(piece.minutes for piece in delivery.answered)
        if found != Differences():
            findings.differences[name] = findings.differences.get(name, Differences()) + found


def _settled_part(delivery: Delivery, settled: Sequence[Interval]) -> Delivery:
    """Return what is compared of a delivery.

    That a question was not answered is no failure of minutes that were answered long ago.
    """
    return replace(
        delivery,
        answered=tuple(both for piece in delivery.answered for both in common(settled, piece)),
        bars=pa.concat_tables(delivery.bars.filter(inside(delivery.bars, one)) for one in settled),
        failed=tuple(failure for failure in delivery.failed if failure.error == REFUSED_BAR),
    )
