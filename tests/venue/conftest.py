"""One venue process for all tests, and real ccxt clients pointed at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import ccxt
import pytest

from venue import VenueProcess
from venue.limits import SlidingWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Ccxt = Any  # ccxt is untyped
NOW = 1_717_243_230_000  # 2024-06-01T12:00:30Z, half a minute into the forming bar
LISTED = 1_709_283_960_000  # 2024-03-01T09:06:00Z
OUTAGE = (1_715_000_040_000, 1_715_003_640_000)
HALT = (1_716_000_000_000, 1_716_000_600_000)

_BTC = {"listed_at": LISTED, "price": 60000, "quiet": 0.3, "halts": [list(HALT)]}
_THIN = {"listed_at": LISTED, "price": 0.02, "quiet": 0.95}
_LIMITLESS = {"requests_per_second": 0, "outages": [list(OUTAGE)]}

CONFIG: dict[str, Any] = {
    "now": NOW,
    "speed": 0,
    "exchanges": {
        "binance": {
            **_LIMITLESS,
            "markets": {
                "BTC-USDT": _BTC,
                "THIN-USDT": _THIN,
                "BTC-USDT-PERP": {**_BTC, "volume_decimals": 3},
            },
        },
        "bitfinex": {
            **_LIMITLESS,
            "markets": {"BTC-USD": _BTC, "THIN-USD": _THIN, "BTC-USDT-PERP": _BTC},
        },
        "kraken": {**_LIMITLESS, "markets": {"BTC-USD": _BTC, "THIN-USD": _THIN}},
        "coinbase": {**_LIMITLESS, "markets": {"BTC-USD": _BTC, "THIN-USD": _THIN}},
    },
}


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch) -> None:
    """All requests come at once, however slowly they are answered here."""
    monkeypatch.setattr(
        "venue.exchange.SlidingWindow", lambda budget: SlidingWindow(budget, lambda: 0.0)
    )


@pytest.fixture(scope="session")
def process() -> Iterator[VenueProcess]:
    with VenueProcess(CONFIG) as running:
        yield running


@pytest.fixture
def venue(process: VenueProcess) -> VenueProcess:
    """The venue without faults, without memory, and at `NOW`."""
    process.clear_faults()
    process.clear_requests()
    process.set_clock(now=NOW, speed=0)
    return process


def pointed_at(url: str, name: str) -> Any:
    """Return an unmodified ccxt exchange whose hosts are replaced by the venue's."""
    exchange = getattr(ccxt, name)({"enableRateLimit": False, "timeout": 3000})
    addresses = exchange.urls["api"]
    for key, address in addresses.items():
        addresses[key] = f"{url}/{name}{urlsplit(address).path}"
    exchange.load_markets()
    return exchange


@pytest.fixture(scope="session")
def _clients(process: VenueProcess) -> dict[str, Any]:
    return {name: pointed_at(process.url, name) for name in CONFIG["exchanges"]}


@pytest.fixture
def client(venue: VenueProcess, _clients: dict[str, Any]) -> Callable[[str], Any]:
    """A function from an exchange's name to its ccxt client with loaded markets."""
    return _clients.__getitem__
