"""Sending a message to an address that is a secret.

Whoever knows a webhook's address can write there. So it is in nothing that comes back from here:
errors of the HTTP libraries, which hold it, are part of no error of ours; what these libraries log
while a message is sent is dropped; a redirect, which would send the message elsewhere, is not
followed; and of an answer only the status is told, since it may repeat what it was sent.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

import requests
from pydantic import SecretStr
from urllib3.exceptions import HTTPError

_CONNECT_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 10.0
_LOGGERS: Final = ("urllib3.connectionpool", "urllib3.util.retry", "requests")
_LONGEST_WAIT: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        delivered: Whether the receiver has taken the message (2xx).
        words: What happened, in words; never the address.
        wait: How long the receiver wants to be left alone, if it says so.
    """

    delivered: bool
    words: str
    wait: timedelta | None = None


class _Silent(logging.Filter):
    """Drops what is logged by one thread."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self._thread


def post(
    url: SecretStr, document: Mapping[str, Any], *, seconds: float = _ANSWER_SECONDS
) -> Answer:
    """Send a message as JSON, once.

    Args:
        url: The address.
        document: The message.
        seconds: How long the answer may take.
    """
    with _unlogged():
        return _post(url.get_secret_value(), document, seconds)


def _post(url: str, document: Mapping[str, Any], seconds: float) -> Answer:
    timeouts = (min(seconds, _CONNECT_SECONDS), seconds)
    try:
        # The answer's body is not read: a receiver could send one without an end.
        with requests.post(
            url, json=document, timeout=timeouts, allow_redirects=False, stream=True
        ) as response:
            return _judged(response.status_code, response.headers.get("Retry-After", ""))
    except requests.Timeout:
        return Answer(delivered=False, words=f"the receiver did not answer within {seconds:g} s")
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        return Answer(
            delivered=False, words=f"the receiver cannot be reached ({type(error).__name__})"
        )


def _judged(status: int, retry_after: str) -> Answer:
    known = status in HTTPStatus.__members__.values()
    words = f"the receiver answered {status}{f' {HTTPStatus(status).phrase}' if known else ''}"
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Answer(delivered=True, words=words)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        words += ", a redirect, which is not followed: set the address that it leads to"
    wait = timedelta(seconds=int(retry_after)) if _is_count(retry_after) else None
    return Answer(delivered=False, words=words, wait=min(wait, _LONGEST_WAIT) if wait else None)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len("86400")


@contextmanager
def _unlogged() -> Iterator[None]:
    silent = _Silent()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(silent)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(silent)
