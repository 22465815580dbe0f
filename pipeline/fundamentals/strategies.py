"""Strategies: whose value of a field is taken, of those that may win.

What belongs here: one function a strategy. A new one is a function and a line in `STRATEGIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.fundamentals.candidates import Judged

DEFAULT: Final = "priority"
_NEAR: Final = 0.10
"""How far from the first, relative to it, values may lie for `consensus` to average them."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a strategy takes.

    Attributes:
        first: The candidate that is taken, or that the others agreed with.
        rule: Why, in words.
        value: The value, where it is not the first one's own.
        together: All whose values went into it.
    """

    first: Judged
    rule: str
    value: float | None = None
    together: Sequence[Judged] = ()


Strategy = Callable[[Sequence[Judged], Mapping[str, float]], Choice]
"""Chooses among the candidates of one field that may win, at least one, in the order of the field's
priority; knows by provider which share of the instrument's fields it states."""


def priority(found: Sequence[Judged], scores: Mapping[str, float]) -> Choice:
    """Take the first by the field's priority."""
    del scores
    return Choice(found[0], "priority")


def freshest(found: Sequence[Judged], scores: Mapping[str, float]) -> Choice:
    """Take what a provider stated last; then by priority."""
    del scores
    newest = max(found, key=lambda one: one.candidate.confirmed_at)
    return Choice(newest, "freshest")


def quality(found: Sequence[Judged], scores: Mapping[str, float]) -> Choice:
    """Take from the provider that states most of the instrument's fields; then by priority."""
    best = max(found, key=lambda one: scores.get(one.candidate.provider, 0.0))
    return Choice(best, "quality")


def consensus(found: Sequence[Judged], scores: Mapping[str, float]) -> Choice:
    """Take the mean if all lie within a tenth of the first, else the first by priority.

    The distance is relative to the first's value, never to the smallest, and zero is near to zero
    alone.
    """
    numbers = [one.compared for one in found if isinstance(one.compared, float)]
    first = found[0]
    if len(numbers) < len(found) or len(found) == 1 or not isinstance(first.compared, float):
        return priority(found, scores)
    reach = _NEAR * abs(first.compared)
    if any(abs(number - first.compared) > reach for number in numbers):
        return Choice(first, "priority: no consensus")
    mean = sum(number / len(numbers) for number in sorted(numbers))
    return Choice(first, f"consensus of {len(numbers)}", mean, found)


STRATEGIES: Final[Mapping[str, Strategy]] = {
    "priority": priority,
    "freshest": freshest,
    "quality": quality,
    "consensus": consensus,
}


def strategy_name(name: str) -> str:
    """Check the name of a strategy.

    Raises:
        ValueError: There is no such strategy.
    """
    if name not in STRATEGIES:
        raise ValueError(
            f"is {name!r}, which is no strategy of combining; use {', '.join(STRATEGIES)}"
        )
    return name
