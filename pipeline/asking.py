"""Asking a provider many questions at once.

What belongs here: concurrency, trying again, and when to stop asking. Not here: what to ask and
what becomes of the answers (`download`), or the provider's rate limit (its client waits for that
itself).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar, cast

import pyarrow as pa
import pyarrow.compute as pc
import tenacity

from pipeline.answers import Answer, judge
from pipeline.bars import inside
from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.providers.errors import (
    MalformedAnswer,
    Paused,
    ProviderError,
    RequestRefused,
    TransientError,
    UnknownSymbol,
)
from pipeline.providers.protocol import BarProvider, SharingProvider
from pipeline.questions import Part, Question, questions
from pipeline.stopping import STOPPING

T = TypeVar("T")

_MAY_BE_ONE_OF_THEM: Final = (MalformedAnswer, RequestRefused, UnknownSymbol)
"""Errors of a shared question that one of its listings may have caused for all."""

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

    def retrying(self) -> tenacity.Retrying:
        """Return what asks a question again for as long as that is worth it."""
        return tenacity.Retrying(
            sleep=tenacity.sleep_using_event(STOPPING),
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(self.attempts), tenacity.stop_when_event_set(STOPPING)
            ),
            wait=tenacity.wait_exponential_jitter(
                multiplier=self.first_wait.total_seconds(),
                max=self.longest_wait.total_seconds(),
                jitter=self.first_wait.total_seconds(),
            ),
            retry=tenacity.retry_if_exception(self.waits_out),
            reraise=True,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one listing's window: either an answer or an error."""

    listing: Listing
    window: Interval
    answer: Answer | None = None
    error: ProviderError | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What came of one question.

    Attributes:
        outcomes: What became of its parts.
        again: What is to be asked now: silent edges by themselves, and parts of a shared question
            that could not be answered together.
    """

    outcomes: Sequence[Outcome] = ()
    again: Sequence[Question] = ()


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
        self._sharing = capabilities.sharing
        self._pool = ThreadPoolExecutor(capabilities.concurrency, thread_name_prefix=provider.name)
        # The threads have something to do while the caller commits what it has.
        self._ahead = capabilities.concurrency + BARS_AHEAD // capabilities.bars_per_request
        self._failures_in_a_row = 0
        self._paused: Paused | None = None
        self._retrying = patience.retrying()

    @property
    def given_up(self) -> bool:
        """Whether nothing more is asked: the provider pauses, fails again and again, or we stop."""
        failing = self._failures_in_a_row >= self._patience.failures_in_a_row
        return bool(self._paused) or failing or STOPPING.is_set()

    @property
    def why_given_up(self) -> str:
        """Why nothing more is asked of it; empty if it is asked."""
        failing = "the provider was given up after too many failures in a row"
        return str(self._paused or failing) if self.given_up else ""

    def ask(self, asked: Iterable[Part]) -> Iterator[Outcome]:
        """Ask for the bars of windows and yield what becomes of each, in the order of arrival.

        Windows of several listings share a request where the provider allows that. Silent edges of
        answers are asked again by themselves. After an error that only a person can mend, or a ban
        longer than our patience, windows of that listing that were not asked yet are left out; all
        of them are when the provider pauses, or fails too often in a row.
        """
        waiting = deque(questions(asked, self._sharing))
        under_way: dict[Future[_Asked], Question] = {}
        while waiting or under_way:
            while waiting and len(under_way) < self._ahead:
                question = waiting.popleft()
                under_way[self._pool.submit(self._ask_one, question)] = question
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                del under_way[future]
                waiting.extendleft(future.result().again)
                for outcome in future.result().outcomes:
                    if self._should_stop(outcome):
                        _leave_out(outcome.listing, waiting, under_way)
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

    def _ask_one(self, question: Question) -> _Asked:
        """Ask one question; nothing comes of it if the provider was given up before its turn."""
        if self.given_up:
            return _Asked()
        try:
            outcomes = self.insist(partial(self._attempt, question))
        except Paused:
            return _Asked()  # nothing was asked
        except ProviderError as error:
            self._failures_in_a_row += 1
            if question.shared and isinstance(error, _MAY_BE_ONE_OF_THEM):
                return _Asked(again=question.halves())
            parts = question.parts
            return _Asked([Outcome(part.listing, part.window, error=error) for part in parts])
        self._failures_in_a_row = 0
        return self._sort(outcomes)

    def _sort(self, outcomes: Sequence[Outcome]) -> _Asked:
        """Part what is answered from what is to be asked again, by itself."""
        good = [one for one in outcomes if one.answer]
        failed = [Part(one.listing, one.window) for one in outcomes if one.error]
        edges = [
            Part(one.listing, edge) for one in good if one.answer for edge in one.answer.unsure
        ]
        again = [*(Question((part,)) for part in failed), *questions(edges, self._sharing)]
        return _Asked(good, again)

    def _attempt(self, question: Question) -> Sequence[Outcome]:
        """Ask once. Of a shared question, a part may have an error of its own.

        Raises:
            ProviderError: No part has an answer.
        """
        if not question.shared:
            (part,) = question.parts
            listing = part.listing
            bars = self._provider.fetch_bars(listing.symbol, listing.asset_class, part.window)
            return [Outcome(listing, part.window, self._judge(part, bars))]
        markets = [(part.listing.symbol, part.listing.asset_class) for part in question.parts]
        answers = cast("SharingProvider", self._provider).fetch_shared(markets, question.window)
        return [
            self._judged(part, answer, question.window)
            for part, answer in zip(question.parts, answers, strict=True)
        ]

    def _judged(self, part: Part, answer: pa.Table | ProviderError, asked: Interval) -> Outcome:
        if isinstance(answer, ProviderError):
            return Outcome(part.listing, part.window, error=answer)
        try:
            mine = _without_others(answer, part.window, asked)
            return Outcome(part.listing, part.window, self._judge(part, mine))
        except ProviderError as error:
            return Outcome(part.listing, part.window, error=error)

    def _judge(self, part: Part, bars: pa.Table) -> Answer:
        whole = self._provider.capabilities.says_when_cut
        return judge(self._provider.name, part.window, bars, says_when_cut=whole)

    def _should_stop(self, outcome: Outcome) -> bool:
        if outcome.error is None:
            return False
        return self.given_up or not self._patience.waits_out(outcome.error)


def _leave_out(
    listing: Listing, waiting: deque[Question], under_way: dict[Future[_Asked], Question]
) -> None:
    """Ask nothing more about a listing, except what is under way."""
    left = [rest for question in waiting if (rest := question.without(listing))]
    waiting.clear()
    waiting.extend(left)
    for future, question in list(under_way.items()):
        if question.without(listing) is None and future.cancel():
            del under_way[future]


def _without_others(bars: pa.Table, window: Interval, asked: Interval) -> pa.Table:
    """Cut off what was asked for the sake of others; bars that nobody asked for are left in."""
    if window == asked:
        return bars
    return bars.filter(pc.or_(inside(bars, window), pc.invert(inside(bars, asked))))
