"""A venue that serves what Bitfinex published, as Bitfinex served it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.realdata.published import FOLDER
from venue import VenueProcess


@pytest.fixture(scope="module")
def bitfinex(market_data: Path, request: pytest.FixtureRequest) -> Iterator[VenueProcess]:
    """Serves the files that the module names in MARKETS, without a limit."""
    root = market_data / FOLDER
    markets = {
        symbol: {"files": [str(root / file) for file in files]}
        for symbol, files in request.module.MARKETS.items()
    }
    exchange = {"requests_per_second": 0, "markets": markets}
    with VenueProcess({"exchanges": {"bitfinex": exchange}}) as process:
        yield process
