"""Methods of making one series of an instrument's listings.

What belongs here: in which order a method takes listings, and how it combines minutes that several
have. Working out who serves what by this order is `store.consolidated`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

CONSOLIDATED: Final = "consolidated"
"""What stands for the provider of such a series where there has to be one."""
JOINT: Final = "+"
"""Between the names of providers that took part in one bar."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a listing has of a month of its instrument.

    Attributes:
        listing_id: The listing.
        provider: Its provider.
        rank: Its place among the listings of its instrument, from 1 on.
        in_universe: Whether it is still collected.
        minutes: How many open minutes it delivered, with a bar or quiet.
        bars: How many bars it has in open minutes.
    """

    listing_id: int
    provider: str
    rank: int
    in_universe: bool
    minutes: int
    bars: int


@dataclass(frozen=True, slots=True)
class Method:
    """One way to make a series.

    Attributes:
        order: Says whose minutes are taken first, month by month: the smaller, the sooner. The next
            fills what is left.
        combine: Makes bars of the minutes that several delivered, provider by provider; None where
            the first one's are taken.
    """

    order: Callable[[Claim], tuple[int, ...]]
    combine: Callable[[Sequence[tuple[str, pa.Table]]], pa.Table] | None = None


def _by_rank(claim: Claim) -> tuple[int, ...]:
    # What a listing delivered before it was taken out of the universe is not lost.
    return (not claim.in_universe, claim.rank, claim.listing_id)


def _by_quality(claim: Claim) -> tuple[int, ...]:
    return (-claim.minutes, -claim.bars, *_by_rank(claim))


def _median(bars: Sequence[tuple[str, pa.Table]]) -> pa.Table:
    # Who only wants to know which methods there are should not wait for NumPy.
    from pipeline.median import median

    return median(bars)


def joined(providers: Iterable[str]) -> str:
    """Return the names of providers, or of some that were joined before, joined and each once."""
    return JOINT.join(sorted({one for name in providers for one in name.split(JOINT)}))


METHODS: Final[Mapping[str, Method]] = {
    "primary": Method(_by_rank),
    "best_quality": Method(_by_quality),
    "median": Method(_by_rank, _median),
}
"""The methods by their names in the universe file."""
DEFAULT: Final = "primary"


def method_name(name: str) -> str:
    """Check the name of a method.

    Raises:
        ValueError: There is no such method.
    """
    if name not in METHODS:
        raise ValueError(
            f"is {name!r}, which is no method of consolidating; use {', '.join(METHODS)}"
        )
    return name
