"""From a provider's configuration to its client."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pipeline.providers.errors import MissingKeys, Unsupported
from pipeline.providers.limiter import Limiter
from pipeline.providers.options import ProviderOptions
from pipeline.providers.protocol import BarProvider, FundamentalsProvider


def open_provider(name: str, options: ProviderOptions, limiter: Limiter) -> BarProvider:
    """Return a client to ask a configured provider for bars. Nothing is sent yet.

    The client's module, `pipeline.providers.<client>_client`, has a function `open_client` with
    these parameters.

    Args:
        name: The provider's name in the universe.
        options: How it is configured.
        limiter: Keeps the provider's limit, for all who ask it.

    Raises:
        Unsupported: There is no such client, or it cannot serve this.
        MissingKeys: It wants keys that are not there.
    """
    if not options.capabilities(name).bars:
        raise Unsupported(name, "serves no bars", "ask it for fundamentals")
    opened: BarProvider = _open(name, options, limiter)
    return opened


def open_fundamentals(
    name: str, options: ProviderOptions, limiter: Limiter
) -> FundamentalsProvider:
    """Return a client to ask a configured provider for fundamentals, as `open_provider` does.

    Raises:
        Unsupported: There is no such client, or it cannot serve this.
        MissingKeys: It wants keys that are not there.
    """
    if not options.capabilities(name).documents:
        raise Unsupported(name, "serves no fundamentals")
    opened: FundamentalsProvider = _open(name, options, limiter)
    return opened


def _open(name: str, options: ProviderOptions, limiter: Limiter) -> Any:  # noqa: ANN401
    if missing := options.missing_keys(name):
        raise MissingKeys(name, missing)
    client = import_module(f"pipeline.providers.{options.client}_client")
    return client.open_client(name, options, limiter)
