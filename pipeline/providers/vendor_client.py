"""What clients have in common that ask a vendor over plain HTTP, without an SDK.

What belongs here: how a question goes out through the `Watch` and its answer comes back, what any
vendor means by a status, and whether a body is a document. Not here: how keys are kept secret
(`vendor_session`), and what one vendor says in words (its client).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar

from pipeline.providers.errors import (
    MalformedAnswer,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
)
from pipeline.providers.headers import read_retry_after, sender_time
from pipeline.providers.limiter import Limiter
from pipeline.providers.options import ProviderOptions
from pipeline.providers.vendor_session import Answer, Key, VendorSession
from pipeline.providers.watched import WatchedProvider

Read = TypeVar("Read")

_PASSING: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_TIMEOUT})
"""403 without a word from the vendor is a firewall's."""


class VendorProvider(WatchedProvider):
    """The beginning of a `Provider` that is asked over plain HTTP.

    Args:
        name: The provider's name in the universe.
        options: How it is configured.
        limiter: Shared by everything that is counted against the same limit.
        vendor: The vendor's own address.
        key: Its key, and where it wants it; None where it wants none.

    Raises:
        Unsupported: The options allow nothing.
    """

    def __init__(
        self,
        name: str,
        options: ProviderOptions,
        limiter: Limiter,
        *,
        vendor: str,
        key: Key | None = None,
    ) -> None:
        super().__init__(name, options, limiter, translate)
        self._session = VendorSession(
            name,
            options.base_url or vendor,
            key,
            timeout_seconds=options.timeout_seconds,
            connections=self.capabilities.concurrency,
        )

    def close(self) -> None:
        """Give back connections."""
        self._session.close()

    def _ask(
        self, path: str, question: Mapping[str, str], read: Callable[[Answer, datetime], Read]
    ) -> Read:
        """Send one question, in its turn, and return what is read in its answer.

        Args:
            path: What follows the vendor's address, quoted for a URL.
            question: The query, without a key.
            read: From an answer, whatever its status, and the present by the vendor's clock to what
                is wanted; raises `ProviderError` for what is no answer.
        """
        found: list[Read] = []

        def send() -> object:
            answer = self._session.get(path, question)
            self._watch.received(answer.headers)
            found.append(read(answer, sender_time(answer.headers, self._clock())))
            return {}

        with self._watch.exchanging(self.capabilities.request_weight):
            self._watch.send(send)
        return found[0]

    def _check_status(self, answer: Answer, now: datetime) -> None:
        """Refuse an answer whose status says that it is none.

        Raises:
            ProviderError: It is not 200.
        """
        what = f"status {answer.status}"
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            wait = read_retry_after(answer.headers, now)
            raise RateLimited(self.name, what, retry_after=wait)
        if answer.status in _PASSING or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ProviderUnavailable(self.name, what)
        if answer.status != HTTPStatus.OK:
            raise RequestRefused(self.name, what, "check base_url in the universe")


def translate(provider: str, error: Exception) -> ProviderError:
    """Return what an exception means for the caller; those of HTTP never come here."""
    if isinstance(error, ProviderError):
        return error
    return MalformedAnswer(provider, f"the answer has an odd shape ({type(error).__name__})")


def decoded(body: bytes) -> tuple[str, Any]:
    """Return a body as text and as what its JSON says; None for what is no JSON, or cut."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "", None
    try:
        return text, json.loads(text)
    except (ValueError, RecursionError):
        return text, None
