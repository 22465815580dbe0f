"""The universe: which instruments are collected, from which providers, since when.

What belongs here: the file's models, reading it, and telling all that is wrong with it at once.
"""

from pipeline.universe.loading import json_schema, load_universe
from pipeline.universe.model import FundamentalsSpec, ListingSpec, Universe
from pipeline.universe.parts import AssetClass, LimitConfig, SnapshotsConfig
from pipeline.universe.tree import UniverseError

__all__ = [
    "AssetClass",
    "FundamentalsSpec",
    "LimitConfig",
    "ListingSpec",
    "SnapshotsConfig",
    "Universe",
    "UniverseError",
    "json_schema",
    "load_universe",
]
