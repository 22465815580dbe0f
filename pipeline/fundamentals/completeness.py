"""How complete what is known of an instrument is, for what it is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.fundamentals.registry import Registry


@dataclass(frozen=True, slots=True)
class Completeness:
    """How complete what is known of an instrument is.

    Attributes:
        score: Which part of the expected fields has a value: 0 to 100.
        missing: Those that have none, in the registry's order.
    """

    score: float
    missing: tuple[str, ...]


def expected(registry: Registry, asset_class: str) -> tuple[str, ...]:
    """Return the fields that are expected of an asset class, in the registry's order."""
    return tuple(
        name for name, field in registry.fields.items() if asset_class in field.expected_for
    )


def completeness(
    registry: Registry, asset_class: str, known: Collection[str]
) -> Completeness | None:
    """Judge what is known of an instrument.

    Args:
        registry: The fields, and of which asset classes each is expected.
        asset_class: What the instrument is.
        known: The names of the fields that have a value, be it an old one.

    Returns:
        The score; None for an asset class of which nothing is expected.
    """
    wanted = expected(registry, asset_class)
    if not wanted:
        return None
    missing = tuple(name for name in wanted if name not in known)
    return Completeness(100 * (len(wanted) - len(missing)) / len(wanted), missing)
