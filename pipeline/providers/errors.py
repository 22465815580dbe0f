"""The one error tree of all providers.

What belongs here: what can go wrong between asking a provider and having its answer, sorted by what
is to be done about it. Each client translates its SDK's errors into these, in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

_LONGEST_WORDS: Final = 200


class ProviderError(Exception):
    """A provider did not give a usable answer.

    Args:
        provider: The provider's name in the universe.
        what: What was wrong and where, in one sentence; never holds a secret.
        fix: What the reader can do about it.
    """

    retryable = False
    """Whether the same question may be answered later without anybody changing anything."""

    def __init__(self, provider: str, what: str, fix: str = "") -> None:
        super().__init__(f"{provider}: {what}" + (f"; {fix}" if fix else ""))
        self.provider = provider


class TransientError(ProviderError):
    """The provider may answer the same question later.

    Args:
        retry_after: How long it is of no use to ask again; None when the provider does not say.
    """

    retryable = True

    def __init__(
        self, provider: str, what: str, fix: str = "", *, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(provider, what, fix)
        self.retry_after = retry_after


class ProviderUnavailable(TransientError):
    """The provider could not be reached or answered 5xx or 408."""


class RequestTimedOut(TransientError):
    """The provider did not answer in time."""


class MalformedAnswer(TransientError):
    """The body was cut, was not JSON, had not the expected shape, or answers another question."""


class NotServedYet(TransientError):
    """The provider has these minutes, and gives them to us only when they are older."""


class RateLimited(TransientError):
    """The provider refuses more requests for now (429, 418, or a body that says so).

    Args:
        retry_after: How long the provider asks everybody to wait; None when it does not say.
        ban: Whether it shuts us out because we did not stop, and does not only slow us down.
    """

    def __init__(
        self,
        provider: str,
        what: str,
        *,
        retry_after: timedelta | None = None,
        ban: bool = False,
        fix: str = "",
    ) -> None:
        super().__init__(provider, what, fix, retry_after=retry_after)
        self.ban = ban


class Paused(RateLimited):
    """Nothing was asked: the provider is left alone for longer than a request should wait."""


class PermanentError(ProviderError):
    """Asking again changes nothing: somebody has to act."""


class AuthenticationFailed(PermanentError):
    """The provider does not accept the keys, or they are missing."""


class MissingKeys(AuthenticationFailed):
    """The provider wants keys, and they are not set.

    Args:
        keys: The environment variables that should hold them.
    """

    def __init__(self, provider: str, keys: Sequence[str]) -> None:
        super().__init__(
            provider,
            f"{' and '.join(keys)} not set",
            "set what is missing in the environment or in .env (see .env.example)",
        )


class UnknownSymbol(PermanentError):
    """The provider has no such market."""


class RequestRefused(PermanentError):
    """The provider understood the question and will not answer it (400, 404, 422 and the like)."""


class MissingFile(PermanentError):
    """No file covers these minutes, though others cover what lies before and after them."""


class BrokenFile(PermanentError):
    """A file cannot be read, or does not hold what was declared: nothing of it is believed."""


class Unsupported(PermanentError):
    """The provider or its client cannot do this at all."""


def shortened(text: str) -> str:
    """Return a vendor's words in one line, cut where they go on and on."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_WORDS else text[: _LONGEST_WORDS - 3] + "..."
