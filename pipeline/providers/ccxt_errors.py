"""From ccxt's exceptions to the error tree of all providers: the one place where it is decided.

ccxt's own tree does not say what is to be done. Rate limits are network errors there, a web
application firewall's 403 is "not available", an unknown symbol may arrive with status 500
(Bitfinex) and a plain `ExchangeError` may be anything. So both its class and the HTTP status below
it are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

import requests

from pipeline.providers.errors import (
    AuthenticationFailed,
    MalformedAnswer,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    RequestTimedOut,
    UnknownSymbol,
    Unsupported,
    shortened,
)
from pipeline.providers.headers import read_retry_after

_TEAPOT: Final = 418  # Binance: banned for going on after 429
_TOO_MANY: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, _TEAPOT})
_ELSEWHERE: Final = HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS
_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.FORBIDDEN})
"""4xx that pass: by a 403 without a reason, firewalls turn a keyless client away for a while."""

_BY_CLASS: Final[tuple[tuple[str, type[ProviderError]], ...]] = (
    ("BadSymbol", UnknownSymbol),
    ("AuthenticationError", AuthenticationFailed),
    ("NotSupported", Unsupported),
    ("RestrictedLocation", Unsupported),
    ("BadRequest", RequestRefused),
    ("ArgumentsRequired", RequestRefused),
    ("BadResponse", MalformedAnswer),
)
"""ccxt's classes that mean the same whatever the status; a subclass counts as its parent."""

_FIXES: Final[dict[type[ProviderError], str]] = {
    UnknownSymbol: "look the symbol up in the provider's market list",
    AuthenticationFailed: "check the keys, or that the endpoint is public",
    Unsupported: "choose another provider, or a base_url that may be used from here",
    RequestRefused: "check bars_per_request and base_url in the universe",
}


def translate(provider: str, error: Exception) -> ProviderError:
    """Return what an exception out of ccxt means for the caller.

    Args:
        provider: The provider's name in the universe.
        error: What ccxt raised. An error that is already ours is returned as it is.
    """
    if isinstance(error, ProviderError):
        return error
    what = shortened(str(error)) or type(error).__name__
    response = _response_below(error)
    kind = _kind(error, None if response is None else response.status_code)
    if kind is RateLimited:
        return _refusal(provider, what, response)
    return kind(provider, what, _FIXES.get(kind, ""))


def _refusal(provider: str, what: str, response: Any) -> RateLimited:  # noqa: ANN401
    if response is None:
        return RateLimited(provider, what)
    wait = read_retry_after(response.headers)
    return RateLimited(provider, what, retry_after=wait, ban=response.status_code == _TEAPOT)


def _kind(error: Exception, status: int | None) -> type[ProviderError]:
    classes = {ancestor.__name__ for ancestor in type(error).__mro__}
    if status in _TOO_MANY or not classes.isdisjoint({"RateLimitExceeded", "DDoSProtection"}):
        return RateLimited
    for name, kind in _BY_CLASS:
        if name in classes:
            return kind
    if status is not None and status >= HTTPStatus.BAD_REQUEST:
        return _by_status(status)
    if "RequestTimeout" in classes:
        return RequestTimedOut
    if "OperationFailed" in classes or _never_answered(error):
        return ProviderUnavailable
    # What is left came with status 200: an error body that ccxt knows no name for, or a shape that
    # its parser tripped over. Asking again is safe; calling it final could leave minutes unasked
    # for ever.
    return MalformedAnswer


def _by_status(status: int) -> type[ProviderError]:
    if status == _ELSEWHERE:
        return Unsupported
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ProviderUnavailable
    return RequestRefused


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _response_below(error: Exception) -> Any:  # noqa: ANN401 - requests types it so itself
    """Return the HTTP answer that led to the error; None if it was not an HTTP error."""
    for link in _chain(error):
        if isinstance(link, requests.HTTPError) and link.response is not None:
            return link.response
    return None


def _never_answered(error: Exception) -> bool:
    """Return whether the connection failed: ccxt makes exchange errors of TLS failures."""
    return any(isinstance(link, requests.RequestException) for link in _chain(error))
