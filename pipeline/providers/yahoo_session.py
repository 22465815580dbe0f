"""yfinance's own way to Yahoo, watched: each request is counted and limited, each answer judged.

What belongs here: what must happen inside yfinance. Its cookies, crumbs, consent pages and browser
disguise are what Yahoo wants to see and are used as they are. What it makes of trouble is not: it
repeats refused requests at once, prints, and keeps caches in the user's home.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from curl_cffi.requests import Response, Session
from curl_cffi.requests import exceptions as curl
from yfinance.data import YfData

from pipeline.providers.errors import ProviderUnavailable, RequestTimedOut
from pipeline.providers.watch import Watch
from pipeline.providers.yahoo_chart import Document, decode

CHART: Final = "https://query2.finance.yahoo.com/v8/finance/chart/"
_CHART_PATH: Final = urlsplit(CHART).path
_WANTS_COOKIES: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_CONSENT_HOST: Final = "consent.yahoo.com"


class YahooSession(Session[Response]):
    """A browser-like session whose every request goes through a `Watch`.

    Args:
        watch: What it reports to.
        base_url: Replaces scheme and host of every address; paths are kept.
        timeout_seconds: How long an answer may take.
    """

    def __init__(self, watch: Watch, base_url: str | None, timeout_seconds: float) -> None:
        super().__init__(impersonate="chrome")
        self._watch = watch
        self._base_url = base_url and base_url.rstrip("/")
        self._patience = timeout_seconds

    def request(self, method: Any, url: str, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401
        """Send one request (curl_cffi's one way out), in its turn.

        Raises:
            ProviderError: There is no answer to a question about bars. Trouble with cookies goes to
                yfinance, which has other ways to get some, and bars come without them, too.
        """
        kwargs["timeout"] = self._patience
        received: list[Response] = []

        def send() -> object:
            response = super(YahooSession, self).request(method, self._moved(url), *args, **kwargs)
            self._watch.received(response.headers)  # type: ignore[arg-type]  # finds any case
            received.append(response)
            return self._judged(url, response)

        try:
            self._watch.send(send)
        except (ProviderUnavailable, RequestTimedOut) as error:
            if _is_chart(url):
                raise
            raise curl.ConnectionError(str(error)) from error
        return received[0]

    def _judged(self, url: str, response: Response) -> Document:
        """Keep a chart's document; the others are yfinance's business."""
        if not _is_chart(url) or response.status_code in _WANTS_COOKIES:
            return {}
        if (urlsplit(response.url).hostname or "").endswith(_CONSENT_HOST):
            return {}
        document = decode(self._watch.provider, response)
        self._watch.current.answers.append(document)
        return document

    def _moved(self, url: str) -> str:
        if self._base_url is None:
            return url
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        return f"{self._base_url}{parts.path or '/'}{query}"


class _Data(YfData):  # type: ignore[misc]  # yfinance is untyped
    """yfinance's cookies and crumbs, kept in the session only and not in the user's home."""

    _has_cookie = False

    def _save_cookie_curlCffi(self) -> bool:  # noqa: N802 - yfinance's name
        self._has_cookie = True
        return True

    def _load_cookie_curlCffi(self) -> bool:  # noqa: N802 - yfinance's name
        return self._has_cookie

    def _set_cookie_strategy(self, strategy: str, have_lock: bool = False) -> None:  # noqa: FBT001, FBT002
        self._has_cookie = False
        super()._set_cookie_strategy(strategy, have_lock)


class YahooCharts:
    """Asks Yahoo for charts. Nothing is sent yet.

    Args:
        watch: What every request reports to.
        base_url: Replaces scheme and host of every address.
        timeout_seconds: How long an answer may take.
    """

    def __init__(self, watch: Watch, base_url: str | None, timeout_seconds: float) -> None:
        logging.getLogger("yfinance").setLevel(logging.CRITICAL)  # its errors are raised as ours
        self._watch = watch
        self._session = YahooSession(watch, base_url, timeout_seconds)
        # yfinance has one for the whole process, whose session the latest client would replace.
        self._data = type.__call__(_Data, session=self._session)

    def ask(self, path: str, parameters: dict[str, str], weight: int) -> Document:
        """Return the decoded document about a chart, which says of itself that it is no error.

        Args:
            path: The symbol, quoted for a URL.
            parameters: The question.
            weight: What a request costs against the limit.

        Raises:
            ProviderError: There is no answer.
        """
        with self._watch.exchanging(weight) as exchanged:
            response = self._data.get(CHART + path, params=parameters)
            if not exchanged.answers:
                return decode(self._watch.provider, response)
        document: Document = exchanged.answers[-1]  # type: ignore[assignment]  # `decode` made it
        return document

    def close(self) -> None:
        """Give back connections."""
        self._session.close()


def _is_chart(url: str) -> bool:
    return urlsplit(url).path.startswith(_CHART_PATH)
