"""What goes over the wire while a method of a vendor's SDK runs: in its turn, counted, and kept.

What belongs here: what becomes of one request, from the limiter and back to it. Not here: how an
SDK is made to come here with it (each client's session), and what its errors mean.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pipeline.intervals import Interval
from pipeline.providers.capabilities import Capabilities, RateLimit
from pipeline.providers.errors import MalformedAnswer, Paused, ProviderError, RateLimited
from pipeline.providers.headers import Headers, read_clock_skew, read_usage
from pipeline.providers.limiter import ANSWERED, Limiter, PausedError, Report, Send

_DECODING: Final = threading.Lock()
"""Threads wait for the network together, but read answers one after another: eight that fought for
the interpreter read half as many rows a second as one."""

_SHORTEST_PAUSE: Final = timedelta(seconds=1)
"""Kept even after "Retry-After: 0": everybody who asks again at once is refused again."""


@dataclass(slots=True)
class Flight:
    """One request on its way.

    Attributes:
        send: The request, as the limiter knows it.
        sent_at: When it was let through, in seconds of a monotonic clock.
        arrived_at: When its answer came, likewise; None while it has not.
        headers: The answer's headers.
    """

    send: Send
    sent_at: float
    arrived_at: float | None = None
    headers: Headers = field(default_factory=dict)


@dataclass(slots=True)
class Exchanged:
    """What was sent and what came back while one of an SDK's methods ran in one thread.

    Attributes:
        weight: What each request costs against the limit.
        answers: What was read in every answer.
        rows: The rows that the SDK was about to parse; None when it did not get that far.
        failures: Errors met on the way, also those that the SDK swallowed.
        limiter_failure: Why the limiter could not be asked, if so: no fault of the provider.
        decoding: Whether this thread is the one that reads an answer.
        flight: The latest request.
    """

    weight: int = 1
    answers: list[object] = field(default_factory=list)
    rows: list[Any] | None = None
    failures: list[ProviderError] = field(default_factory=list)
    limiter_failure: Exception | None = None
    decoding: bool = False
    flight: Flight | None = None


class Watch:
    """What the threads of one client share, the limiter and the count, and what each exchanges.

    Args:
        provider: The provider's name in the universe.
        capabilities: What is known of it.
        limiter: Is asked before each request, and told how it ended.
        translate: From the provider's name and whatever the SDK raises to our errors.
        published: The limit that the provider publishes, whatever ours is.
        clock: The present, an aware UTC datetime.
    """

    def __init__(
        self,
        provider: str,
        capabilities: Capabilities,
        limiter: Limiter,
        translate: Callable[[str, Exception], ProviderError],
        *,
        published: RateLimit | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.provider = provider
        self.capabilities = capabilities
        self.requests_sent = 0
        self.clock_skew: timedelta | None = None
        self._limiter = limiter
        self._translate = translate
        self._published = published or capabilities.limit
        self._clock = clock
        self._count = threading.Lock()
        self._local = threading.local()

    @property
    def current(self) -> Exchanged:
        """What this thread is exchanging."""
        exchanged: Exchanged = self._local.exchanged
        return exchanged

    @contextmanager
    def exchanging(self, weight: int) -> Iterator[Exchanged]:
        """Keep what this thread sends and receives meanwhile; `weight` is what a request costs.

        Raises:
            ProviderError: Whatever went wrong, translated; but the limiter's own error as it is.
        """
        exchanged = self._local.exchanged = Exchanged(weight)
        try:
            yield exchanged
        except Exception as error:
            # The SDK may have taken the limiter's error for one of the provider's.
            if exchanged.limiter_failure:
                raise exchanged.limiter_failure  # noqa: B904 - nothing of the provider caused it
            if isinstance(error, ProviderError):
                raise
            raise self._translate(self.provider, error) from error
        finally:
            self._let_others_decode()
        if exchanged.limiter_failure:
            raise exchanged.limiter_failure

    def received(self, headers: Headers) -> None:
        """Note that the answer to this thread's request is there."""
        flight = self.current.flight
        if flight is not None:
            flight.arrived_at, flight.headers = time.monotonic(), headers

    def decode_alone(self) -> None:
        """Wait until no other thread reads an answer; holds until the next request or the end."""
        if not self.current.decoding:
            _DECODING.acquire()
            self.current.decoding = True

    def check_over(self, window: Interval) -> None:
        """Refuse an answer about minutes that the provider, by its own clock, had not finished.

        Raises:
            MalformedAnswer: The window ends in the provider's future.
        """
        skew = self.clock_skew or timedelta(0)
        if skew < timedelta(0) and window.end > self._clock() + skew:
            raise MalformedAnswer(
                self.provider,
                f"asked for {window}, which is not over by its clock: that is"
                f" {-skew.total_seconds():.0f} s behind ours",
                "compare the clocks of this machine and of the provider",
            )

    def _let_others_decode(self) -> None:
        if self.current.decoding:
            self.current.decoding = False
            _DECODING.release()

    def send(self, request: Callable[[], object]) -> object:
        """Wait for the limit, count and send one request.

        Raises:
            ProviderError: Whatever went wrong, translated. A refusal pauses everybody first.
        """
        self._let_others_decode()
        try:
            flight = self._take_off()
            return self._fly(flight, request)
        except ProviderError as error:
            self.current.failures.append(error)
            raise
        except Exception as error:
            self.current.limiter_failure = error
            raise

    def _take_off(self) -> Flight:
        try:
            limit, budget = self.capabilities.limit, self.capabilities.budget
            send = self._limiter.acquire(limit, self.current.weight, budget)
        except PausedError as paused:
            raise Paused(self.provider, f"still {paused}", retry_after=paused.remaining) from None
        with self._count:
            self.requests_sent += 1
        self.current.flight = flight = Flight(send, time.monotonic())
        return flight

    def _fly(self, flight: Flight, request: Callable[[], object]) -> object:
        try:
            answer = request()
        except Exception as error:
            failure = self._translate(self.provider, error)
            self._land(flight, failure)
            if failure is error:
                raise
            raise failure from error
        if not isinstance(answer, dict | list):
            malformed = MalformedAnswer(self.provider, "the body is not whole JSON")
            self._land(flight, malformed)
            raise malformed
        self._land(flight, None)
        return answer

    def _land(self, flight: Flight, failure: ProviderError | None) -> None:
        """Tell the limiter how a request ended."""
        if isinstance(failure, RateLimited):
            self._limiter.pause(self._pause_after(failure), str(failure), ban=failure.ban)
        now = time.monotonic()
        arrived = now if flight.arrived_at is None else flight.arrived_at
        latency, ago = timedelta(seconds=arrived - flight.sent_at), timedelta(seconds=now - arrived)
        skew = read_clock_skew(flight.headers, self._clock() - ago, latency)
        if skew is not None:
            self.clock_skew = skew
        report = Report(
            outcome=type(failure).__name__ if failure else ANSWERED,
            latency=latency,
            ago=ago,
            clock_skew=skew,
            usage=read_usage(flight.headers, self.capabilities.limit, self._published),
        )
        self._limiter.answered(flight.send, report)

    def _pause_after(self, refusal: RateLimited) -> timedelta:
        if refusal.retry_after is None:
            return self.capabilities.refusal_pause
        return max(refusal.retry_after, _SHORTEST_PAUSE)
