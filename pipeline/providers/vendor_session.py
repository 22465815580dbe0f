"""A vendor over plain HTTP, with a key that nobody gets to see.

What belongs here: sending. A vendor may want its key in the query of the URL, and URLs are
everywhere: in requests, answers, exceptions and logs. So the key is added by the adapter, right
before a request is sent, and what comes back through it is looked after:

- exceptions of the HTTP libraries hold the request: none of them is part of any error from here,
  neither as its cause nor as its context;
- urllib3 logs URLs when debugging: its log is told to hide what follows `apikey=`;
- answers may repeat the key: it is taken out of them;
- a redirect would carry the key elsewhere: none is followed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote

import requests
from pydantic import SecretStr
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from pipeline.providers.errors import ProviderError, ProviderUnavailable, RequestTimedOut
from pipeline.providers.headers import Headers

_HIDDEN: Final = "***"
_IN_QUERY: Final = re.compile(r"(apikey=)[^&\s\"']+")
_IN_WORDS: Final = re.compile(r"(\bAPI key as )\S+", re.IGNORECASE)


class _HidesKeys(logging.Filter):
    """Keeps keys out of what urllib3 logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _IN_QUERY.sub(rf"\1{_HIDDEN}", one) if isinstance(one, str) else one
                for one in record.args
            )
        return True


_HIDES_KEYS: Final = _HidesKeys()
_LOGGERS: Final = ("urllib3.connectionpool", "urllib3.util.retry")


@dataclass(frozen=True, slots=True)
class Key:
    """A vendor's key.

    Attributes:
        value: The key.
        place: Where the vendor wants it: in the query as `apikey`, or in a header.
        name: The header's name.
    """

    value: SecretStr
    place: Literal["query", "header"] = "query"
    name: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, without what was sent, and without the key."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)


class _AddsKey(HTTPAdapter):
    """Adds the key, if there is one, to what goes over the wire.

    Args:
        key: The key.
        connections: How many requests are under way at once.
    """

    def __init__(self, key: Key | None, connections: int) -> None:
        super().__init__(pool_maxsize=connections)
        self._key = key

    def request_url(
        self, request: requests.PreparedRequest, proxies: Mapping[str, str] | None
    ) -> str:
        address = super().request_url(request, proxies)
        if self._key is None or self._key.place != "query":
            return address
        return f"{address}&apikey={quote(self._key.value.get_secret_value(), safe='')}"

    def add_headers(self, request: requests.PreparedRequest, **kwargs: Any) -> None:  # noqa: ANN401
        super().add_headers(request, **kwargs)
        if self._key is not None and self._key.place == "header":
            request.headers[self._key.name] = self._key.value.get_secret_value()


class VendorSession:
    """Sends questions to a vendor.

    Args:
        provider: The provider's name, for errors.
        address: Scheme and host, and what all paths begin with.
        key: The key; None where the vendor wants none.
        timeout_seconds: How long an answer may take to begin.
        connections: How many requests are under way at once.
    """

    def __init__(
        self,
        provider: str,
        address: str,
        key: Key | None = None,
        *,
        timeout_seconds: float,
        connections: int,
    ) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_HIDES_KEYS)
        self._provider = provider
        self._key = key
        self._address = address.rstrip("/")
        self._patience = timeout_seconds
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _AddsKey(key, connections))

    def get(self, path: str, question: Mapping[str, str]) -> Answer:
        """Ask, and return the whole answer, whatever its status.

        Args:
            path: What follows the address, quoted for a URL.
            question: The query, without the key; never empty.

        Raises:
            RequestTimedOut, ProviderUnavailable: There is none.
        """
        # Raised after the handlers have ended, an error has no context.
        answer = self._answer(path, question)
        if isinstance(answer, ProviderError):
            raise answer
        return answer

    def _answer(self, path: str, question: Mapping[str, str]) -> Answer | ProviderError:
        try:
            response = self._session.get(
                f"{self._address}{path}",
                params=question,
                timeout=self._patience,
                allow_redirects=False,
            )
            body = self._without_key(response.content)
            return Answer(response.status_code, response.headers, body)
        except requests.Timeout:
            return RequestTimedOut(self._provider, f"no answer within {self._patience:g} s")
        except (requests.RequestException, HTTPError, OSError) as error:
            what = f"the connection failed or ended early ({type(error).__name__})"
            return ProviderUnavailable(self._provider, what)

    def hide(self, text: str) -> str:
        """Return a text without the key, in one line."""
        if self._key is not None:
            text = re.sub(_spelled(self._key), _HIDDEN, text, flags=re.IGNORECASE)
        return _IN_WORDS.sub(rf"\1{_HIDDEN}", " ".join(text.split()))

    def _without_key(self, body: bytes) -> bytes:
        if self._key is None:
            return body
        return re.sub(_spelled(self._key).encode(), _HIDDEN.encode(), body, flags=re.IGNORECASE)

    def close(self) -> None:
        """Give back connections."""
        self._session.close()


def _spelled(key: Key) -> str:
    """Return a pattern of a key as it is, and as it looks in a URL."""
    value = key.value.get_secret_value()
    return "|".join(re.escape(one) for one in {value, quote(value, safe="")})
