"""What Yahoo's refusals mean, whatever was asked for.

What belongs here: statuses, and the errors inside of documents. Not here: what makes a document
whole (`yahoo_chart`, `yahoo_documents`).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from curl_cffi.requests import Response

from pipeline.providers.errors import (
    MalformedAnswer,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    UnknownSymbol,
    shortened,
)
from pipeline.providers.headers import read_retry_after

_REFUSING: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, 999})
_PASSING: Final = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_TIMEOUT}
)
"""4xx that pass: Yahoo wants no keys, so these are about cookies, or a firewall's."""
_TOO_MANY: Final = "too many requests"
_ENVELOPES: Final = ("chart", "quoteSummary", "timeseries", "finance")


def check_refusal(provider: str, response: Response) -> None:
    """Refuse an answer that says that there were too many requests.

    Raises:
        RateLimited: It does.
    """
    status = response.status_code
    if status in _REFUSING:
        wait = read_retry_after(response.headers)  # type: ignore[arg-type]  # finds any case
        raise RateLimited(provider, f"status {status}, {_TOO_MANY}", retry_after=wait)


def error_of(document: object) -> str:
    """Return what a document gives as the reason for not being an answer; empty if it is one."""
    for name in _ENVELOPES if isinstance(document, dict) else ():
        part = document.get(name)  # type: ignore[attr-defined]  # it is a dict here
        error = part.get("error") if isinstance(part, dict) else None
        if isinstance(error, dict):
            return shortened(f"{error.get('code')}: {error.get('description')}")
    return ""


def by_status(provider: str, status: int, what: str) -> ProviderError:
    """Return what a status means that comes with these words."""
    if _TOO_MANY in what.lower():
        return RateLimited(provider, what)
    if status == HTTPStatus.NOT_FOUND:
        return UnknownSymbol(provider, what, "look the symbol up on finance.yahoo.com")
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ProviderUnavailable(provider, what)
    if status >= HTTPStatus.BAD_REQUEST:
        return RequestRefused(provider, what, "check bars_per_request and base_url in the universe")
    return MalformedAnswer(provider, what)
