"""Where recorded market data lies, and how tests that need it skip without it."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "market-data"
BITFINEX = FOLDER / "Zombie-3000_Bitfinex-historical-data"
BITTREX = FOLDER / "freqtrade_freqtrade"
MARKET_LISTS = FOLDER / "bmoscon_cryptofeed" / "sample_data"
NAUTILUS = FOLDER / "nautechsystems_nautilus_trader"
ADAPTERS = NAUTILUS / "crates" / "adapters"
FMP = FOLDER / "OpenBB-finance_OpenBB" / "decoded_bodies"
YAHOO = FOLDER / "gadicc_node-yahoo-finance2/tests/fixtures/http"
ALPHA_VANTAGE = FOLDER / "RomelTorres_alpha_vantage/test_data"
TRANSCRIBED = FOLDER / "_transcribed"
BINANCE = NAUTILUS / "tests/integration_tests/adapters/binance/resources/http_responses"

needed = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"recorded market data is absent: expected it at {FOLDER}"
)
