"""The universe: which instruments are collected, from which providers, since when.

The models are the reference for the file: their docstrings make its JSON schema. YAML, single
values and words are `pipeline.universe_file`'s; what a provider can do is the providers' own.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from pipeline import files_declaration
from pipeline import universe_file as words
from pipeline.calendars import ALWAYS, session_named
from pipeline.files_declaration import FilesConfig
from pipeline.providers.table import CAPABILITIES, CLIENTS
from pipeline.sessions import Session
from pipeline.settling import Settling
from pipeline.universe_file import KeyPath, UniverseError, dotted, nearest
from pipeline.universe_selection import Role, SelectionRule, standbys
from pipeline.universe_sessions import SessionConfig, default_session, session_name, unknown_session

__all__ = ["AssetClass", "ListingSpec", "Universe", "UniverseError", "json_schema", "load_universe"]

AssetClass = Literal["crypto_spot", "crypto_swap", "crypto_future", "equity", "etf", "fx", "index"]


def _none_is_empty(value: object) -> object:
    return {} if value is None else value


def _none_is_nothing(value: object) -> object:
    return () if value is None else value


def _rising(delays: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    return Settling(delays).delays


def _closed(schema: dict[str, Any]) -> None:
    """Say what pydantic leaves out: no names but those of the pattern; blank means empty."""
    schema |= {"additionalProperties": False, "type": ["object", "null"]}


def _named(pattern: str) -> Any:  # noqa: ANN401  metadata for Annotated
    return WithJsonSchema({"type": "string", "pattern": pattern})


def _one_of(names: Iterable[str]) -> Any:  # noqa: ANN401  metadata for Annotated
    return WithJsonSchema({"type": "string", "enum": list(names)})


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Instant = Annotated[datetime, BeforeValidator(words.instant), _named(words.INSTANT)]
Start = Annotated[Instant, AfterValidator(words.start)]
Delay = Annotated[timedelta, BeforeValidator(words.delay), _named(words.DELAY)]
Key = Annotated[str, AfterValidator(words.key), _named(words.KEY)]
SessionName = Annotated[str, AfterValidator(session_name)]
Provider = Annotated[str, AfterValidator(words.provider_name), _named(words.PROVIDER)]
ByName = Field(json_schema_extra=_closed)


class LimitConfig(words.FileModel):
    """At most so many requests in so many seconds."""

    requests: int = Field(gt=0, examples=[1200])
    """Requests, in the provider's own weights where it has them."""
    seconds: float = Field(gt=0, allow_inf_nan=False, examples=[60])
    """The time they may be made in."""


class ProviderConfig(words.FileModel):
    """A source of data. Its keys and passwords come from the environment, never from here."""

    model_config = ConfigDict(json_schema_extra={"type": ["object", "null"]})

    client: Annotated[str, AfterValidator(words.client), _one_of(CLIENTS)] | None = None
    """The kind of client that talks to it; if not said, the one that is named like the provider,
    and ccxt for all others."""
    exchange: Provider | None = None
    """The ccxt exchange id, where the provider is named differently."""
    feed: Text | None = None
    """Which of the provider's feeds to ask, where it has several; if not said, the first."""
    base_url: Annotated[str, AfterValidator(words.base_url), _named(words.BASE_URL)] | None = None
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


class ListingConfig(words.FileModel):
    """One instrument at one provider; its symbol alone, or these options."""

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

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if value is None:
            raise ValueError("names no symbol; write it after the colon, as in bitfinex: BTC/USD")
        return {"symbol": value} if isinstance(value, str) else value


_SHORT = {"type": "string", "minLength": 1, "description": "The provider's symbol (short form)."}


def _or_symbol(schema: dict[str, Any]) -> None:
    long = {key: schema.pop(key) for key in list(schema) if key != "description"}
    schema["anyOf"] = [_SHORT, long]


ListingConfig.model_config["json_schema_extra"] = _or_symbol


class InstrumentConfig(words.FileModel):
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
    listings: Annotated[
        Mapping[Provider, ListingConfig], BeforeValidator(_none_is_empty), ByName
    ] = {}
    """Where it is collected: provider to symbol, or to options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingSpec:
    """One listing with every default filled in. Times are UTC; `[start, end)` is half-open."""

    provider: str
    key: str
    """Unique within the provider; safe as a partition key."""
    instrument: str
    asset_class: AssetClass
    symbol: str
    start: datetime
    end: datetime | None = None
    """None: still collected."""
    session: str = ALWAYS
    standby: int | None = None
    """None: collected in full; else its turn among the standbys of its instrument."""


class Universe(words.FileModel):
    """The instruments that are collected, and where from."""

    start: Start = Field(examples=["2020-01-01"])
    """The first minute wanted of every listing that says nothing else. UTC."""
    providers: Annotated[
        Mapping[Provider, Annotated[ProviderConfig, BeforeValidator(_none_is_empty)]],
        BeforeValidator(_none_is_empty),
        Field(examples=["{bitfinex: {}}"]),
        ByName,
    ]
    """The sources: name to options."""
    sessions: Annotated[
        Mapping[SessionName, SessionConfig], BeforeValidator(_none_is_empty), ByName
    ] = {}
    """When markets are open, where 24x7, 24x5 and the exchanges' regular sessions will not do."""
    selection: Annotated[tuple[SelectionRule, ...], BeforeValidator(_none_is_nothing)] = ()
    """Whom to ask first, and who stands by; the first rule that fits an instrument decides."""
    instruments: Annotated[
        Mapping[Key, InstrumentConfig], BeforeValidator(_none_is_empty), ByName
    ] = Field(examples=["{}"])
    """The instruments: key to what it is and where it is listed."""

    @model_validator(mode="after")
    def _no_conflicts(self) -> Self:
        found: list[InitErrorDetails] = [
            {
                "type": PydanticCustomError(words.CONFLICT, "{t}", {"t": text}),
                "loc": path,
                "input": None,
            }
            for path, text in _conflicts(self.model_dump(by_alias=True))
        ]
        if found:
            raise ValidationError.from_exception_data("Universe", found)
        return self

    def listings(self, provider: str | None = None) -> tuple[ListingSpec, ...]:
        """Every listing, or those of one provider, sorted by provider and key."""
        turns = {key: self._turns(instrument) for key, instrument in self.instruments.items()}
        specs = (
            ListingSpec(
                provider=name,
                key=listing.key or key,
                instrument=key,
                asset_class=instrument.asset_class,
                symbol=listing.symbol,
                start=listing.start or self.providers[name].start or self.start,
                end=listing.end,
                session=listing.session
                or instrument.session
                or default_session(instrument.asset_class),
                standby=turns[key].get(name),
            )
            for key, instrument in self.instruments.items()
            for name, listing in instrument.listings.items()
            if provider in {None, name}
        )
        return tuple(sorted(specs, key=lambda spec: (spec.provider, spec.key)))

    def _turns(self, instrument: InstrumentConfig) -> dict[str, int]:
        roles = {name: listing.role for name, listing in instrument.listings.items()}
        return standbys(self.selection, instrument.asset_class, instrument.region, roles)

    def sessions_used(self) -> dict[str, Session]:
        """Give the session of every listing, by name."""
        declared = {name: config.session for name, config in self.sessions.items()}
        names = {spec.session for spec in self.listings()}
        return {name: declared.get(name) or session_named(name) for name in sorted(names)}

    def first_month(self, provider: str) -> date:
        """Give the first day of the month of the earliest start among a provider's listings.

        Without listings it is the month of the start they would have. KeyError: no such provider.
        """
        default = self.providers[provider].start or self.start
        earliest = min((spec.start for spec in self.listings(provider)), default=default)
        return earliest.date().replace(day=1)

    def source(self, provider: str) -> str:
        """Give a provider's row in the capability table: ccxt's id of an exchange, or a client.

        KeyError: no such provider.
        """
        config = self.providers[provider]
        return config.exchange or (config.client if config.client != "ccxt" else None) or provider

    def client(self, provider: str) -> str:
        """Give the kind of client that talks to a provider. KeyError: no such provider."""
        row = CAPABILITIES.get(self.source(provider))
        return row.client if row else "ccxt"

    def fingerprint(self) -> str:
        """Hash what Dagster's definitions are made from: providers and their first months.

        A listing that is added does not change it, unless it starts before all the others.
        """
        months = {name: self.first_month(name).isoformat() for name in self.providers}
        return hashlib.sha256(json.dumps(months, sort_keys=True).encode()).hexdigest()[:16]


class _Row(NamedTuple):
    """A listing as written, right or wrong: conflicts show beside the file's other problems."""

    path: KeyPath
    provider: str
    key: str
    options: Mapping[str, Any]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _rows(raw: Mapping[str, Any]) -> Iterator[_Row]:
    for key, instrument in _mapping(raw.get("instruments")).items():
        for provider, listing in _mapping(_mapping(instrument).get("listings")).items():
            options = {"symbol": listing} if isinstance(listing, str) else _mapping(listing)
            path = ("instruments", key, "listings", provider)
            yield _Row(path, provider, options.get("key") or key, options)


def _conflicts(raw: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Find what is wrong between listings, and between a listing and its provider."""
    providers = _mapping(raw.get("providers"))
    for name, config in providers.items():
        yield from _misplaced(name, _mapping(config))
    yield from _unknown_names(raw)
    taken: dict[tuple[str, str, str], KeyPath] = {}
    for row in _rows(raw):
        if row.provider not in providers:
            hint = nearest(row.provider, providers)
            yield row.path, f"is no provider here{hint}; add it under providers, or correct it"
        for what, value in (("key", row.key), ("symbol", row.options.get("symbol"))):
            first = taken.setdefault((row.provider, what, str(value)), row.path)
            if first is not row.path and isinstance(value, str):
                text = f"has the {what} {value!r}, which {dotted(first)} has already"
                yield row.path, f"{text}; give it another {what}, or remove one of them"
        default = _mapping(providers.get(row.provider)).get("start") or raw.get("start")
        start, end = _moment(row.options.get("start") or default), _moment(row.options.get("end"))
        if start and end and end <= start:
            text = f"is not after the listing's start, {start:%Y-%m-%d %H:%M} UTC"
            yield (*row.path, "end"), f"{text}; use a later end, or an earlier start"


def _unknown_names(raw: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Find names of sessions and providers that there are not."""
    declared, providers = _mapping(raw.get("sessions")), _mapping(raw.get("providers"))
    for path, session in _sessions(raw):
        if problem := unknown_session(session, declared):
            yield path, problem
    for path, name in _selected(raw):
        if name not in providers:
            text = f"is {name!r}, which is no provider here{nearest(str(name), providers)}"
            yield path, f"{text}; add it under providers, or correct it"


def _selected(raw: Mapping[str, Any]) -> Iterator[tuple[KeyPath, object]]:
    """Yield the names of providers that rules of selection give."""
    rules = raw.get("selection")
    for number, rule in enumerate(rules if isinstance(rules, list | tuple) else ()):
        names = _mapping(rule).get("providers")
        for name in [names] if isinstance(names, str) else names or ():
            yield ("selection", number, "providers"), name


def _sessions(raw: Mapping[str, Any]) -> Iterator[tuple[KeyPath, object]]:
    """Yield the names of sessions that instruments and listings give."""
    for key, instrument in _mapping(raw.get("instruments")).items():
        yield ("instruments", key, "session"), _mapping(instrument).get("session")
    for row in _rows(raw):
        yield (*row.path, "session"), row.options.get("session")


def _misplaced(name: str, config: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Find options that the provider's client knows nothing of."""
    client, exchange, feed = (config.get(option) for option in ("client", "exchange", "feed"))
    row = CAPABILITIES.get(exchange or (client if client != "ccxt" else None) or name)
    served_by = row.client if row else "ccxt"
    if exchange and served_by != "ccxt":
        yield ("providers", name, "exchange"), f"is for ccxt, not for {served_by}; remove it"
    elif client == "ccxt" != served_by:
        yield ("providers", name, "client"), f"must be {served_by} for this name; correct either"
    yield from _of_files(name, config, served_by)
    feeds = row.feeds if row else ()
    if feed is not None and feed not in feeds:
        fix = f"use {words.either(feeds)}" if feeds else "it has but one; remove it"
        yield ("providers", name, "feed"), f"is {feed!r}, which it does not have; {fix}"


def _of_files(
    name: str, config: Mapping[str, Any], served_by: str
) -> Iterator[tuple[KeyPath, str]]:
    """Find what is wrong with the files of a provider, or with a provider that should have some."""
    path, files = ("providers", name), config.get("files")
    if files and served_by != "files":
        yield (*path, "files"), f"is for the client files, not for {served_by}; remove either"
    elif served_by == "files":
        if not files:
            yield path, "says nothing of its files; write `files:` with path, columns and stamp"
        for option in ("base_url", "limits", "bars_per_request"):
            if config.get(option) is not None:
                yield (*path, option), "means nothing to files; remove it"
        for option, text in files_declaration.contradictions(_mapping(files)):
            yield (*path, "files", option), text


def _moment(value: object) -> datetime | None:
    try:
        return words.instant(value)
    except ValueError:
        return None


def _options(path: KeyPath) -> Mapping[str, FieldInfo]:
    model: type[BaseModel]
    match path:
        case ():
            model = Universe
        case ("providers", _):
            model = ProviderConfig
        case ("providers", _, "limits"):
            model = LimitConfig
        case ("sessions", _):
            model = SessionConfig
        case ("providers", _, "files"):
            model = FilesConfig
        case ("selection", _):
            model = SelectionRule
        case ("instruments", _):
            model = InstrumentConfig
        case _:
            model = ListingConfig
    return {info.alias or name: info for name, info in model.model_fields.items()}


def load_universe(path: Path) -> Universe:
    """Read and check the universe file.

    Raises UniverseError with every problem at once, each with its line, its key and the fix.
    """
    tree = words.read_tree(path)
    problems = list(tree.problems)
    try:
        universe = Universe.model_validate(tree.value)
    except ValidationError as error:
        problems += [words.explain(detail, tree, _options) for detail in error.errors()]
        problems += [tree.at(*conflict) for conflict in _conflicts(_mapping(tree.value))]
    if problems:
        raise UniverseError(path, problems)
    return universe


def json_schema() -> dict[str, Any]:
    """Make the file's JSON schema, for editors; `python -m pipeline.universe` prints it."""
    schema = Universe.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
