"""The demo's world: a local venue with invented markets, and a universe that collects them.

What belongs here: what the demo shows, and its files. How it runs is `pipeline.commands.demo`. The
venue is started as a process and spoken to over HTTP, like every provider.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
import yaml

from pipeline import demo_stocks as stocks
from pipeline.intervals import floor_minute
from pipeline.orchestration.errors import OrchestrationError
from pipeline.orchestration.instance import HOST, free_port, is_free
from pipeline.orchestration.supervisor import Program

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Coin:
    name: str
    price: float
    volume: float


_BTC, _ETH = _Coin("Bitcoin", 60_000, 4), _Coin("Ether", 3_000, 30)
_LTC, _SOL = _Coin("Litecoin", 90, 60), _Coin("Solana", 150, 200)
_COINS = {"BTC": _BTC, "ETH": _ETH, "LTC": _LTC, "SOL": _SOL}
_KNOWN = {
    "bitcoin": {"symbol": "btc", "name": "Bitcoin", "supply": 19.7e6, "max_supply": 21e6},
    "ethereum": {"symbol": "eth", "name": "Ethereum", "supply": 120.1e6, "rank": 2},
}
_ABOUT = {"BTC-USD": {"coingecko": "bitcoin"}, "ETH-USD": {"coingecko": "ethereum"}}


@dataclass(frozen=True, slots=True)
class World:
    """The demo, as it was made at its first start and is found again at each later one.

    Attributes:
        home: The demo's home folder.
        created: The minute that it was made: everything is collected up to here, so that a repeat
            finds nothing left to ask for.
        port: Where the venue listens.
    """

    home: Path
    created: datetime
    port: int

    @classmethod
    def open(cls, home: Path) -> World:
        """Return the world of a home folder, made now if there is none.

        Raises:
            OrchestrationError: The folder holds somebody's own ledger.
        """
        file = home / "demo.json"
        if file.exists():
            known = json.loads(file.read_text(encoding="utf-8"))
            world = cls(home, datetime.fromisoformat(known["created"]), known["port"])
            world._write_files()
            return world if is_free(world.port) else world._move()
        if (home / "universe.yaml").exists() or (home / "postgres").exists():
            raise OrchestrationError(
                f"{home} holds a ledger of your own, which the demo will not touch; unset "
                "MINUTELEDGER_HOME, or set it to another folder"
            )
        world = cls(home, floor_minute(datetime.now(UTC)), free_port())
        home.mkdir(parents=True, exist_ok=True)
        world._remember()
        world._write_files()
        return world

    @property
    def url(self) -> str:
        """Where the venue is."""
        return f"http://{HOST}:{self.port}"

    def program(self) -> Program:
        """Return the venue's process."""
        options = ["--port", str(self.port), "--config", str(self.home / "venue.yaml")]
        return Program("venue", [sys.executable, "-m", "venue", *options], patience=5.0)

    def answers(self) -> bool:
        """Return whether the venue is there."""
        try:
            return bool(_session().get(f"{self.url}/_venue/clock", timeout=5).ok)
        except requests.RequestException:
            return False

    def requests_sent(self) -> tuple[int, int, int]:
        """Return how many requests the venue got in this run: for bars, for documents, and all."""
        report = _session().get(f"{self.url}/_venue/requests", timeout=30).json()
        counts: Counter[bool] = Counter()
        for each in report["counts"]:
            counts[each["document"]] += each["count"] if each["symbol"] else 0
        return counts[False], counts[True], report["total"]

    def venue(self) -> dict[str, Any]:
        """Describe the markets: quiet ones, an outage, a halt, listings within a month."""
        noon = self.created.replace(hour=12, minute=0)
        outage = [noon - 9 * _DAY, noon - 9 * _DAY + timedelta(hours=3)]
        halt = [noon - 5 * _DAY, noon - 5 * _DAY + timedelta(minutes=45)]
        old = datetime(2020, 1, 6, 8, tzinfo=UTC)
        return {
            "exchanges": {
                "binance": {
                    "markets": {
                        "BTC-USDT": _market("BTC", old),
                        "ETH-USDT": _market("ETH", old),
                        "SOL-USDT": _market("SOL", old, quiet=0.05, halts=[halt]),
                    }
                },
                "bitfinex": {
                    "outages": [outage],
                    "markets": {
                        "BTC-USD": _market("BTC", old, quiet=0.05),
                        "ETH-USD": _market("ETH", old, quiet=0.15),
                        "LTC-USD": _market("LTC", noon - 15 * _DAY, quiet=0.6),
                    },
                },
                "coinbase": {
                    "markets": {
                        "BTC-USD": _market("BTC", old),
                        "ETH-USD": _market("ETH", old, quiet=0.02),
                        "LTC-USD": _market("LTC", noon - 12 * _DAY, quiet=0.5),
                    }
                },
                "kraken": {
                    "markets": {f"{name}-USD": _market(name, old) for name in ("BTC", "ETH", "LTC")}
                },
                "coingecko": {
                    "coins": {
                        "bitcoin": {**_KNOWN["bitcoin"], "price": _BTC.price},
                        "ethereum": {**_KNOWN["ethereum"], "price": _ETH.price},
                    }
                },
                **stocks.venue(),
            }
        }

    def universe(self) -> dict[str, Any]:
        """Describe what is collected: about what the providers' limits let through in a minute."""
        last_month = (self.created.replace(day=1) - _DAY).replace(day=1)
        recently = {"start": _day(self.created - 20 * _DAY)}
        providers: dict[str, dict[str, Any]] = {
            name: {"base_url": f"{self.url}/{name}"}
            for name in ("binance", "bitfinex", "coinbase", "coingecko", "kraken")
        }
        # Months are runs in Dagster, and those cost more here than their downloads.
        providers["coinbase"]["start"] = _day(self.created - 15 * _DAY)
        providers["kraken"]["start"] = _day(self.created - 10 * _DAY)
        # Well below its limit of 10 a second: a refusal costs everybody a minute's pause.
        providers["coinbase"]["limits"] = {"requests": 8, "seconds": 1}
        providers |= stocks.providers(self.url)
        pair = self._instrument
        return {
            "start": _day(last_month),
            "providers": providers,
            "instruments": {
                "BTC-USD": pair("BTC", "USD", bitfinex={}, coinbase={}, kraken={}),
                "ETH-USD": pair("ETH", "USD", bitfinex=recently, coinbase={}, kraken={}),
                "LTC-USD": pair("LTC", "USD", bitfinex=recently, coinbase={}, kraken={}),
                "BTC-USDT": pair("BTC", "USDT", binance={}),
                "ETH-USDT": pair("ETH", "USDT", binance={}),
                "SOL-USDT": pair("SOL", "USDT", binance={}),
                **stocks.instruments(self.created),
            },
        }

    def _instrument(self, base: str, quote: str, **listings: Mapping[str, str]) -> dict[str, Any]:
        end = f"{self.created:%Y-%m-%dT%H:%MZ}"
        return {
            "class": "crypto_spot",
            "name": f"{_COINS[base].name} in {'US dollars' if quote == 'USD' else 'Tether'}",
            "listings": {
                provider: {"symbol": f"{base}/{quote}", **options, "end": end}
                for provider, options in listings.items()
            },
            "fundamentals": _ABOUT.get(f"{base}-{quote}", {}),
        }

    def _move(self) -> World:
        """Give the venue another port, because somebody else has taken its own."""
        moved = World(self.home, self.created, free_port())
        file = self.home / "universe.yaml"
        text = file.read_text(encoding="utf-8").replace(f"{self.url}/", f"{moved.url}/")
        file.write_text(text, encoding="utf-8")
        moved._remember()
        return moved

    def _remember(self) -> None:
        known = {name: value for name, value in asdict(self).items() if name != "home"}
        text = json.dumps(known | {"created": self.created.isoformat()})
        (self.home / "demo.json").write_text(text, encoding="utf-8")

    def _write_files(self) -> None:
        """Write what is not there yet: an earlier start may have been interrupted."""
        for name, document in (("venue.yaml", self.venue()), ("universe.yaml", self.universe())):
            if not (self.home / name).exists():
                self._write(self.home / name, document)

    def _write(self, file: Path, document: Mapping[str, Any]) -> None:
        head = f"# Written by `minuteledger demo` on {self.created:%Y-%m-%d %H:%M} UTC.\n"
        text = yaml.safe_dump(document, sort_keys=False)
        file.write_text(head + text, encoding="utf-8")


def _market(name: str, listed_at: datetime, **options: object) -> dict[str, object]:
    coin = _COINS[name]
    return {"listed_at": listed_at, "price": coin.price, "volume": coin.volume, **options}


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxy is for a server of our own machine
    return session
