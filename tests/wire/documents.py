"""What the tests of documents share: a venue with companies and coins, and a key that is marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from pipeline.providers.limiter import Unlimited
from pipeline.providers.options import ProviderOptions
from pipeline.providers.protocol import FundamentalsProvider
from pipeline.providers.registry import open_fundamentals
from pipeline.providers.table import CAPABILITIES
from tests.venue import recordings
from venue import VenueProcess

NOW: Final = datetime(2024, 6, 3, 18, 0, 30, tzinfo=UTC)
KEY: Final = "MARKED/FAKE+KEY42X"
KEYS: Final = ("FMP_API_KEY", "COINGECKO_DEMO_API_KEY", "ALPHAVANTAGE_API_KEY")
_BIG: Final = {"revenue": 274.5e9, "shares": 15.3e9, "price": 180, "growth": 0.09, "margin": 0.24}
COMPANIES: Final = {
    "ACME": {**_BIG, "name": "Acme Inc.", "year_end": "09-28", "dividend": 1.0},
    "BRK-B": {**_BIG, "name": "Berkshire Hathaway Inc."},
    "NOVO": {**_BIG, "name": "Novo Nordisk A/S", "currency": "DKK", "quoted_in": "USD"},
}
COINS: Final = {
    "acmecoin": {"symbol": "acme", "name": "Acmecoin", "price": 2.5, "supply": 1e9},
    "zcoin": {"symbol": "z", "name": "Z", "price": 9.0, "supply": 2e6, "max_supply": 3e6},
}
SUBJECTS: Final = {
    **dict.fromkeys(("alpha_vantage", "fmp", "yahoo"), "ACME"),
    "coingecko": "acmecoin",
}
"""A name that each vendor knows."""
RECORDED: Final[Mapping[str, Mapping[str, Path]]] = {
    "fmp": {
        f"/stable/{name}?symbol=AAPL": recordings.FMP / f"{name}_AAPL.json"
        for name in CAPABILITIES["fmp"].documents
    },
    "yahoo": {
        "/v10/finance/quoteSummary/AAPL": recordings.YAHOO / "quoteSummary-all-AAPL.json",
        "/v10/finance/quoteSummary/QQQ": recordings.YAHOO
        / "quoteSummary-balanceSheetHistory-QQQ.json",
        "/ws/fundamentals-timeseries/v1/finance/timeseries/AAPL": recordings.YAHOO
        / "fundamentalsTimeSeries-AAPL-all-annual.json",
    },
    "alpha_vantage": {
        "/query?function=OVERVIEW&symbol=IBM": recordings.ALPHA_VANTAGE / "mock_company_overview",
        "/query?function=INCOME_STATEMENT&symbol=IBM": recordings.ALPHA_VANTAGE
        / "mock_fundamental_data",
        "/query?function=OVERVIEW&symbol=MSFT": recordings.TRANSCRIBED
        / "alphavantage_OVERVIEW_MSFT_2023-09.json",
    },
    "coingecko": {
        "/api/v3/coins/ethereum": recordings.TRANSCRIBED
        / "coingecko_coins_ethereum_market_data_2025-02-14.json"
    },
}
DOCUMENTS: Final = [(name, one) for name in SUBJECTS for one in CAPABILITIES[name].documents]
DocumentsOpener = Callable[..., FundamentalsProvider]


def exchanges() -> dict[str, Any]:
    """Return the venue's sections: what is invented, and what is recorded where that is there."""
    there = recordings.FOLDER.is_dir()
    known = {"coingecko": {"coins": COINS}}
    return {
        name: {
            **known.get(name, {"companies": COMPANIES}),
            "account": {"keys": [KEY]},
            "recorded": {url: str(file) for url, file in RECORDED[name].items()} if there else {},
        }
        for name in SUBJECTS
    }


@contextmanager
def opening_documents(venue: VenueProcess) -> Iterator[DocumentsOpener]:
    """Give a function that opens clients at a venue, by name and options; they are closed here."""
    with ExitStack() as stack:

        def open_at_venue(name: str, **options: Any) -> FundamentalsProvider:
            limiter = options.pop("limiter", Unlimited())
            given = {
                "base_url": f"{venue.url}/{name}",
                "timeout_seconds": 3.0,
                "asset_classes": CAPABILITIES[name].asset_classes[:1],
                "keys": {variable: SecretStr(KEY) for variable in KEYS},
                **options,
            }
            opened = open_fundamentals(name, ProviderOptions(source=name, **given), limiter)
            stack.callback(opened.close)
            return opened

        yield open_at_venue
