"""Market-data providers: one protocol, one capability table, one error tree."""

from pipeline.providers.options import ProviderOptions
from pipeline.providers.registry import open_fundamentals, open_provider

__all__ = ["ProviderOptions", "open_fundamentals", "open_provider"]
