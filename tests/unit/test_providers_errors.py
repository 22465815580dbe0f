"""What ccxt raises is sorted by what is to be done about it."""

from __future__ import annotations

from datetime import timedelta

import ccxt
import pytest
import requests

from pipeline.providers.ccxt_errors import translate
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
)


def _answered(status: int, **headers: str) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return requests.HTTPError("refused", response=response)


def _after(error: Exception, cause: Exception | None) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        (ccxt.RateLimitExceeded, 429, RateLimited),
        (ccxt.DDoSProtection, 418, RateLimited),
        (ccxt.DDoSProtection, None, RateLimited),  # Kraken: in a body with status 200
        (ccxt.ExchangeError, 429, RateLimited),
        (ccxt.BadSymbol, 500, UnknownSymbol),  # Bitfinex
        (ccxt.BadSymbol, None, UnknownSymbol),
        (ccxt.AuthenticationError, 401, AuthenticationFailed),
        (ccxt.PermissionDenied, 403, AuthenticationFailed),
        (ccxt.NotSupported, None, Unsupported),
        (ccxt.RestrictedLocation, 403, Unsupported),
        (ccxt.ExchangeNotAvailable, 451, Unsupported),
        (ccxt.BadRequest, 500, RequestRefused),  # Bitfinex: 10020 of a parameter
        (ccxt.ExchangeError, 400, RequestRefused),
        (ccxt.ExchangeNotAvailable, 404, RequestRefused),
        (ccxt.ExchangeNotAvailable, 403, ProviderUnavailable),
        (ccxt.ExchangeNotAvailable, 502, ProviderUnavailable),
        (ccxt.RequestTimeout, 408, ProviderUnavailable),
        (ccxt.RequestTimeout, 504, ProviderUnavailable),
        (ccxt.RequestTimeout, None, RequestTimedOut),
        (ccxt.NetworkError, None, ProviderUnavailable),
        (ccxt.OnMaintenance, None, ProviderUnavailable),
        (ccxt.OperationFailed, None, ProviderUnavailable),
        (ccxt.NullResponse, None, MalformedAnswer),
        (ccxt.ExchangeError, None, MalformedAnswer),
        (ccxt.ExchangeError, 520, ProviderUnavailable),
        (KeyError, None, MalformedAnswer),
    ],
)
def test_an_error_becomes_what_its_class_and_status_say(
    error: type[Exception], status: int | None, expected: type[ProviderError]
) -> None:
    raised = _after(error("no"), None if status is None else _answered(status))
    assert type(translate("somebody", raised)) is expected


@pytest.mark.parametrize(
    "cause", [requests.exceptions.SSLError("bad certificate"), requests.TooManyRedirects("round")]
)
def test_what_never_was_an_answer_is_unavailable(cause: requests.RequestException) -> None:
    error = _after(ccxt.ExchangeError("x"), cause)
    assert type(translate("somebody", error)) is ProviderUnavailable


def test_the_answer_is_found_below_an_error_raised_while_handling_it() -> None:
    error = ccxt.ExchangeError("x")
    error.__context__ = _answered(429, Retry_After="12")
    translated = translate("somebody", error)
    assert isinstance(translated, RateLimited)
    assert translated.retry_after == timedelta(seconds=12)


def test_an_error_of_ours_is_left_alone() -> None:
    error = MalformedAnswer("somebody", "what")
    assert translate("somebody", error) is error


def test_messages_hold_no_whole_bodies() -> None:
    message = str(translate("somebody", ccxt.ExchangeError("<html>\n" * 1000)))
    assert len(message) < 250
    assert "\n" not in message
