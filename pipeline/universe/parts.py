"""The parts of the universe file: a provider, an instrument, a listing, and their options.

The models are the reference for the file: their docstrings make its JSON schema. What a provider
can do is the providers' own.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from pipeline.consolidation import METHODS, method_name
from pipeline.fundamentals.strategies import STRATEGIES, strategy_name
from pipeline.providers.table import CLIENTS
from pipeline.settling import Settling
from pipeline.universe import values
from pipeline.universe.files import FilesConfig
from pipeline.universe.selection import Role
from pipeline.universe.sessions import session_name
from pipeline.universe.wording import either, nearest

AssetClass = Literal["crypto_spot", "crypto_swap", "crypto_future", "equity", "etf", "fx", "index"]


def none_is_empty(value: object) -> object:
    """Let a key with nothing after its colon mean a mapping without keys."""
    return {} if value is None else value


def _rising(delays: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    return Settling(delays).delays


def _client(name: str) -> str:
    if name not in CLIENTS:
        raise ValueError(f"is the text {name!r}{nearest(name, CLIENTS)}; use {either(CLIENTS)}")
    return name


def _closed(schema: dict[str, Any]) -> None:
    """Say what pydantic leaves out: no names but those of the pattern; blank means empty."""
    schema |= {"additionalProperties": False, "type": ["object", "null"]}


def _named(pattern: str) -> Any:  # noqa: ANN401  metadata for Annotated
    return WithJsonSchema({"type": "string", "pattern": pattern})


def _one_of(names: Iterable[str]) -> Any:  # noqa: ANN401  metadata for Annotated
    return WithJsonSchema({"type": "string", "enum": list(names)})


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Instant = Annotated[datetime, BeforeValidator(values.instant), _named(values.INSTANT)]
Start = Annotated[Instant, AfterValidator(values.start)]
Delay = Annotated[timedelta, BeforeValidator(values.delay), _named(values.DELAY)]
Key = Annotated[str, AfterValidator(values.key), _named(values.KEY)]
SessionName = Annotated[str, AfterValidator(session_name), _named(r"\S")]
MethodName = Annotated[str, AfterValidator(method_name), _one_of(METHODS)]
StrategyName = Annotated[str, AfterValidator(strategy_name), _one_of(STRATEGIES)]
Provider = Annotated[str, AfterValidator(values.provider_name), _named(values.PROVIDER)]
ByName = Field(json_schema_extra=_closed)


class LimitConfig(values.FileModel):
    """At most so many requests in so many seconds."""

    requests: int = Field(gt=0, examples=[1200])
    """Requests, in the provider's own weights where it has them."""
    seconds: float = Field(gt=0, allow_inf_nan=False, examples=[60])
    """The time they may be made in."""


class ProviderConfig(values.FileModel):
    """A source of data. Its keys and passwords come from the environment, never from here."""

    model_config = ConfigDict(json_schema_extra={"type": ["object", "null"]})

    client: Annotated[str, AfterValidator(_client), _one_of(CLIENTS)] | None = None
    """The kind of client that talks to it; if not said, the one that is named like the provider,
    and ccxt for all others."""
    exchange: Provider | None = None
    """The ccxt exchange id, where the provider is named differently."""
    feed: Text | None = None
    """Which of the provider's feeds to ask, where it has several; if not said, the first."""
    base_url: Annotated[str, AfterValidator(values.base_url), _named(values.BASE_URL)] | None = None
    """The address to use instead of the provider's own: a mirror, a proxy, the local venue."""
    start: Start | None = None
    """The first minute wanted of every listing here, instead of the universe's start."""
    limits: LimitConfig | None = None
    """The rate limit to keep, instead of the one that is built in."""
    budget: LimitConfig | None = None
    """A second limit for a longer time, such as a day, instead of the one that is built in."""
    bars_per_request: int | None = Field(None, gt=0, examples=[1000])
    """The bars to ask for in one request, instead of the number that is built in."""
    lag: Delay | None = Field(None, examples=["1m"])
    """How long after its end a minute may still be missing there, instead of what is built in. For
    Alpaca's feed sip that is 16m, as the free plan wants it; with a paid plan write 1m."""
    refresh: Delay | None = Field(None, examples=["15m"])
    """How long a minute that can be had may wait to be asked for: about as often is asked for what
    is new. If not said 15m; an hour for files, a day for Alpha Vantage."""
    settle: Annotated[tuple[Delay, ...], AfterValidator(_rising)] | None = Field(
        None, examples=["[1h, 1d, 7d]"]
    )
    """How long after its end an answered minute is asked again; after the last it is final."""
    files: FilesConfig | None = None
    """Where the files are and how they are read, for the client `files`."""

    @property
    def settling(self) -> Settling | None:
        """When answered minutes are asked again; None: as is built in."""
        return None if self.settle is None else Settling(self.settle)


class SymbolConfig(values.FileModel):
    """What an instrument is called at one provider; the symbol alone will do."""

    written_as: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if value is None:
            raise ValueError(f"names no symbol; write it after the colon, as in {cls.written_as}")
        return {"symbol": value} if isinstance(value, str) else value


class ListingConfig(SymbolConfig):
    """One instrument at one provider; its symbol alone, or these options."""

    written_as = "bitfinex: BTC/USD"

    symbol: Text = Field(examples=["BTC/USD"])
    """The provider's symbol: its own id (tBTCUSD) or ccxt's unified one (BTC/USD)."""
    key: Key | None = None
    """The partition key, where the instrument's key will not do (two listings at one provider)."""
    start: Start | None = None
    """The first minute wanted, instead of the provider's or the universe's start."""
    end: Instant | None = None
    """The minute before which collecting stops: delisted, or no longer wanted."""
    session: SessionName | None = None
    """When its market is open here, instead of the instrument's session."""
    role: Role | None = None
    """standby: asked only for what the others failed to deliver; primary: collected in full. If not
    said, the rules under selection decide, and without one it is a primary."""


class SnapshotsConfig(values.FileModel):
    """Which documents of fundamentals are kept whole; what was read in them always stays."""

    backups: int = Field(1, ge=1, examples=[1])
    """How many documents before the newest good one stay whole."""
    month_ends: bool = Field(default=True, examples=[True])
    """Whether the last good one of each month of UTC does."""
    restorable: Delay = Field(
        timedelta(days=30), examples=["30d"], json_schema_extra={"default": "30d"}
    )
    """For how long one that was pruned can be restored."""


class FundamentalsConfig(SymbolConfig):
    """What one provider is asked for about an instrument; its symbol alone will do."""

    written_as = "fmp: AAPL"

    symbol: Text = Field(examples=["AAPL"])
    """The provider's own symbol (AAPL, BRK-B), or its own name of a coin (ethereum)."""


_SHORT = {"type": "string", "minLength": 1, "description": "The provider's symbol (short form)."}


def _or_symbol(schema: dict[str, Any]) -> None:
    long = {key: schema.pop(key) for key in list(schema) if key != "description"}
    schema["anyOf"] = [_SHORT, long]


for _config in (ListingConfig, FundamentalsConfig):
    _config.model_config["json_schema_extra"] = _or_symbol


class InstrumentConfig(values.FileModel):
    """The thing itself, wherever it is traded."""

    asset_class: AssetClass = Field(alias="class", examples=["crypto_spot"])
    """What it is."""
    name: Text | None = None
    """Its name in words."""
    session: SessionName | None = None
    """When its market is open: 24x7, 24x5, an exchange as in XNYS, or one under sessions. If not
    said: 24x7 for crypto, 24x5 for fx, XNYS for the others."""
    region: Text | None = None
    """Where it belongs, as in US, for the rules under selection."""
    consolidate: MethodName | None = None
    """How its listings are made one series, instead of how those of all instruments are."""
    listings: Annotated[
        Mapping[Provider, ListingConfig], BeforeValidator(none_is_empty), ByName
    ] = {}
    """Where it is collected: provider to symbol, or to options."""
    fundamentals: Annotated[
        Mapping[Provider, FundamentalsConfig], BeforeValidator(none_is_empty), ByName
    ] = {}
    """Who is asked about it: provider to symbol."""
