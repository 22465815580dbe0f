"""The universe: which instruments are collected, from which providers, since when."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from pipeline.calendars import ALWAYS, session_named
from pipeline.consolidation import DEFAULT
from pipeline.providers.table import CAPABILITIES, pace_for
from pipeline.sessions import Session
from pipeline.timeframes import USUAL, Timeframe, in_order
from pipeline.universe.conflicts import conflicts
from pipeline.universe.parts import (
    AssetClass,
    ByName,
    InstrumentConfig,
    Key,
    MethodName,
    Provider,
    ProviderConfig,
    SessionName,
    SnapshotsConfig,
    Start,
    StrategyName,
    none_is_empty,
)
from pipeline.universe.selection import SelectionRule, ranked, standbys
from pipeline.universe.sessions import SessionConfig, default_session
from pipeline.universe.values import FileModel
from pipeline.universe.wording import CONFLICT


def _none_is_nothing(value: object) -> object:
    return () if value is None else value


def _timeframe(name: str) -> str:
    return Timeframe.named(name).name


def _buildable(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(timeframe.name for timeframe in in_order(names))


TimeframeName = Annotated[str, AfterValidator(_timeframe)]


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
    rank: int = 1
    """Its place among the listings of its instrument: primaries in order, then standbys."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class FundamentalsSpec:
    """One instrument about which one provider is asked."""

    provider: str
    client: str
    """The kind of client that talks to the provider."""
    instrument: str
    asset_class: AssetClass
    symbol: str
    """The provider's own symbol, or its own name of a coin."""


class Universe(FileModel):
    """The instruments that are collected, and where from."""

    start: Start = Field(examples=["2020-01-01"])
    """The first minute wanted of every listing that says nothing else. UTC."""
    providers: Annotated[
        Mapping[Provider, Annotated[ProviderConfig, BeforeValidator(none_is_empty)]],
        BeforeValidator(none_is_empty),
        Field(examples=["{bitfinex: {}}"]),
        ByName,
    ]
    """The sources: name to options."""
    sessions: Annotated[
        Mapping[SessionName, SessionConfig], BeforeValidator(none_is_empty), ByName
    ] = {}
    """When markets are open, where 24x7, 24x5 and the exchanges' regular sessions will not do."""
    timeframes: Annotated[
        tuple[TimeframeName, ...], BeforeValidator(_none_is_nothing), AfterValidator(_buildable)
    ] = Field(USUAL, examples=["[5m, 1h, 1d]"])
    """The bars that are built from minutes: minutes or hours that divide a day (5m, 4h), 1d, 1w,
    1mo and 1y; weeks and longer want 1d. One that is taken out is removed, with its bars."""
    consolidate: MethodName = Field(DEFAULT, examples=[DEFAULT])
    """How the listings of an instrument are made one series: primary (the first that delivered a
    minute), best_quality (that of the month's most complete first) or median."""
    combine: StrategyName | None = Field(None, examples=["priority"])
    """How what providers say about a company or a coin is combined, field by field: priority,
    freshest, quality or consensus. If not said, as the field registry has it for each field."""
    selection: Annotated[tuple[SelectionRule, ...], BeforeValidator(_none_is_nothing)] = ()
    """Whom to ask first, and who stands by; the first rule that fits an instrument decides."""
    snapshots: Annotated[SnapshotsConfig, BeforeValidator(none_is_empty)] = SnapshotsConfig()
    """Which documents of fundamentals stay whole when old ones are pruned."""
    instruments: Annotated[
        Mapping[Key, InstrumentConfig], BeforeValidator(none_is_empty), ByName
    ] = Field(examples=["{}"])
    """The instruments: key to what it is, where it is listed and who is asked about it."""

    @model_validator(mode="after")
    def _no_conflicts(self) -> Self:
        found: list[InitErrorDetails] = [
            {
                "type": PydanticCustomError(CONFLICT, "{t}", {"t": text}),
                "loc": path,
                "input": None,
            }
            for path, text in conflicts(self.model_dump(by_alias=True))
        ]
        if found:
            raise ValidationError.from_exception_data("Universe", found)
        return self

    def listings(self, provider: str | None = None) -> tuple[ListingSpec, ...]:
        """Every listing, or those of one provider, sorted by provider and key."""
        turns = {key: self._turns(instrument) for key, instrument in self.instruments.items()}
        ranks = {
            key: ranked(instrument.listings, turns[key])
            for key, instrument in self.instruments.items()
        }
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
                rank=ranks[key][name],
            )
            for key, instrument in self.instruments.items()
            for name, listing in instrument.listings.items()
            if provider in {None, name}
        )
        return tuple(sorted(specs, key=lambda spec: (spec.provider, spec.key)))

    def fundamentals(self, provider: str | None = None) -> tuple[FundamentalsSpec, ...]:
        """Who is asked about what, or what one provider is, sorted by provider and instrument."""
        return tuple(
            sorted(
                FundamentalsSpec(
                    provider=name,
                    client=self.client(name),
                    instrument=key,
                    asset_class=instrument.asset_class,
                    symbol=asked.symbol,
                )
                for key, instrument in self.instruments.items()
                for name, asked in instrument.fundamentals.items()
                if provider in {None, name}
            )
        )

    @property
    def bar_providers(self) -> tuple[str, ...]:
        """The providers that serve bars, sorted; the others serve fundamentals alone."""
        rows = {name: CAPABILITIES.get(self.source(name)) for name in self.providers}
        return tuple(sorted(name for name, row in rows.items() if row is None or row.bars))

    @property
    def fundamentals_providers(self) -> tuple[str, ...]:
        """The providers that serve fundamentals, sorted."""
        rows = {name: CAPABILITIES.get(self.source(name)) for name in self.providers}
        return tuple(sorted(name for name, row in rows.items() if row and row.documents))

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

    def pace(self, provider: str) -> tuple[timedelta, timedelta]:
        """Give a provider's lag, and how long a minute may then wait to be asked for.

        KeyError: no such provider.
        """
        config = self.providers[provider]
        return pace_for(
            self.source(provider), lag=config.lag, refresh=config.refresh, feed=config.feed
        )

    def client(self, provider: str) -> str:
        """Give the kind of client that talks to a provider. KeyError: no such provider."""
        row = CAPABILITIES.get(self.source(provider))
        return row.client if row else "ccxt"

    def documentation(self, provider: str) -> str:
        """Give the address of a provider's own documentation; empty if the table has none."""
        row = CAPABILITIES.get(self.source(provider))
        return row.documentation if row else ""

    def fingerprint(self) -> str:
        """Hash what Dagster's definitions are made from: providers and their first months.

        A listing that is added does not change it, unless it starts before all the others.
        """
        months = {name: self.first_month(name).isoformat() for name in self.providers}
        return hashlib.sha256(json.dumps(months, sort_keys=True).encode()).hexdigest()[:16]
