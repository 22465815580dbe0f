"""From what alpaca-py raises to the error tree of all providers: the one place where it is decided.

A 403 is a wrong key, minutes that the plan does not pay for yet, a feed that it never pays for, or
a firewall; only the text of the body tells them apart.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import orjson
import requests

from pipeline.providers.errors import (
    AuthenticationFailed,
    MalformedAnswer,
    NotServedYet,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    RequestTimedOut,
    UnknownSymbol,
    Unsupported,
    shortened,
)
from pipeline.providers.headers import read_reset, read_retry_after

if TYPE_CHECKING:
    from alpaca.common.exceptions import APIError

_RECENT_FOR: Final = timedelta(minutes=15)
"""How long the free plan is not served the newest minutes of all exchanges."""
_FIXES: Final[dict[type[ProviderError], str]] = {
    AuthenticationFailed: "check APCA_API_KEY_ID and APCA_API_SECRET_KEY (see .env.example)",
    RequestRefused: "check bars_per_request and base_url in the universe",
    UnknownSymbol: "look the symbol up in Alpaca's list of assets",
}
_RECENT_FIX: Final = "the free plan serves them 15 minutes later: remove `lag` from the universe"
_FEED_FIX: Final = "choose the feed iex, or a plan that pays for this one"


def translate(provider: str, error: Exception, secrets: Collection[str] = ()) -> ProviderError:
    """Return what an exception out of alpaca-py means for the caller.

    Args:
        provider: The provider's name in the universe.
        error: What was raised. An error that is already ours is returned as it is.
        secrets: What must not be repeated, whatever the answer says.

    Returns:
        An error that holds nothing of `error` but its words: the SDK's errors carry the request,
        and that carries the keys.
    """
    from alpaca.common.exceptions import APIError

    if isinstance(error, ProviderError):
        return error
    if isinstance(error, APIError):
        return _of_answer(provider, error, secrets)
    what = shortened(_without(secrets, str(error) or type(error).__name__))
    if isinstance(error, requests.Timeout):
        return RequestTimedOut(provider, what)
    broken = (
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
        requests.exceptions.InvalidJSONError,
    )
    if isinstance(error, requests.RequestException) and not isinstance(error, broken):
        return ProviderUnavailable(provider, what)
    # A body that was cut, is not JSON, or has a shape that the SDK tripped over.
    return MalformedAnswer(provider, what)


def _of_answer(provider: str, error: APIError, secrets: Collection[str]) -> ProviderError:
    response = error.response
    status = response.status_code
    message = _message(response)
    reason = message or response.reason or "no reason given"
    what = f"HTTP {status}: {shortened(_without(secrets, reason))}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(provider, what, retry_after=_wait(response))
    if "subscription does not permit" in message.lower():
        if "recent" in message or "15 minutes" in message:
            return NotServedYet(provider, what, _RECENT_FIX, retry_after=_RECENT_FOR)
        return Unsupported(provider, what, _FEED_FIX)
    kind = _kind(status, message)
    return kind(provider, what, _FIXES.get(kind, ""))


def _kind(status: int, message: str) -> type[ProviderError]:
    if status == HTTPStatus.UNAUTHORIZED or (status == HTTPStatus.FORBIDDEN and message):
        return AuthenticationFailed
    passing = {HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_TIMEOUT}  # a firewall's 403 passes
    if status in passing or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ProviderUnavailable
    return UnknownSymbol if "invalid symbol" in message else RequestRefused


def _message(response: requests.Response) -> str:
    """Return the words of an error's body; empty if it is not Alpaca's own."""
    try:
        document = orjson.loads(response.content)
    except ValueError:
        return ""
    message = document.get("message") if isinstance(document, dict) else None
    return message if isinstance(message, str) else ""


def _wait(response: requests.Response) -> timedelta | None:
    """Return how long to wait, as the headers say it: for so long, or until the limit is new."""
    asked = read_retry_after(response.headers)
    return read_reset(response.headers) if asked is None else asked


def _without(secrets: Collection[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "(a key)")
    return text
