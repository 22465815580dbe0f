"""Canaries: a field that changes its scale at a provider does not count until somebody confirms it.

What belongs here: telling a change of unit (a percentage for a fraction, thousands for units, the
shares of another kind of paper) from a change of the company. A value is compared with the one that
the same provider stated before; what the others say can only speak for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from pipeline.fundamentals.candidates import SAME_PERIOD, lapsed, passes
from pipeline.fundamentals.fields import Field
from pipeline.fundamentals.registry import Registry
from pipeline.fundamentals.values import Period, Value

_UNITS: Final = (2, 3, 6, 9)
"""Powers of ten between units that vendors mix up: percent, thousands, millions, billions."""
_NEAR_UNIT: Final = 0.1
"""How near to such a power, in powers of ten, a change has to be: the company changes as well, by
up to a quarter."""
_CONFIRMED: Final = 0.05
"""How near another provider's value has to be to confirm one, relative to it."""


Kind = tuple[int, str]
"""A subject and a document."""


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
        subject: The number in the ledger of whom it is about: an instrument at a provider, by one
            symbol.
        provider: The provider's name in the universe.
        client: The kind of client that talks to it.
        asked: From when to when the provider is and was asked by that symbol, UTC.
        document: Which document it is.
        snapshot: The number of the stored document.
        fetched_at: When it was fetched, UTC.
        seen: When it came again unchanged, in order of time, UTC.
        lasts: How long it is good for.
        said: What it says.
        outdated: Whether another registry has read it, and this one never can: what it was taken
            to say is not compared with what is read now.
    """

    subject: int
    provider: str
    client: str
    asked: tuple[tuple[datetime, datetime], ...]
    document: str
    snapshot: int
    fetched_at: datetime
    seen: tuple[datetime, ...]
    lasts: timedelta
    said: tuple[Said, ...]
    outdated: bool = False

    @property
    def kind(self) -> Kind:
        """Whose document it is, and which."""
        return self.subject, self.document

    def counts(self, at: datetime) -> bool:
        """Return whether the provider was asked by that symbol at a moment."""
        return any(since <= at < before for since, before in self.asked)

    def confirmed_at(self, at: datetime) -> datetime:
        """Return when it had last come, as known at a moment."""
        return max((one for one in self.seen if one <= at), default=self.fetched_at)

    def has_lapsed(self, value: Value, at: datetime) -> bool:
        """Return whether a value of it had not come for so long that others are believed rather."""
        return passes(value.period, value.period_end) and lapsed(
            self.confirmed_at(at), self.lasts, at
        )


@dataclass(frozen=True, slots=True)
class Heard:
    """A number that was said before.

    Attributes:
        said: What was said, and whether it counted.
        where: The same value, and where it was stated.
    """

    said: Said
    where: Earlier

    @property
    def counted(self) -> Earlier:
        """What counted then: itself, or what stood in for it."""
        return self.said.instead or self.where


HeardOf = Callable[[Value], Sequence[Heard]]
"""Returns what a provider said before of a value's field and period, of any end."""


def watched(
    registry: Registry, new: Statement, heard: HeardOf, others: Sequence[Statement]
) -> Statement:
    """Return a document with those values held that may be in another unit than before.

    A year before the last one that the provider told of is held, too: time does not go back.

    Args:
        registry: The fields.
        new: The document.
        heard: What its provider said before in documents of that kind.
        others: The newest documents of the other providers, also with what is held of theirs.
    """
    newest = newest_of(new)
    said = (
        _watched(
            registry,
            one,
            heard(one.value),
            others,
            new,
            is_newest=newest[one.value.field, one.value.period] is one,
        )
        for one in new.said
    )
    return replace(new, said=tuple(said))


def confirmed(statement: Statement, others: Sequence[Statement], at: datetime) -> Statement:
    """Return a document with those held values set free that another provider states, too."""
    said = tuple(
        replace(one, held=None, instead=None) if _is_confirmed(one, others, at) else one
        for one in statement.said
    )
    return statement if said == statement.said else replace(statement, said=said)


def _is_confirmed(one: Said, others: Sequence[Statement], at: datetime) -> bool:
    if not one.held or (one.instead is not None and goes_back(one.value, one.instead.value)):
        return False
    return _seconded(one.value, others, at)


def of_one_scale(field: Field, one: float, other: float) -> bool:
    """Return whether two values of a field differ as a company does, and not as units do."""
    return _change(field, one, other) is None


def newest_of(statement: Statement) -> Mapping[tuple[str, Period], Said]:
    """Return by field and period what a document says about the latest time."""
    found: dict[tuple[str, Period], Said] = {}
    for one in statement.said:
        key = one.value.field, one.value.period
        if key not in found or _period_end(one) > _period_end(found[key]):
            found[key] = one
    return found


def _watched(
    registry: Registry,
    one: Said,
    heard: Sequence[Heard],
    others: Sequence[Statement],
    new: Statement,
    *,
    is_newest: bool,
) -> Said:
    field = registry.fields.get(one.value.field)
    if field is None or not heard or one.accepted:
        return one
    latest = max(heard, key=lambda each: _period_end(each.said))
    if is_newest and goes_back(one.value, latest.counted.value):
        what = f"it is about {one.value.period_end}, and {latest.counted.value.period_end} was told"
        return Said(one.value, what, latest.counted)
    numbers = [each for each in heard if each.said.value.value != 0]
    if not numbers:
        return one
    same = next((each for each in numbers if is_of_period(each.said.value, one.value)), None)
    last = same or max(numbers, key=lambda each: _period_end(each.said))
    what_changed = _change(
        field,
        one.value.value,
        last.counted.value.value,
        lately=(one.value.period_end is not None and last is same)
        or not lapsed(last.where.confirmed_at, new.lasts, new.fetched_at),
    )
    held = last.said.held
    if what_changed is None and held and _nearer(one.value, last.said.value, last.counted.value):
        what_changed = held
    if what_changed is None or _seconded(one.value, others, new.fetched_at):
        return one
    return Said(one.value, what_changed, last.counted)


def goes_back(value: Value, told: Value) -> bool:
    """Return whether a value is about an earlier fiscal period than one that was told of."""
    if value.period_end is None or told.period_end is None:
        return False
    return told.period_end - value.period_end > SAME_PERIOD


def _nearer(value: Value, one: Value, other: Value) -> bool:
    """Return whether a number is of the scale of one rather than of the other."""
    numbers = [abs(v.value) for v in (value, one, other) if isinstance(v.value, float)]
    if len(numbers) < 3 or not all(numbers):  # noqa: PLR2004  all three
        return False
    mine, first, second = map(math.log, numbers)
    return abs(mine - first) < abs(mine - second)


def is_of_period(one: Value, other: Value) -> bool:
    """Return whether two values are about one time, if it is of one length."""
    if one.period_end is None or other.period_end is None:
        return one.period_end == other.period_end
    return abs(one.period_end - other.period_end) <= SAME_PERIOD


def _period_end(one: Said) -> float:
    end = one.value.period_end
    return -math.inf if end is None else float(end.toordinal())


def _change(field: Field, new: object, old: object, *, lately: bool = True) -> str | None:
    """Return what is odd about a change, if it may be one of units.

    What was told lately lies within the field's scale of what it was; in years a company grows.
    """
    if not (isinstance(new, float) and isinstance(old, float)) or not new or not old:
        return None
    powers = math.log10(abs(new / old))
    unit = next((k for k in _UNITS if abs(abs(powers) - k) < _NEAR_UNIT), None)
    times = f"{abs(new / old):.6g} times the {old:.6g} before"
    if unit is not None:
        return f"{new:.6g} is {times}: perhaps another unit"
    if lately and field.scale is not None and abs(powers) > math.log10(field.scale):
        return f"{new:.6g} is {times}, which is more than {field.scale:g} either way"
    return None


def _seconded(value: Value, others: Sequence[Statement], at: datetime) -> bool:
    return any(
        isinstance(value.value, float) and abs(other - value.value) <= _CONFIRMED * abs(value.value)
        for other in _theirs(value, others, at)
    )


def _theirs(value: Value, others: Sequence[Statement], at: datetime) -> Iterator[float]:
    for statement in others:
        for said in statement.said:
            its = said.value
            if (its.field, its.period, its.currency) != (value.field, value.period, value.currency):
                continue
            if not isinstance(its.value, float) or not _may_be_one_period(its, value):
                continue
            if not statement.has_lapsed(its, at):
                yield its.value


def _may_be_one_period(one: Value, other: Value) -> bool:
    return None in (one.period_end, other.period_end) or is_of_period(one, other)
