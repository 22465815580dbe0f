"""Canaries: a field that changes its scale at a provider does not count until somebody confirms it.

What belongs here: telling a change of unit (a percentage for a fraction, thousands for units, the
shares of another kind of paper) from a change of the company. A value is compared with the one that
the same provider stated before; what the others say can only speak for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from pipeline.fundamentals.candidates import SAME_PERIOD
from pipeline.fundamentals.fields import Field
from pipeline.fundamentals.registry import Registry
from pipeline.fundamentals.values import Value

_UNITS: Final = (2, 3, 6, 9)
"""Powers of ten between units that vendors mix up: percent, thousands, millions, billions."""
_NEAR_UNIT: Final = 0.1
"""How near to such a power, in powers of ten, a change has to be: the company changes as well, by
up to a quarter."""
_CONFIRMED: Final = 0.05
"""How near another provider's value has to be to confirm one, relative to it."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A value that counted before, and where it was stated.

    Attributes:
        value: The value.
        snapshot: The number of the stored document.
        fetched_at: When that was fetched, UTC.
        confirmed_at: When it was last seen unchanged, UTC.
    """

    value: Value
    snapshot: int
    fetched_at: datetime
    confirmed_at: datetime


@dataclass(frozen=True, slots=True)
class Said:
    """A value in a document.

    Attributes:
        value: The value.
        held: Why it does not count; None if it does.
        instead: What counts in its place.
        accepted: Whether a person has said that it is right, whatever its scale.
    """

    value: Value
    held: str | None = None
    instead: Earlier | None = None
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """A provider's newest usable document of a kind about an instrument.

    Attributes:
        provider: The provider's name in the universe.
        client: The kind of client that talks to it.
        document: Which document it is.
        snapshot: The number of the stored document.
        fetched_at: When it was fetched, UTC.
        confirmed_at: When it was last seen unchanged, UTC.
        lasts: How long it is good for.
        said: What it says.
    """

    provider: str
    client: str
    document: str
    snapshot: int
    fetched_at: datetime
    confirmed_at: datetime
    lasts: timedelta
    said: tuple[Said, ...]


def watched(
    registry: Registry, new: Statement, before: Statement | None, others: Sequence[Statement]
) -> Statement:
    """Return a document with those values held that may be in another unit than before.

    Args:
        registry: The fields.
        new: The document.
        before: The same provider's document of that kind before it.
        others: The newest documents of the other providers, also with what is held of theirs.
    """
    if before is None:
        return new
    return replace(new, said=tuple(_watched(registry, one, before, others) for one in new.said))


def confirmed(statement: Statement, others: Sequence[Statement]) -> Statement:
    """Return a document with those held values set free that another provider states, too."""
    said = tuple(
        replace(one, held=None, instead=None) if one.held and _seconded(one.value, others) else one
        for one in statement.said
    )
    return statement if said == statement.said else replace(statement, said=said)


def of_one_scale(field: Field, one: float, other: float) -> bool:
    """Return whether two values of a field differ as a company does, and not as units do."""
    return _change(field, one, other) is None


def _watched(registry: Registry, one: Said, before: Statement, others: Sequence[Statement]) -> Said:
    field, last = registry.fields.get(one.value.field), _last(one.value, before)
    if field is None or last is None or one.accepted:
        return one
    earlier = last.instead or Earlier(
        last.value, before.snapshot, before.fetched_at, before.confirmed_at
    )
    what = _change(field, one.value.value, earlier.value.value)
    if what is None and last.held is not None and _nearer(one.value, last.value, earlier.value):
        what = last.held
    if what is None or _seconded(one.value, others):
        return one
    return Said(one.value, what, earlier)


def _last(value: Value, before: Statement) -> Said | None:
    """Return what was said of the same field before: of the same period if there was any."""
    mine = [one for one in before.said if one.value.field == value.field]
    same = [one for one in mine if _same_period(one.value, value)]
    return max(same or mine, key=_period_end, default=None)


def _nearer(value: Value, one: Value, other: Value) -> bool:
    """Return whether a number is of the scale of one rather than of the other."""
    numbers = [abs(v.value) for v in (value, one, other) if isinstance(v.value, float)]
    if len(numbers) < 3 or not all(numbers):  # noqa: PLR2004  all three
        return False
    mine, first, second = map(math.log, numbers)
    return abs(mine - first) < abs(mine - second)


def _same_period(one: Value, other: Value) -> bool:
    if one.period_end is None or other.period_end is None:
        return one.period_end == other.period_end
    return abs(one.period_end - other.period_end) <= SAME_PERIOD


def _period_end(one: Said) -> float:
    end = one.value.period_end
    return -math.inf if end is None else float(end.toordinal())


def _change(field: Field, new: object, old: object) -> str | None:
    """Return what is odd about a change, if it may be one of units."""
    if not (isinstance(new, float) and isinstance(old, float)) or not new or not old:
        return None
    powers = math.log10(abs(new / old))
    unit = next((k for k in _UNITS if abs(abs(powers) - k) < _NEAR_UNIT), None)
    times = f"{abs(new / old):.6g} times the {old:.6g} before"
    if unit is not None:
        return f"{new:.6g} is {times}: perhaps another unit"
    if field.scale is not None and abs(powers) > math.log10(field.scale):
        return f"{new:.6g} is {times}, which is more than {field.scale:g} either way"
    return None


def _seconded(value: Value, others: Sequence[Statement]) -> bool:
    return any(
        isinstance(value.value, float) and abs(other - value.value) <= _CONFIRMED * abs(value.value)
        for other in _theirs(value, others)
    )


def _theirs(value: Value, others: Sequence[Statement]) -> Iterator[float]:
    for statement in others:
        for said in statement.said:
            its = said.value
            if (its.field, its.currency) != (value.field, value.currency):
                continue
            if isinstance(its.value, float) and _may_be_one_period(its, value):
                yield its.value


def _may_be_one_period(one: Value, other: Value) -> bool:
    return None in (one.period_end, other.period_end) or _same_period(one, other)
