"""yfinance's own way to Yahoo, watched: each request is counted and limited, each answer judged.

What belongs here: what must happen inside yfinance. Its cookies, crumbs, consent pages and browser
disguise are what Yahoo wants to see and are used as they are. What it makes of trouble is not: it
repeats refused requests at once, prints, and keeps caches in the user's home.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from curl_cffi.requests import Response, Session
from curl_cffi.requests import exceptions as curl
from yfinance.data import YfData

from pipeline.providers import yahoo_documents
from pipeline.providers.errors import ProviderUnavailable, RequestTimedOut
from pipeline.providers.watch import Watch
from pipeline.providers.yahoo_chart import decode

CHART: Final = "https://query2.finance.yahoo.com/v8/finance/chart/"
Judge = Callable[[str, Response], object]
"""From a provider's name and a response to the answer; raises `ProviderError` for what is none."""
_JUDGES: Final[Mapping[str, Judge]] = {
    urlsplit(CHART).path: decode,
    urlsplit(yahoo_documents.SUMMARY).path: yahoo_documents.read,
    urlsplit(yahoo_documents.SERIES).path: yahoo_documents.read,
}
"""Who judges answers, by what the path of a question begins with."""
_WANTS_COOKIES: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_CONSENT_HOST: Final = "consent.yahoo.com"


class _AnsweredError(Exception):
    """An answer has come whose status is an error's: yfinance would ask the same again."""


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
            ProviderError: There is no answer to a question. Trouble with cookies goes to yfinance,
                which has other ways to get some, and bars come without them, too.
            _AnsweredError: There is one already.
        """
        kwargs["timeout"] = self._patience
        received: list[Response] = []

        def send() -> object:
            response = super(YahooSession, self).request(method, self._moved(url), *args, **kwargs)
            self._watch.received(response.headers)  # type: ignore[arg-type]  # finds any case
            received.append(response)
            self._judge(url, response)
            return {}

        try:
            self._watch.send(send)
        except (ProviderUnavailable, RequestTimedOut) as error:
            if _judge_of(url):
                raise
            raise curl.ConnectionError(str(error)) from error
        if self._watch.current.answers and received[0].status_code >= HTTPStatus.BAD_REQUEST:
            raise _AnsweredError
        return received[0]

    def _judge(self, url: str, response: Response) -> None:
        """Keep the answer to a question; all else is yfinance's business."""
        judge = _judge_of(url)
        if judge is None or response.status_code in _WANTS_COOKIES:
            return
        if (urlsplit(response.url).hostname or "").endswith(_CONSENT_HOST):
            return
        self._watch.current.answers.append(judge(self._watch.provider, response))

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


class YahooData:
    """Asks Yahoo. Nothing is sent yet.

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

    def ask(self, address: str, parameters: dict[str, str], weight: int) -> Any:  # noqa: ANN401
        """Return the answer to a question, as who judges such answers makes it.

        Args:
            address: Whole and quoted, without parameters.
            parameters: The question.
            weight: What a request costs against the limit.

        Raises:
            ProviderError: There is no answer.
        """
        with self._watch.exchanging(weight) as exchanged:
            try:
                response = self._data.get(address, params=parameters)
            except _AnsweredError:
                pass
            else:
                judge = _judge_of(address)
                if judge and not exchanged.answers:
                    exchanged.answers.append(judge(self._watch.provider, response))
        return exchanged.answers[-1]

    def close(self) -> None:
        """Give back connections."""
        self._session.close()


def _judge_of(url: str) -> Judge | None:
    path = urlsplit(url).path
    return next((judge for begins, judge in _JUDGES.items() if path.startswith(begins)), None)
