"""CoinGecko: documents about coins by their ids, `/api/v3/coins/ethereum`.

No key is wanted; one that is sent, in the header of the demo plan, must be right. Amounts are told
in several currencies, supplies in coins.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from venue.dialects.base import Answer, RefusedError, answer
from venue.dialects.documents import DocumentDialect, Subject
from venue.limits import Budget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COIN = re.compile(r"^/api/v3/coins/([^/]+)$")
_HEADER = "x-cg-demo-api-key"
_RATES = {"aed": 3.67, "btc": 1 / 60_000, "eur": 0.92, "usd": 1.0}
_TOO_MANY = (
    "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing to "
    "subscribe to our API plans for higher rate limits."
)
_NOT_PAID = (
    "This request is limited to PRO API subscribers. Please visit "
    "https://www.coingecko.com/en/api/pricing to subscribe to our API plans."
)


def _status(code: int, message: str, status: int, **headers: str) -> Answer:
    document = {"status": {"error_code": code, "error_message": message}}
    return answer(document, status, **headers)


class CoinGecko(DocumentDialect):
    """CoinGecko's documents about coins."""

    name = "coingecko"
    budget = Budget(30, 60.0)

    def admit(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], keys: Sequence[str]
    ) -> None:
        """Want a right key, if there is one."""
        del path, query
        key = headers.get(_HEADER)
        if key is not None and keys and key not in keys:
            raise RefusedError(_status(10_002, "Invalid API Key.", 401))

    def subject(self, path: str, query: Mapping[str, str]) -> Subject | None:
        """Read `/api/v3/coins/ethereum`."""
        del query
        match = _COIN.match(path)
        return Subject(match[1], "coin") if match else None

    def document(
        self,
        subject: Subject,
        about: Any,  # noqa: ANN401 - a Coin
        query: Mapping[str, str],
        now_ms: int,
    ) -> Answer:
        """Return what is known of a coin."""
        del query
        price, day = about.price_at(now_ms), datetime.fromtimestamp(now_ms / 1000, UTC).date()

        def in_each(dollars: float) -> dict[str, float]:
            return {name: round(dollars * rate, 8) for name, rate in _RATES.items()}

        bound = about.max_supply or about.supply
        market = {
            "current_price": in_each(price),
            "market_cap": in_each(round(price * about.supply)),
            "market_cap_rank": about.rank,
            "fully_diluted_valuation": in_each(round(price * bound)),
            "total_volume": in_each(about.volume),
            "price_change_percentage_24h": 0.5,
            "total_supply": about.supply,
            "max_supply": about.max_supply,
            "max_supply_infinite": about.max_supply is None,
            "circulating_supply": about.supply,
            "last_updated": f"{day}T00:00:00.000Z",
        }
        return answer(
            {
                "id": subject.name,
                "symbol": about.symbol,
                "name": about.name,
                "asset_platform_id": None,
                "categories": ["Layer 1 (L1)"],
                "market_cap_rank": about.rank,
                "market_data": market,
                "last_updated": f"{day}T00:00:00.000Z",
            }
        )

    def unknown_subject(self, subject: Subject, query: Mapping[str, str]) -> Answer:
        """Answer 404."""
        del subject, query
        return answer({"error": "coin not found"}, 404)

    def refusal_in_a_body(self) -> Answer:
        """Say with status 200 that there were too many."""
        return _status(429, _TOO_MANY, 200)

    def limited(self, retry_after: float, now_ms: int) -> Answer:
        """Answer 429."""
        del now_ms
        return _status(429, _TOO_MANY, 429, Retry_After=str(round(retry_after)))

    def not_paid(self) -> Answer:
        """Answer as to who asks for what only paying clients have."""
        return _status(10_005, _NOT_PAID, 401)
