"""What the drills download: a few listings over the turn of a month, at a venue without limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.store.cells import Cell
from pipeline.store.database import Database
from pipeline.store.listings import listings, sync_universe
from pipeline.universe import Universe
from tests.making import at

PROVIDER = "coinbase"
PAGE = 300
CONCURRENCY = 8
LISTED = {
    "BTC-USD": "2020-01-06T08:00Z",
    "ETH-USD": "2024-02-14T12:00Z",
    "LTC-USD": "2021-05-03Z",
    "XRP-USD": "2023-07-13Z",
}
QUIET = {"BTC-USD": 0.1, "ETH-USD": 0.3, "LTC-USD": 0.6, "XRP-USD": 0.02}
OUTAGE = Interval(at("2024-02-29T22:00"), at("2024-03-01T01:00"))
_MARKETS = {
    key: {"listed_at": at(listed.rstrip("Z")), "price": 100, "quiet": QUIET[key]}
    for key, listed in LISTED.items()
}
VENUE: Mapping[str, Any] = {
    "exchanges": {PROVIDER: {"requests_per_second": 0, "markets": _MARKETS}}
}
STORMY: Mapping[str, Any] = {
    "exchanges": {
        PROVIDER: {
            "requests_per_second": 10,
            "ban_seconds": 30,
            "markets": _MARKETS,
            "outages": [[OUTAGE.start, OUTAGE.end]],
        }
    }
}


@dataclass(frozen=True, slots=True)
class World:
    """Some listings, and the time for which they are wanted."""

    keys: Sequence[str]
    wanted: Interval

    def document(self, base_url: str, per_second: int) -> dict[str, Any]:
        """Return the universe."""
        provider = {"base_url": base_url, "limits": {"requests": per_second, "seconds": 1}}
        return {
            "start": self.wanted.start.isoformat(),
            "providers": {PROVIDER: provider},
            "instruments": {
                key: {
                    "class": "crypto_spot",
                    "listings": {
                        PROVIDER: {
                            "symbol": key.replace("-", "/"),
                            "end": self.wanted.end.isoformat(),
                        }
                    },
                }
                for key in self.keys
            },
        }

    def cells(self) -> list[Cell]:
        """Return the listings' months, listing by listing."""
        months = [month.start.date().replace(day=1) for month in self.wanted.months()]
        return [Cell(key, month) for key in self.keys for month in months]

    def enter(self, database: Database) -> None:
        """Put the listings into a ledger."""
        with database.connect() as connection:
            universe = Universe.model_validate(self.document("http://127.0.0.1:9", 1))
            sync_universe(connection, universe)


def listing(database: Database, key: str) -> Listing:
    """Return a listing as the ledger knows it now."""
    with database.connect() as connection:
        (found,) = listings(connection, PROVIDER, [key])
    return found


LARGE = World(("BTC-USD", "ETH-USD", "LTC-USD"), Interval(at("2024-02-12"), at("2024-03-10")))
SMALL = World(("BTC-USD", "LTC-USD"), Interval(at("2024-02-26"), at("2024-03-05")))
STORM = World(tuple(LISTED), Interval(at("2024-02-27"), at("2024-03-03")))
