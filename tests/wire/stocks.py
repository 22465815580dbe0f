"""What tests of clients for stocks share: a venue in New York, windows, prepared answers."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from pydantic import SecretStr
from requests import PreparedRequest, Response

from pipeline.intervals import Interval
from pipeline.providers.alpaca_client import AlpacaProvider

NOW = datetime(2024, 6, 3, 18, 0, 30, tzinfo=UTC)  # a Monday, 14:00 in New York
LISTED = "2024-03-04T09:00:00Z"
KEY, SECRET = "PKMARKEDFAKEKEY00001", "markedfakesecret/0123456789+abcdef"
_STOCK = {"listed_at": LISTED, "price": 180, "volume": 900}
MARKETS = {
    "AAPL": {**_STOCK, "name": "Apple Inc. Common Stock"},
    "AAPL@iex": {**_STOCK, "quiet": 0.5, "volume": 40},
    "BRK.B": {**_STOCK, "quiet": 0.4},
    "GONE": {**_STOCK, "delisted_at": "2024-04-10T16:00:00Z"},
    "SPY": {**_STOCK, "name": "SPDR S&P 500 ETF Trust", "listed_on": "ARCA"},
}


def day(text: str, minutes: int) -> Interval:
    start = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return Interval(start, start + timedelta(minutes=minutes))


HOUR = day("2024-05-31T14:00", 60)
TWO_WEEKS = day("2024-05-13T00:00", 14 * 1440)
AlpacaOpener = Callable[..., AlpacaProvider]


def keys(key: str = KEY, secret: str = SECRET) -> dict[str, SecretStr]:
    """Return both keys as options have them."""
    return {"APCA_API_KEY_ID": SecretStr(key), "APCA_API_SECRET_KEY": SecretStr(secret)}


class Answers:
    """A data host that answers with prepared documents, as the real one would if it were broken."""

    def __init__(self, provider: AlpacaProvider, *documents: object) -> None:
        self.left = list(documents)
        self.asked: list[str] = []
        provider._data._session.get_adapter = self._adapter  # type: ignore[method-assign]

    def _adapter(self, url: str) -> Any:
        self.asked.append(url)
        return self

    def send(self, request: PreparedRequest, **_: object) -> Response:
        response = Response()
        response.status_code, response.url, response.request = 200, request.url or "", request
        response.raw = io.BytesIO(orjson.dumps(self.left.pop(0)))
        return response

    def close(self) -> None:
        """Nothing to give back."""


def bar(minute: int) -> dict[str, Any]:
    stamp = f"{HOUR.start + timedelta(minutes=minute):%Y-%m-%dT%H:%M:%SZ}"
    return {"t": stamp, "o": 1, "h": 2, "l": 1, "c": 1.5, "v": 10, "n": 2, "vw": 1.2}


def page(token: str | None, **bars: object) -> dict[str, object]:
    return {"bars": bars, "next_page_token": token}
