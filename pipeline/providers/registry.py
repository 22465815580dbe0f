"""From a provider's configuration to its client."""

from __future__ import annotations

from importlib import import_module

from pipeline.providers.errors import MissingKeys
from pipeline.providers.limiter import Limiter
from pipeline.providers.options import ProviderOptions
from pipeline.providers.protocol import BarProvider


def open_provider(name: str, options: ProviderOptions, limiter: Limiter) -> BarProvider:
    """Return a client for a configured provider. Nothing is sent yet.

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
    if missing := options.missing_keys(name):
        raise MissingKeys(name, missing)
    client = import_module(f"pipeline.providers.{options.client}_client")
    opened: BarProvider = client.open_client(name, options, limiter)
    return opened
