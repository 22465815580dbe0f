"""Asking a provider many questions at once.

What belongs here: concurrency, trying again, and when to stop asking. Not here: what to ask and
what becomes of the answers (`download`), or the provider's rate limit (its client waits for that
itself).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

import tenacity

from pipeline.answers import Answer, judge
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.providers.errors import Paused, ProviderError, TransientError
from pipeline.providers.protocol import BarProvider

T = TypeVar("T")

BARS_AHEAD = 10_000
"""How many bars may have come, or be on their way, that the caller has not taken yet."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on when a provider does not answer.

    Attributes:
        attempts: How often one question is asked.
        first_wait: How long to wait before the second time; doubles from then on, with jitter.
        longest_wait: The longest wait between two times, and the longest one that the provider asks
            for and is waited out in place.
        failures_in_a_row: After so many unanswered questions in a row the provider is left alone.
    """

    attempts: int = 4
    first_wait: timedelta = timedelta(seconds=1)
    longest_wait: timedelta = timedelta(minutes=2)
    failures_in_a_row: int = 5

    def waits_out(self, error: BaseException) -> bool:
        """Return whether the question that met `error` is worth asking again soon."""
        if isinstance(error, TransientError) and error.retry_after is not None:
            return error.retry_after <= self.longest_wait
        return isinstance(error, ProviderError) and error.retryable


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one question: either an answer or an error."""

    window: Interval
    answer: Answer | None = None
    error: ProviderError | None = None


class Asking:
    """Asks one provider on a few threads, for as long as it answers.

    Args:
        provider: The client to ask.
        patience: When to try again and when to stop.
    """

    def __init__(self, provider: BarProvider, patience: Patience) -> None:
        self._provider = provider
        self._patience = patience
        capabilities = provider.capabilities
        self._pool = ThreadPoolExecutor(capabilities.concurrency, thread_name_prefix=provider.name)
        # The threads have something to do while the caller commits what it has.
        self._ahead = capabilities.concurrency + BARS_AHEAD // capabilities.bars_per_request
        self._failures_in_a_row = 0
        self._paused: Paused | None = None
        self._retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(patience.attempts),
            wait=tenacity.wait_exponential_jitter(
                multiplier=patience.first_wait.total_seconds(),
                max=patience.longest_wait.total_seconds(),
                jitter=patience.first_wait.total_seconds(),
            ),
            retry=tenacity.retry_if_exception(patience.waits_out),
            reraise=True,
        )

    @property
    def given_up(self) -> bool:
        """Whether nothing more is asked of the provider: it pauses, or fails again and again."""
        return bool(self._paused) or self._failures_in_a_row >= self._patience.failures_in_a_row

    @property
    def why_given_up(self) -> str:
        """Why nothing more is asked of it; empty if it is asked."""
        failing = "the provider was given up after too many failures in a row"
        return str(self._paused or failing) if self.given_up else ""

    def ask(self, listing: Listing, windows: Iterable[Interval]) -> Iterator[Outcome]:
        """Ask for the bars of each window and yield what becomes of each, in the order of arrival.

        Silent edges of answers are asked again by themselves. After an error that only a person can
        mend, a ban longer than our patience, or too many failures in a row, windows that were not
        asked yet are left out, as are all when the provider pauses.
        """
        waiting = deque(windows)
        under_way: set[Future[Outcome | None]] = set()
        while waiting or under_way:
            while waiting and len(under_way) < self._ahead:
                under_way.add(self._pool.submit(self._ask_one, listing, waiting.popleft()))
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                outcome = future.result()
                if outcome is None:
                    continue
                if outcome.answer:
                    waiting.extendleft(outcome.answer.unsure)
                if self._should_stop(outcome):
                    waiting.clear()
                    under_way = {future for future in under_way if not future.cancel()}
                yield outcome

    def insist(self, question: Callable[[], T]) -> T:
        """Return the answer to a single question, asked as often as our patience allows.

        Raises:
            ProviderError: The last attempt's error.
        """
        try:
            answer: T = self._retrying(question)
        except Paused as paused:
            self._paused = paused
            raise
        return answer

    def close(self) -> None:
        """Let the threads end; questions under way are waited for."""
        self._pool.shutdown(cancel_futures=True)

    def _ask_one(self, listing: Listing, window: Interval) -> Outcome | None:
        """Ask one question; None if the provider was given up before its turn came."""
        if self.given_up:
            return None
        try:
            answer = self.insist(partial(self._attempt, listing, window))
        except Paused:
            return None  # nothing was asked
        except ProviderError as error:
            self._failures_in_a_row += 1
            return Outcome(window, error=error)
        self._failures_in_a_row = 0
        return Outcome(window, answer=answer)

    def _attempt(self, listing: Listing, window: Interval) -> Answer:
        bars = self._provider.fetch_bars(listing.symbol, listing.asset_class, window)
        whole = self._provider.capabilities.says_when_cut
        return judge(self._provider.name, window, bars, says_when_cut=whole)

    def _should_stop(self, outcome: Outcome) -> bool:
        if outcome.error is None:
            return False
        return self.given_up or not self._patience.waits_out(outcome.error)
