"""Fundamentals of stocks and funds from Financial Modeling Prep.

What belongs here: `FundamentalsProvider` for the paths below `/stable/`, and what the vendor's
words mean. What its documents say is read elsewhere (`pipeline.fundamentals`).

An answer is a list, empty for a symbol that is not known. What is wrong comes as an object with
`Error Message`, often with status 200, or in plain words with status 402.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from pipeline.providers.errors import (
    AuthenticationFailed,
    MalformedAnswer,
    ProviderError,
    RateLimited,
    RequestRefused,
    shortened,
)
from pipeline.providers.headers import read_retry_after
from pipeline.providers.limiter import Limiter
from pipeline.providers.options import ProviderOptions
from pipeline.providers.vendor_client import VendorProvider, decoded
from pipeline.providers.vendor_session import Answer, Key

VENDOR: Final = "https://financialmodelingprep.com"
_YEARS: Final = "5"
"""More are refused to a free key."""
_LIMITED: Final = ("limit reach", "too many requests", "rate limit")
_NOT_PAID: Final = ("subscription", "premium", "exclusive endpoint", "special endpoint", "legacy")
_WORDS: Final = ("Error Message", "error", "message")


def open_client(name: str, options: ProviderOptions, limiter: Limiter) -> FmpProvider:
    """Return a client for FMP; see `registry.open_fundamentals`."""
    return FmpProvider(name, options, limiter=limiter)


class FmpProvider(VendorProvider):
    """A `FundamentalsProvider` for FMP, safe to call from many threads.

    Args:
        name: The provider's name in the universe.
        options: How it is configured; `keys` holds the key.
        limiter: Shared by everything that sends with this key.
    """

    def __init__(
        self,
        name: str,
        options: ProviderOptions,
        *,
        limiter: Limiter,
    ) -> None:
        (key,) = options.capabilities(name).keys
        super().__init__(name, options, limiter, vendor=VENDOR, key=Key(options.keys[key]))

    def fetch_document(self, symbol: str, document: str) -> str | None:
        """Ask once for a document; statements are those of the newest fiscal years.

        Args:
            symbol: FMP's own symbol: `AAPL`, `BRK-B`.
            document: One of `capabilities.documents`.

        Returns:
            The body; None for a symbol that FMP does not know, or knows nothing of this about.

        Raises:
            ProviderError: There is no answer to this question.
            ValueError: There is no such document.
        """
        self._check_document(document)
        question = {"symbol": symbol}
        if document.endswith("-statement"):
            question |= {"period": "annual", "limit": _YEARS}
        return self._ask(f"/stable/{document}", question, self._read)

    def _read(self, answer: Answer, now: datetime) -> str | None:
        text, document = decoded(answer.body)
        if error := self._refusal(answer, now, _words(answer.status, text, document)):
            raise error
        self._check_status(answer, now)
        if not isinstance(document, list):
            raise MalformedAnswer(self.name, "the body is no whole list")
        return text if document else None

    def _refusal(self, answer: Answer, now: datetime, words: str) -> ProviderError | None:
        """Return what the vendor's words, or a status of its own, mean; None for neither."""
        status, what = answer.status, shortened(self._session.hide(words))
        told, what = what.lower(), what or f"status {answer.status}"
        if any(word in told for word in _LIMITED):
            return RateLimited(self.name, what, retry_after=read_retry_after(answer.headers, now))
        if status == HTTPStatus.PAYMENT_REQUIRED or any(word in told for word in _NOT_PAID):
            # A plan may leave out single symbols, of which the others know nothing.
            fix = "use a key of a plan that has it, or another provider"
            return RequestRefused(self.name, what, fix)
        refused = status == HTTPStatus.UNAUTHORIZED or (told and status == HTTPStatus.FORBIDDEN)
        if refused or "api key" in told or "apikey" in told:
            return AuthenticationFailed(self.name, what, "check FMP_API_KEY")
        if told and status == HTTPStatus.OK:
            return MalformedAnswer(self.name, f"answers in words: {what}")
        return None


def _words(status: int, text: str, document: Any) -> str:  # noqa: ANN401 - decoded JSON
    """Return what the vendor says instead of an answer; empty if it says nothing."""
    if isinstance(document, dict):
        return " ".join(str(document[name]) for name in _WORDS if document.get(name))
    return text if status == HTTPStatus.PAYMENT_REQUIRED else ""
