"""Alpha Vantage over HTTP, with a key that nobody gets to see.

What belongs here: sending. The vendor wants the key in the query of the URL, and URLs are
everywhere: in requests, answers, exceptions and logs. So the key is added by the adapter, right
before a request is sent, and what comes back through it is looked after:

- exceptions of the HTTP libraries hold the URL: none of them is part of any error from here,
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
from typing import Final
from urllib.parse import quote

import requests
from pydantic import SecretStr
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from pipeline.providers.errors import ProviderError, ProviderUnavailable, RequestTimedOut
from pipeline.providers.headers import Headers

VENDOR: Final = "https://www.alphavantage.co"
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


class _AddsKey(HTTPAdapter):
    """Adds the key to the address that goes over the wire, and to nothing else.

    Args:
        key: The key.
        connections: How many requests are under way at once.
    """

    def __init__(self, key: SecretStr, connections: int) -> None:
        super().__init__(pool_maxsize=connections)
        self._key = key

    def request_url(
        self, request: requests.PreparedRequest, proxies: Mapping[str, str] | None
    ) -> str:
        address = super().request_url(request, proxies)
        return f"{address}&apikey={quote(self._key.get_secret_value(), safe='')}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, without what was sent, and without the key."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)


class KeyedSession:
    """Sends questions to Alpha Vantage.

    Args:
        provider: The provider's name, for errors.
        key: The key.
        base_url: Replaces scheme and host of the vendor.
        timeout_seconds: How long an answer may take to begin.
        connections: How many requests are under way at once.
    """

    def __init__(
        self,
        provider: str,
        key: SecretStr,
        *,
        base_url: str | None,
        timeout_seconds: float,
        connections: int,
    ) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_HIDES_KEYS)
        self._provider = provider
        self._key = key
        self._address = f"{(base_url or VENDOR).rstrip('/')}/query"
        self._patience = timeout_seconds
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _AddsKey(key, connections))

    def get(self, question: Mapping[str, str]) -> Answer:
        """Ask, and return the whole answer, whatever its status.

        Raises:
            RequestTimedOut, ProviderUnavailable: There is none.
        """
        # Raised after the handlers have ended, an error has no context.
        answer = self._answer(question)
        if isinstance(answer, ProviderError):
            raise answer
        return answer

    def _answer(self, question: Mapping[str, str]) -> Answer | ProviderError:
        try:
            response = self._session.get(
                self._address, params=question, timeout=self._patience, allow_redirects=False
            )
            return Answer(response.status_code, response.headers, self._without_key(response))
        except requests.Timeout:
            return RequestTimedOut(self._provider, f"no answer within {self._patience:g} s")
        except (requests.RequestException, HTTPError, OSError) as error:
            what = f"the connection failed or ended early ({type(error).__name__})"
            return ProviderUnavailable(self._provider, what)

    def hide(self, text: str) -> str:
        """Return a text without the key, in one line."""
        text = re.sub(self._pattern, _HIDDEN, text, flags=re.IGNORECASE)
        return _IN_WORDS.sub(rf"\1{_HIDDEN}", " ".join(text.split()))

    def _without_key(self, response: requests.Response) -> bytes:
        hidden: bytes = re.sub(
            self._pattern.encode(), _HIDDEN.encode(), response.content, flags=re.IGNORECASE
        )
        return hidden

    @property
    def _pattern(self) -> str:
        """The key as it is, and as it looks in a URL."""
        key = self._key.get_secret_value()
        return "|".join(re.escape(one) for one in {key, quote(key, safe="")})

    def close(self) -> None:
        """Give back connections."""
        self._session.close()
