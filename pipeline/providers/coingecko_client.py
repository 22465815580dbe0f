"""Fundamentals of coins from CoinGecko.

What belongs here: `FundamentalsProvider` for `/coins/{id}`, and what the vendor's refusals mean.
What the document says is read elsewhere (`pipeline.fundamentals`).

A coin is asked for by CoinGecko's own id (`ethereum`): hundreds of coins share a ticker. No key is
needed; that of the free demo plan goes into a header, and raises the limit.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

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

VENDOR: Final = "https://api.coingecko.com"
_HEADER: Final = "x-cg-demo-api-key"
_QUESTION: Final = {
    "localization": "false",
    "tickers": "false",
    "community_data": "false",
    "developer_data": "false",
}
_UNKNOWN: Final = "coin not found"
_NOT_PAID: Final = 10_005
_WRONG_KEY: Final = frozenset({10_002, 10_010, 10_011})
"""The vendor's own codes."""


def open_client(name: str, options: ProviderOptions, limiter: Limiter) -> CoinGeckoProvider:
    """Return a client for CoinGecko; see `registry.open_fundamentals`."""
    return CoinGeckoProvider(name, options, limiter=limiter)


class CoinGeckoProvider(VendorProvider):
    """A `FundamentalsProvider` for CoinGecko, safe to call from many threads.

    Args:
        name: The provider's name in the universe.
        options: How it is configured; `keys` may hold a key.
        limiter: Shared by everything that sends from here.
    """

    def __init__(
        self,
        name: str,
        options: ProviderOptions,
        *,
        limiter: Limiter,
    ) -> None:
        (variable,) = options.capabilities(name).optional_keys
        value = options.keys.get(variable)
        key = Key(value, "header", _HEADER) if value else None
        super().__init__(name, options, limiter, vendor=VENDOR, key=key)

    def fetch_document(self, symbol: str, document: str) -> str | None:
        """Ask once for what is known of a coin.

        Args:
            symbol: CoinGecko's own id of the coin: `ethereum`.
            document: One of `capabilities.documents`.

        Returns:
            The body; None for a coin that CoinGecko does not know.

        Raises:
            ProviderError: There is no answer to this question.
            ValueError: There is no such document.
        """
        self._check_document(document)
        return self._ask(f"/api/v3/coins/{quote(symbol, safe='')}", _QUESTION, self._read)

    def _read(self, answer: Answer, now: datetime) -> str | None:
        text, document = decoded(answer.body)
        told = document if isinstance(document, dict) else {}
        if answer.status == HTTPStatus.NOT_FOUND and told.get("error") == _UNKNOWN:
            return None
        if error := self._refusal(answer, now, told):
            raise error
        self._check_status(answer, now)
        if "id" not in told:
            raise MalformedAnswer(self.name, "the body is no whole document about a coin")
        return text

    def _refusal(
        self, answer: Answer, now: datetime, document: dict[str, Any]
    ) -> ProviderError | None:
        """Return what the vendor's own code or words mean; None for neither."""
        status = document.get("status")
        told = status if isinstance(status, dict) else document
        code = told.get("error_code")
        words = told.get("error_message") or document.get("error")
        what = shortened(self._session.hide(str(words or f"status {answer.status}")))
        if HTTPStatus.TOO_MANY_REQUESTS in {answer.status, code}:
            return RateLimited(self.name, what, retry_after=read_retry_after(answer.headers, now))
        if code == _NOT_PAID:
            return RequestRefused(self.name, what, "leave this provider out for this instrument")
        if answer.status == HTTPStatus.UNAUTHORIZED or code in _WRONG_KEY:
            return AuthenticationFailed(
                self.name, what, "check COINGECKO_DEMO_API_KEY, or unset it"
            )
        if words and answer.status == HTTPStatus.OK:
            return MalformedAnswer(self.name, f"answers in words: {what}")
        return None
