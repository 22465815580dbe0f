"""Our own clients against the local venue, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from pipeline.bars import BAR_SCHEMA
from pipeline.intervals import Interval
from pipeline.providers.alpaca_client import AlpacaProvider
from pipeline.providers.alpha_vantage_client import AlphaVantageProvider
from pipeline.providers.capabilities import RateLimit
from pipeline.providers.ccxt_client import CcxtProvider
from pipeline.providers.limiter import Unlimited
from pipeline.providers.options import ProviderOptions
from pipeline.providers.yahoo_client import YahooProvider
from tests.wire import alpha_vantage, stocks, yahoo
from venue import VenueProcess

NOW = datetime(2024, 6, 1, 12, 0, 30, tzinfo=UTC)
LISTED = datetime(2024, 3, 1, 9, 6, tzinfo=UTC)
UNHURRIED = RateLimit(10_000, 1.0)
EXCHANGES = ("binance", "bitfinex", "coinbase", "kraken")
QUOTES = {"binance": "USDT"}

_MARKETS = {
    "BTC": {"listed_at": LISTED.isoformat(), "price": 60000, "quiet": 0.3},
    "THIN": {"listed_at": LISTED.isoformat(), "price": 0.02, "quiet": 0.95},
}


def _exchange(name: str) -> dict[str, Any]:
    quote = QUOTES.get(name, "USD")
    markets = {f"{base}-{quote}": market for base, market in _MARKETS.items()}
    if name in {"binance", "bitfinex"}:
        markets["BTC-USDT-PERP"] = {**_MARKETS["BTC"], "volume_decimals": 3}
    return {"requests_per_second": 0, "markets": markets}


@pytest.fixture(scope="session")
def wire_process() -> Iterator[VenueProcess]:
    config = {
        "now": NOW.isoformat(),
        "speed": 0,
        "exchanges": {name: _exchange(name) for name in EXCHANGES},
    }
    with VenueProcess(config) as running:
        yield running


@pytest.fixture
def venue(wire_process: VenueProcess) -> VenueProcess:
    """The venue without faults and without memory, at `NOW`."""
    wire_process.clear_faults()
    wire_process.clear_requests()
    wire_process.set_clock(now=NOW.isoformat(), speed=0)
    return wire_process


Opener = Callable[..., CcxtProvider]


@pytest.fixture
def opened(venue: VenueProcess) -> Iterator[Opener]:
    """A function from an exchange's name to a provider at the venue, with its markets listed."""
    providers: list[CcxtProvider] = []

    def open_at_venue(name: str, *, listed: bool = True, **options: Any) -> CcxtProvider:
        host = options.pop("host", name)
        limiter = options.pop("limiter", Unlimited())
        options = {"limit": UNHURRIED, "timeout_seconds": 2.0, **options}
        configured = ProviderOptions(source=name, base_url=f"{venue.url}/{host}", **options)
        provider = CcxtProvider(name, configured, limiter=limiter, clock=lambda: NOW)
        providers.append(provider)
        if listed:
            provider.markets()
            venue.clear_requests()
        return provider

    yield open_at_venue
    for provider in providers:
        provider.close()


@pytest.fixture(scope="session")
def stock_process() -> Iterator[VenueProcess]:
    section = {
        "requests_per_second": 0,
        "markets": stocks.MARKETS,
        "account": {"keys": [stocks.KEY, stocks.SECRET]},
    }
    config = {"now": stocks.NOW.isoformat(), "speed": 0, "exchanges": {"alpaca": section}}
    with VenueProcess(config) as running:
        yield running


@pytest.fixture
def stock_venue(stock_process: VenueProcess) -> VenueProcess:
    """The venue of stocks without faults and without memory, at `stocks.NOW`."""
    stock_process.clear_faults()
    stock_process.clear_requests()
    stock_process.set_clock(now=stocks.NOW.isoformat(), speed=0)
    return stock_process


@pytest.fixture
def alpaca(stock_venue: VenueProcess) -> Iterator[stocks.AlpacaOpener]:
    """A function that opens a client of Alpaca at the venue, with its list of assets loaded."""
    providers: list[AlpacaProvider] = []

    def open_at_venue(*, listed: bool = True, **options: Any) -> AlpacaProvider:
        limiter = options.pop("limiter", Unlimited())
        standard = {
            "limit": UNHURRIED,
            "timeout_seconds": 2.0,
            "base_url": f"{stock_venue.url}/alpaca",
            "asset_classes": ("equity", "etf"),
            "keys": stocks.keys(),
        }
        configured = ProviderOptions(source="alpaca", **{**standard, **options})
        provider = AlpacaProvider("alpaca", configured, limiter=limiter, clock=lambda: stocks.NOW)
        providers.append(provider)
        if listed:
            provider.markets()
            stock_venue.clear_requests()
        return provider

    yield open_at_venue
    for provider in providers:
        provider.close()


@pytest.fixture(scope="session")
def yahoo_process() -> Iterator[VenueProcess]:
    section = {"requests_per_second": 0, "markets": yahoo.MARKETS}
    config = {"now": yahoo.NOW.isoformat(), "speed": 0, "exchanges": {"yahoo": section}}
    with VenueProcess(config) as running:
        yield running


@pytest.fixture
def yahoo_venue(yahoo_process: VenueProcess) -> VenueProcess:
    """The venue of Yahoo without faults and without memory, at `yahoo.NOW`."""
    yahoo_process.clear_faults()
    yahoo_process.clear_requests()
    yahoo_process.set_clock(now=yahoo.NOW.isoformat(), speed=0)
    return yahoo_process


@pytest.fixture
def yahoo_client(yahoo_venue: VenueProcess) -> Iterator[yahoo.YahooOpener]:
    """A function that opens a client of Yahoo at the venue."""
    providers: list[YahooProvider] = []

    def open_at_venue(**options: Any) -> YahooProvider:
        limiter = options.pop("limiter", Unlimited())
        now = options.pop("now", yahoo.NOW)
        standard = {
            "limit": UNHURRIED,
            "timeout_seconds": 2.0,
            "base_url": f"{yahoo_venue.url}/yahoo",
        }
        configured = ProviderOptions(source="yahoo", **{**standard, **options})
        provider = YahooProvider("yahoo", configured, limiter=limiter, clock=lambda: now)
        providers.append(provider)
        return provider

    yield open_at_venue
    for provider in providers:
        provider.close()


@pytest.fixture(scope="session")
def monthly_process() -> Iterator[VenueProcess]:
    section = {
        "requests_per_second": 0,
        "markets": alpha_vantage.MARKETS,
        "account": {"keys": [alpha_vantage.KEY]},
    }
    config = {
        "now": alpha_vantage.NOW.isoformat(),
        "speed": 0,
        "exchanges": {"alpha_vantage": section},
    }
    with VenueProcess(config) as running:
        yield running


@pytest.fixture
def monthly_venue(monthly_process: VenueProcess) -> VenueProcess:
    """The venue of Alpha Vantage without faults and without memory."""
    monthly_process.clear_faults()
    monthly_process.clear_requests()
    monthly_process.set_clock(now=alpha_vantage.NOW.isoformat(), speed=0)
    return monthly_process


@pytest.fixture
def monthly(monthly_venue: VenueProcess) -> Iterator[alpha_vantage.AlphaVantageOpener]:
    """A function that opens a client of Alpha Vantage at the venue."""
    providers: list[AlphaVantageProvider] = []

    def open_at_venue(**options: Any) -> AlphaVantageProvider:
        limiter = options.pop("limiter", Unlimited())
        now = options.pop("now", alpha_vantage.NOW)
        standard = {
            "limit": UNHURRIED,
            "timeout_seconds": 2.0,
            "base_url": f"{monthly_venue.url}/alpha_vantage",
            "asset_classes": ("equity", "etf"),
            "keys": alpha_vantage.keys(),
        }
        configured = ProviderOptions(source="alpha_vantage", **{**standard, **options})
        provider = AlphaVantageProvider(
            "alpha_vantage", configured, limiter=limiter, clock=lambda: now
        )
        providers.append(provider)
        return provider

    yield open_at_venue
    for provider in providers:
        provider.close()


def spelled(exchange: str, base: str = "BTC") -> str:
    """Return the venue's own name of a market."""
    return f"{base}-{QUOTES.get(exchange, 'USD')}"


def recent(minutes: int, before: int = 60) -> Interval:
    """Return a window that ends some minutes before the venue's present."""
    end = NOW.replace(second=0) - timedelta(minutes=before)
    return Interval(end - timedelta(minutes=minutes), end)


def truth(venue: VenueProcess, exchange: str, symbol: str, window: Interval) -> pa.Table:
    """Return what a perfect download holds, in order of time."""
    start, end = (int(bound.timestamp()) * 1000 for bound in (window.start, window.end))
    columns = venue.truth(exchange, symbol, start, end)
    stamps = pa.array([ms * 1000 for ms in columns.pop("ts")], BAR_SCHEMA.field("ts").type)
    return pa.table({"ts": stamps, **{k: pa.array(v, pa.float64()) for k, v in columns.items()}})


def plain(bars: pa.Table) -> pa.Table:
    """Return a provider's table without the optional columns, in order of time."""
    return bars.drop_columns(["vwap", "trades"]).sort_by("ts")
