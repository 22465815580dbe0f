"""What the tests of Interactive Brokers' client share: a gateway, companies and their reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pipeline.providers.capabilities import RateLimit
from pipeline.providers.ibkr_client import IbkrProvider
from pipeline.providers.limiter import Unlimited
from pipeline.providers.options import ProviderOptions
from tests.conftest import MARKET_DATA
from venue import VenueProcess
from venue.config import ContractConfig
from venue.reports import snapshot

REPORT = "ReportSnapshot"
RECORDED = MARKET_DATA / "_transcribed" / "ibkr_ReportSnapshot_AMD_2025-08-20.xml"
LONG = '<?xml version="1.0" encoding="UTF-8"?>\n<ReportSnapshot>' + "é€\t\n" * 50_000
CONTRACTS: dict[str, dict[str, Any]] = {
    "AMD": {"number": 4391, "name": "Advanced Micro Devices Inc"},
    "MADE": {"number": 11, "name": "Made & Sons"},
    "BRK B": {"number": 72063691, "listed_on": "NYSE"},
    "NOTHING": {"number": 7, "reported": False},
    "TWIN@NYSE": {"number": 21, "listed_on": "NYSE"},
    "TWIN@NASDAQ": {"number": 22},
    "SAP": {"number": 31, "listed_on": "NYSE"},
    "SAP@IBIS": {"number": 32, "listed_on": "IBIS", "currency": "EUR"},
    "7203@TSEJ": {"number": 41, "listed_on": "TSEJ", "currency": "JPY"},
    "LONG": {"number": 51},
}
IbkrOpener = Callable[..., IbkrProvider]


def made(key: str) -> str:
    """Return the report that the gateway makes up about a contract."""
    symbol = key.partition("@")[0]
    return snapshot(ContractConfig(symbol=symbol, **CONTRACTS[key]))


@contextmanager
def running_gateway(**config: Any) -> Iterator[VenueProcess]:
    """Run a venue that is a gateway alone, with `venue.config.GatewayConfig`'s options."""
    with VenueProcess({"gateway": {"contracts": CONTRACTS, **config}}) as process:
        yield process


def contracts_with_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the contracts, those with a report of their own with its file."""
    file = folder / "long.xml"
    file.write_text(LONG, newline="")
    contracts = {**CONTRACTS, "LONG": {**CONTRACTS["LONG"], "report": str(file)}}
    if RECORDED.exists():
        contracts["AMD"] = {**CONTRACTS["AMD"], "report": str(RECORDED)}
    return contracts


@contextmanager
def opening_at(gateway: VenueProcess) -> Iterator[IbkrOpener]:
    """Give a function that opens clients at a gateway; they are closed here."""
    with ExitStack() as stack:

        def open_client(**options: Any) -> IbkrProvider:
            limiter = options.pop("limiter", Unlimited())
            standard = {
                "base_url": gateway.gateway()["address"],
                "asset_classes": ("equity",),
                "limit": RateLimit(10_000, 1.0),
                "timeout_seconds": 5.0,
            }
            configured = ProviderOptions(source="ibkr", **{**standard, **options})
            client = IbkrProvider("ibkr", configured, limiter=limiter)
            stack.callback(client.close)
            return client

        yield open_client


def asked(gateway: VenueProcess) -> list[tuple[str, str]]:
    """Return what the gateway was asked, in order: the step, and about what."""
    return [(one["endpoint"], one["symbol"]) for one in gateway.requests()["requests"]]


def steps(gateway: VenueProcess) -> list[str]:
    """Return only the steps."""
    return [step for step, _ in asked(gateway)]
