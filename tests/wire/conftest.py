"""Our own clients against the local venue, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

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
from pipeline.providers.protocol import BarProvider
from pipeline.providers.yahoo_client import YahooProvider
from tests.wire import alpha_vantage, documents, stocks, yahoo
from tests.wire import ibkr as brokers
from venue import VenueProcess

NOW = datetime(2024, 6, 1, 12, 0, 30, tzinfo=UTC)
LISTED = datetime(2024, 3, 1, 9, 6, tzinfo=UTC)
EXCHANGES = ("binance", "bitfinex", "coinbase", "kraken")
QUOTES = {"binance": "USDT"}
STOCKS = ("equity", "etf")
UNHURRIED = {"limit": RateLimit(10_000, 1.0), "timeout_seconds": 5.0}

Client = TypeVar("Client", bound=BarProvider)
Opener = Callable[..., CcxtProvider]

_MARKETS = {
    "BTC": {"listed_at": LISTED.isoformat(), "price": 60000, "quiet": 0.3},
    "THIN": {"listed_at": LISTED.isoformat(), "price": 0.02, "quiet": 0.95},
}


def _markets(name: str) -> dict[str, Any]:
    quote = QUOTES.get(name, "USD")
    markets = {f"{base}-{quote}": market for base, market in _MARKETS.items()}
    if name in {"binance", "bitfinex"}:
        markets["BTC-USDT-PERP"] = {**_MARKETS["BTC"], "volume_decimals": 3}
    return markets


def running_venue(now: datetime, **exchanges: Mapping[str, object]) -> Any:
    """Return a fixture: a venue for all tests of a process, of exchanges without a limit."""
    sections = {name: {"requests_per_second": 0, **one} for name, one in exchanges.items()}

    @pytest.fixture(scope="session")
    def running() -> Iterator[VenueProcess]:
        config = {"now": now.isoformat(), "speed": 0, "exchanges": sections}
        with VenueProcess(config) as process:
            yield process

    return running


def cleaned(process: VenueProcess, now: datetime) -> VenueProcess:
    """Return a venue without faults and without memory, at a time."""
    process.clear_faults()
    process.clear_requests()
    process.set_clock(now=now.isoformat(), speed=0)
    return process


@contextmanager
def opening(
    client: Callable[..., Client],
    venue: VenueProcess,
    now: datetime,
    *,
    name: str = "",
    listed: bool = False,
    **standard: Any,
) -> Iterator[Callable[..., Client]]:
    """Give a function that opens clients at a venue, by name and options; they are closed here.

    Args:
        client: The class of client.
        venue: The venue.
        now: The time by the client's clock; `now=` for one client.
        name: The provider, if all are the same.
        listed: Whether markets are listed at once, off the venue's record; likewise.
        standard: Options that are not `ProviderOptions`' own defaults; likewise.
    """
    with ExitStack() as stack:

        def open_at_venue(name: str = name, **options: Any) -> Client:
            limiter = options.pop("limiter", Unlimited())
            moment = options.pop("now", now)
            lists = options.pop("listed", listed)
            options = {"base_url": f"{venue.url}/{name}", **UNHURRIED, **standard, **options}
            configured = ProviderOptions(source=name, now=lambda: moment, **options)
            opened = client(name, configured, limiter=limiter)
            stack.callback(opened.close)
            if lists:
                opened.markets()
                venue.clear_requests()
            return opened

        yield open_at_venue


wire_process = running_venue(NOW, **{name: {"markets": _markets(name)} for name in EXCHANGES})
stock_process = running_venue(
    stocks.NOW,
    alpaca={"markets": stocks.MARKETS, "account": {"keys": [stocks.KEY, stocks.SECRET]}},
)
yahoo_process = running_venue(yahoo.NOW, yahoo={"markets": yahoo.MARKETS})
monthly_process = running_venue(
    alpha_vantage.NOW,
    alpha_vantage={"markets": alpha_vantage.MARKETS, "account": {"keys": [alpha_vantage.KEY]}},
)

documents_process = running_venue(documents.NOW, **documents.exchanges())


@pytest.fixture
def documents_venue(documents_process: VenueProcess) -> VenueProcess:
    """The venue of companies and coins without faults and without memory."""
    return cleaned(documents_process, documents.NOW)


@pytest.fixture
def ask(documents_venue: VenueProcess) -> Iterator[documents.DocumentsOpener]:
    """A function that opens a client for documents at the venue, by its name."""
    with documents.opening_documents(documents_venue) as opener:
        yield opener


@pytest.fixture
def venue(wire_process: VenueProcess) -> VenueProcess:
    """The venue without faults and without memory, at `NOW`."""
    return cleaned(wire_process, NOW)


@pytest.fixture
def stock_venue(stock_process: VenueProcess) -> VenueProcess:
    """The venue of stocks without faults and without memory, at `stocks.NOW`."""
    return cleaned(stock_process, stocks.NOW)


@pytest.fixture
def yahoo_venue(yahoo_process: VenueProcess) -> VenueProcess:
    """The venue of Yahoo without faults and without memory, at `yahoo.NOW`."""
    return cleaned(yahoo_process, yahoo.NOW)


@pytest.fixture
def monthly_venue(monthly_process: VenueProcess) -> VenueProcess:
    """The venue of Alpha Vantage without faults and without memory."""
    return cleaned(monthly_process, alpha_vantage.NOW)


@pytest.fixture
def opened(venue: VenueProcess) -> Iterator[Opener]:
    """A function from an exchange's name to a provider at the venue, with its markets listed."""
    with opening(CcxtProvider, venue, NOW, listed=True) as opener:
        yield opener


@pytest.fixture
def alpaca(stock_venue: VenueProcess) -> Iterator[stocks.AlpacaOpener]:
    """A function that opens a client of Alpaca at the venue, with its list of assets loaded."""
    with opening(
        AlpacaProvider,
        stock_venue,
        stocks.NOW,
        name="alpaca",
        listed=True,
        asset_classes=STOCKS,
        keys=stocks.keys(),
    ) as opener:
        yield opener


@pytest.fixture
def yahoo_client(yahoo_venue: VenueProcess) -> Iterator[yahoo.YahooOpener]:
    """A function that opens a client of Yahoo at the venue."""
    with opening(YahooProvider, yahoo_venue, yahoo.NOW, name="yahoo") as opener:
        yield opener


@pytest.fixture
def monthly(monthly_venue: VenueProcess) -> Iterator[alpha_vantage.AlphaVantageOpener]:
    """A function that opens a client of Alpha Vantage at the venue."""
    with opening(
        AlphaVantageProvider,
        monthly_venue,
        alpha_vantage.NOW,
        name="alpha_vantage",
        asset_classes=STOCKS,
        keys=alpha_vantage.keys(),
    ) as opener:
        yield opener


@pytest.fixture(scope="session")
def gateway_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    """A gateway of Interactive Brokers for all tests of a process, without a limit."""
    contracts = brokers.contracts_with_files(tmp_path_factory.mktemp("reports"))
    with brokers.running_gateway(contracts=contracts, requests=0) as process:
        yield process


@pytest.fixture
def gateway(gateway_process: VenueProcess) -> VenueProcess:
    """The gateway without faults and without memory."""
    gateway_process.clear_faults()
    gateway_process.clear_requests()
    return gateway_process


@pytest.fixture
def ibkr(gateway: VenueProcess) -> Iterator[brokers.IbkrOpener]:
    """A function that opens a client of Interactive Brokers at the gateway."""
    with brokers.opening_at(gateway) as opener:
        yield opener


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
