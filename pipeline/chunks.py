"""Gathering answers until they are worth a transaction.

What belongs here: turning a handful of answers into one delivery: which bars are credible, which
minutes are answered, which are not, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby

import pyarrow as pa

from pipeline.answers import OutsideWindow
from pipeline.asking import Outcome
from pipeline.bars import empty_bars
from pipeline.intervals import MINUTE, Interval, floor_minute
from pipeline.providers.errors import ProviderError, TransientError
from pipeline.quality import RefusedBar, sift
from pipeline.settling import Settling
from pipeline.store.deliveries import Delivery
from pipeline.store.failures import Failure

CHUNK_BARS = 20_000
"""A chunk of answers is committed once it holds so many bars: enough for COPY, little enough for
memory."""
CHUNK_AGE = timedelta(seconds=5)
"""... or once its first answer is so old. A killed process loses no more than one chunk."""
REFUSED_BAR = "RefusedBar"
"""The error of minutes that were answered with a bar that is not credible."""
_QUARANTINED_OF_A_REFUSED_ANSWER = 100


@dataclass(slots=True)
class Chunk:
    """Answers of one listing's month that are going to be committed together.

    Attributes:
        opened_at: When the first answer came, UTC.
        rows: How many bars have come.
        minutes: How many minutes the questions have settled, one way or the other.
    """

    opened_at: datetime
    rows: int = 0
    minutes: int = 0
    _bars: list[pa.Table] = field(default_factory=list)
    _answered: list[Interval] = field(default_factory=list)
    _failed: list[Failure] = field(default_factory=list)
    _refused: list[RefusedBar] = field(default_factory=list)

    def add(self, outcome: Outcome, now: datetime) -> None:
        """Add what became of one question."""
        self.minutes += (outcome.answer.answered if outcome.answer else outcome.window).minutes
        if outcome.answer is not None:
            self._bars.append(outcome.answer.bars)
            self._answered.append(outcome.answer.answered)
            self.rows += outcome.answer.bars.num_rows
        if outcome.error is not None:
            self._failed.append(failure_of(outcome.window, outcome.error, now))
        if isinstance(outcome.error, OutsideWindow):
            sample = outcome.error.rows.slice(0, _QUARANTINED_OF_A_REFUSED_ANSWER).to_pylist()
            self._refused += [RefusedBar("outside_the_window", bar) for bar in sample]

    def delivery(self, listing_id: int, now: datetime, settling: Settling) -> Delivery:
        """Return the answers as a delivery.

        The minute of a refused bar does not count as answered, unless a credible bar came for it
        too.
        """
        good, refused = sift(pa.concat_tables(self._bars)) if self._bars else (empty_bars(), [])
        missing = _minutes_without_bar(refused, good)
        first = (self._answered or [failure.during for failure in self._failed])[0].start
        return Delivery(
            listing_id=listing_id,
            month=first.date().replace(day=1),
            answered=tuple(
                piece for interval in self._answered for piece in interval.without(missing)
            ),
            bars=good,
            refused=(*refused, *self._refused),
            failed=(*self._failed, *_refused_minutes(missing)),
            received_at=now,
            settling=settling,
        )


def chunks(outcomes: Iterable[Outcome], now: Callable[[], datetime]) -> Iterator[tuple[int, Chunk]]:
    """Yield answers in chunks, each of one listing, by its number, as soon as they are worth it.

    Args:
        outcomes: What becomes of questions about months of some listings.
        now: The clock; UTC.
    """
    open_chunks: dict[int, Chunk] = {}
    for outcome in outcomes:
        moment = now()
        open_chunks.setdefault(outcome.listing.id, Chunk(moment)).add(outcome, moment)
        full = [
            number
            for number, chunk in open_chunks.items()
            if chunk.rows >= CHUNK_BARS or moment - chunk.opened_at >= CHUNK_AGE
        ]
        for number in full:
            yield number, open_chunks.pop(number)
    yield from open_chunks.items()


def failure_of(window: Interval, error: ProviderError, now: datetime) -> Failure:
    """Return the failure that an unanswered question leaves in the ledger."""
    wait = error.retry_after if isinstance(error, TransientError) else None
    return Failure(
        during=window,
        error=type(error).__name__,
        message=str(error),
        retryable=error.retryable,
        not_before=now + wait if wait else None,
    )


def _minutes_without_bar(refused: Iterable[RefusedBar], good: pa.Table) -> dict[datetime, str]:
    """Map the minutes of refused bars that no credible bar fills to the rule that was broken."""
    minutes = {floor_minute(bar.bar["ts"]): bar.rule for bar in refused}
    if minutes:
        stored = set(good["ts"].to_pylist())
        minutes = {minute: rule for minute, rule in sorted(minutes.items()) if minute not in stored}
    return minutes


def _refused_minutes(missing: dict[datetime, str]) -> Iterable[Failure]:
    # Consecutive minutes that broke one rule make one failure: their distance to a running count is
    # constant.
    runs = groupby(
        enumerate(missing.items()), key=lambda item: (item[1][0] - item[0] * MINUTE, item[1][1])
    )
    for (_, rule), run in runs:
        minutes = [minute for _, (minute, _) in run]
        during = Interval(minutes[0].astimezone(UTC), minutes[-1].astimezone(UTC) + MINUTE)
        yield Failure(
            during=during,
            error=REFUSED_BAR,
            message=f"the delivered bars break the rule {rule!r}; see ledger.quarantine",
            retryable=True,
        )
