"""Opening the providers that the universe names, as it wants them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from pipeline.providers import ProviderOptions, open_fundamentals, open_provider
from pipeline.providers.capabilities import Capabilities, RateLimit
from pipeline.providers.limiter import Limiter, Unlimited
from pipeline.providers.protocol import BarProvider, FundamentalsProvider
from pipeline.providers.table import KEYS
from pipeline.settings import vendor_keys
from pipeline.store.database import Database
from pipeline.store.limits import LedgerLimiter
from pipeline.universe import LimitConfig, Universe


def options_of(universe: Universe, provider: str) -> ProviderOptions:
    """Return how the universe configures a provider, with the keys that the environment has.

    Raises:
        KeyError: The universe has no such provider.
    """
    config = universe.providers[provider]
    listed = universe.listings(provider)
    classes = {spec.asset_class for spec in listed}
    classes |= {spec.asset_class for spec in universe.fundamentals(provider)}
    return ProviderOptions(
        source=universe.source(provider),
        base_url=config.base_url,
        feed=config.feed,
        limit=_limit(config.limits),
        budget=_limit(config.budget),
        bars_per_request=config.bars_per_request,
        settling=config.settling,
        lag=config.lag,
        refresh=config.refresh,
        asset_classes=sorted(classes) or ["crypto_spot"],
        symbols=sorted({spec.symbol for spec in listed}),
        files=config.files,
        keys=vendor_keys(KEYS),
    )


def capabilities_of(universe: Universe, provider: str) -> Capabilities:
    """Return what a provider can serve, as the universe wants it.

    Raises:
        Unsupported: There is no such client or exchange.
    """
    return options_of(universe, provider).capabilities(provider)


def _limit(config: LimitConfig | None) -> RateLimit | None:
    return RateLimit(config.requests, config.seconds) if config else None


@contextmanager
def open_listed(
    universe: Universe, provider: str, database: Database | None, *, everything: bool = False
) -> Iterator[BarProvider]:
    """Open the client of a provider of the universe; nothing is sent yet.

    Args:
        universe: The universe.
        provider: The provider's name in it.
        database: The ledger, in which all who ask a provider keep its limit together; None where
            there is none and a single question is asked.
        everything: Whether its market list is to hold all asset classes that it has, and not only
            those that the universe collects there.

    Raises:
        Unsupported: There is no such client, or it cannot serve what the universe wants.
        MissingKeys: It wants keys that are not set.
        DatabaseError: The ledger cannot be reached.
    """
    options = _options(universe, provider, database)
    if everything:
        options = replace(options, asset_classes=())
    with (
        _limiter(provider, options, database) as limiter,
        closing(open_provider(provider, options, limiter)) as client,
    ):
        yield client


@contextmanager
def open_asked(
    universe: Universe, provider: str, database: Database | None
) -> Iterator[FundamentalsProvider]:
    """Open the client of a provider of the universe to ask it for fundamentals.

    It keeps the same limits as that for bars; nothing is sent yet. Arguments and errors are those
    of `open_listed`.
    """
    options = _options(universe, provider, database)
    with (
        _limiter(provider, options, database) as limiter,
        closing(open_fundamentals(provider, options, limiter)) as client,
    ):
        yield client


def _options(universe: Universe, provider: str, database: Database | None) -> ProviderOptions:
    options = options_of(universe, provider)
    return options if database is None else replace(options, now=database.clock.now)


@contextmanager
def _limiter(
    provider: str, options: ProviderOptions, database: Database | None
) -> Iterator[Limiter]:
    if database is None:
        yield Unlimited()
    else:
        with LedgerLimiter(database, provider, options.account) as limiter:
            yield limiter
