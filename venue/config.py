"""The venue's configuration: which exchanges list which markets, from where, under which limits.

Read from YAML or built in Python from the same shapes. Times may be written as ISO 8601 (UTC where
no offset is given), as dates, or as UTC milliseconds. Every error names the key.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from venue.companies import Coin, Company

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Range = tuple[int, int]
HOURS = frozenset({"always", "new_york"})
_COLUMNS = "ohlcv"
_DEFAULT = Path(__file__).with_name("default.yaml")


@dataclass(frozen=True)
class MarketConfig:
    """One market: `files` if given, else an invented one (see `generated.Generated`).

    `order` is that of the columns of the files (see `files.Files`). `hours` is `new_york` or
    `always`; None leaves it to the exchange. `quiet_extended` is the share of minutes without a
    trade before and after regular hours. `name`, `listed_on` and `kind` (`etf`; empty for what the
    exchange makes of the symbol) are for the lists of stocks.
    """

    files: tuple[Path, ...] = ()
    order: str = "ochlv"
    listed_at: int = 1_577_836_800_000  # 2020-01-01
    delisted_at: int | None = None
    price: float = 100.0
    volume: float = 10.0
    quiet: float = 0.0
    price_decimals: int | None = None
    volume_decimals: int | None = None
    halts: tuple[Range, ...] = ()
    hours: str | None = None
    quiet_extended: float = 0.9
    name: str = ""
    listed_on: str = "NASDAQ"
    kind: str = ""


@dataclass(frozen=True)
class Account:
    """What a client may do: the `plan` that it pays for, and the keys that are taken.

    Without `keys` any are taken, where the exchange wants some.
    """

    plan: str = "free"
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExchangeConfig:
    """One exchange. `requests_per_second` replaces its own limit; 0 means none.

    `ban_seconds` shuts a client out at its first request over the limit, instead of what the
    exchange itself does.

    `recorded` maps a URL path, maybe with parameters, to a file whose body is sent as it is. With a
    recorded market list, every market it names answers candles: those not configured are invented.

    `companies` and `coins` are what it has documents about, by its own names of them.

    `holidays` and `half_days` replace those of the New York Stock Exchange.
    """

    markets: Mapping[str, MarketConfig] = field(default_factory=dict)
    companies: Mapping[str, Company] = field(default_factory=dict)
    coins: Mapping[str, Coin] = field(default_factory=dict)
    requests_per_second: float | None = None
    ban_seconds: float | None = None
    outages: tuple[Range, ...] = ()
    recorded: Mapping[str, Path] = field(default_factory=dict)
    holidays: frozenset[date] | None = None
    half_days: frozenset[date] | None = None
    account: Account = Account()


@dataclass(frozen=True)
class ContractConfig:
    """A stock that the gateway knows, by its `number` there, which is unique.

    `report` is a file; without one a report is made up, and none where it is not `reported`.
    """

    number: int
    symbol: str = ""
    listed_on: str = "NASDAQ"
    currency: str = "USD"
    name: str = ""
    report: Path | None = None
    reported: bool = True


@dataclass(frozen=True)
class GatewayConfig:
    """The gateway of Interactive Brokers. Port 0 lets the system choose.

    `requests` reports in ten minutes are answered, and no more; 0 means all.
    """

    contracts: Mapping[str, ContractConfig] = field(default_factory=dict)
    port: int = 0
    requests: int = 60


@dataclass(frozen=True)
class VenueConfig:
    """The whole venue. `now` (UTC milliseconds) sets the clock; None is the system's time."""

    exchanges: Mapping[str, ExchangeConfig] = field(default_factory=dict)
    gateway: GatewayConfig | None = None
    seed: int = 1
    now: int | None = None
    speed: float = 1.0


def load(path: Path | None = None) -> VenueConfig:
    """Read a YAML file, or the built-in default; relative files are relative to it."""
    path = path or _DEFAULT
    return parse(yaml.safe_load(path.read_text()), path.parent)


def parse(document: Mapping[str, Any], root: Path) -> VenueConfig:
    """Check a decoded document; ValueError names the key that is wrong."""
    values = dict(_known(VenueConfig, document, "venue"))
    values["exchanges"] = {
        name: _exchange(name, section or {}, root)
        for name, section in values.get("exchanges", {}).items()
    }
    if values.get("gateway") is not None:
        values["gateway"] = _gateway(values["gateway"], root)
    if values.get("now") is not None:
        values["now"] = millis(values["now"])
    return VenueConfig(**values)


def millis(value: object) -> int:
    """Return a time as UTC milliseconds."""
    if isinstance(value, int):
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} is not a time: write 2024-01-31T00:00:00Z")
    return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * 1000)


def _known(kind: type, section: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    names = {item.name for item in fields(kind)}
    if unknown := section.keys() - names:
        raise ValueError(f"{where}: unknown key {min(unknown)!r}; known are {sorted(names)}")
    return section


def _complete(kind: type, section: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    values = _known(kind, section, where)
    for item in fields(kind):
        if item.default is MISSING and item.name not in values:
            raise ValueError(f"{where}: {item.name!r} is missing")
    return values


def _exchange(name: str, section: Mapping[str, Any], root: Path) -> ExchangeConfig:
    values = dict(_known(ExchangeConfig, section, f"exchanges.{name}"))
    values["markets"] = {
        symbol: _market(f"exchanges.{name}.markets.{symbol}", market or {}, root)
        for symbol, market in values.get("markets", {}).items()
    }
    for known, kind in (("companies", Company), ("coins", Coin)):
        values[known] = {
            key: kind(**_complete(kind, one or {}, f"exchanges.{name}.{known}.{key}"))
            for key, one in values.get(known, {}).items()
        }
    values["outages"] = _ranges(values.get("outages", ()))
    values["recorded"] = {path: root / file for path, file in values.get("recorded", {}).items()}
    for days in {"holidays", "half_days"} & values.keys():
        values[days] = frozenset(map(_day, values[days]))
    account = dict(_known(Account, values.get("account") or {}, f"exchanges.{name}.account"))
    values["account"] = Account(**{**account, "keys": tuple(account.get("keys", ()))})
    return ExchangeConfig(**values)


def _gateway(section: Mapping[str, Any], root: Path) -> GatewayConfig:
    values = dict(_known(GatewayConfig, section, "gateway"))
    values["contracts"] = {
        key: _contract(f"gateway.contracts.{key}", key, contract or {}, root)
        for key, contract in values.get("contracts", {}).items()
    }
    return GatewayConfig(**values)


def _contract(where: str, key: str, section: Mapping[str, Any], root: Path) -> ContractConfig:
    values = dict(_known(ContractConfig, section, where))
    if "number" not in values:
        raise ValueError(f"{where}: names no number")
    values.setdefault("symbol", key.partition("@")[0])
    if values.get("report") is not None:
        values["report"] = root / values["report"]
    return ContractConfig(**values)


def _market(where: str, section: Mapping[str, Any], root: Path) -> MarketConfig:
    values = dict(_known(MarketConfig, section, where))
    values["files"] = tuple(root / file for file in values.get("files", ()))
    if sorted(values.get("order", _COLUMNS)) != sorted(_COLUMNS):
        raise ValueError(
            f"{where}.order: {values['order']!r} is no order of {_COLUMNS!r}, the initials of the "
            "columns after the time"
        )
    if values.get("hours") not in {None, *HOURS}:
        raise ValueError(f"{where}.hours: {values['hours']!r} is none of {sorted(HOURS)}")
    values["halts"] = _ranges(values.get("halts", ()))
    for name in ("listed_at", "delisted_at"):
        if values.get(name) is not None:
            values[name] = millis(values[name])
    return MarketConfig(**values)


def _day(value: object) -> date:
    day = date.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(day, date) or isinstance(day, datetime):
        raise TypeError(f"{value!r} is not a day: write 2024-07-03")
    return day


def _ranges(pairs: Iterable[tuple[object, object]]) -> tuple[Range, ...]:
    return tuple((millis(start), millis(stop)) for start, stop in pairs)
