"""What providers say of one field of one instrument, and which of it may be believed.

What belongs here: the rules by which a candidate is out before anybody chooses. They are the same
for every strategy: a value that breaks one of them never wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final

from pipeline.fundamentals.fields import Field
from pipeline.fundamentals.values import Period

SAME_PERIOD: Final = timedelta(days=16)
"""Ends of one fiscal period that lie at most so far apart are the same one: a vendor may write the
last day of the month for a year that ends on its last Saturday."""
_PASSING: Final[frozenset[Period]] = frozenset({"ttm", "instant"})
_LAPSED: Final = 2
"""A value that its provider has not confirmed for so many times to live loses to all others."""

Rates = Callable[[str, str, date, datetime], float | None]
"""What one unit of the first currency is in the second on a day, as known at a moment; None where
it is not known."""


def passes(period: Period, period_end: date | None) -> bool:
    """Return whether what is said of a period lapses, because time goes on.

    A fiscal year that is over stays what it was, however long ago somebody told of it; not so one
    of which nobody says when it ended.
    """
    return period in _PASSING or period_end is None


def lapsed(confirmed_at: datetime, lasts: timedelta, at: datetime) -> bool:
    """Return whether something was confirmed so long ago that others are believed rather."""
    return at - confirmed_at > _LAPSED * lasts


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one provider says of a field.

    Attributes:
        provider: Its name in the universe.
        client: The kind of client that talks to it, by which the registry knows it.
        value: A number in the field's own unit, words, or a date.
        currency: What amounts are in; None where the field has none.
        period: What time it is about.
        period_end: Last day of what it is about; None where the document does not say.
        filed_at: When it was published, UTC; None where the document does not say.
        fetched_at: When the document first said so, UTC.
        confirmed_at: When it last did, UTC.
        lasts: How long that is good for.
        document: Which document says so.
        snapshot: The number of the stored document.
        found_at: Where in it.
        held: Why it does not count for now; None if it does.
    """

    provider: str
    client: str
    value: float | str | date
    currency: str | None
    period: Period
    period_end: date | None
    filed_at: datetime | None
    fetched_at: datetime
    confirmed_at: datetime
    lasts: timedelta
    document: str
    snapshot: int
    found_at: str
    held: str | None = None

    def has_lapsed(self, at: datetime) -> bool:
        """Return whether it was not confirmed for so long that others are believed rather."""
        return passes(self.period, self.period_end) and lapsed(self.confirmed_at, self.lasts, at)


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate, and what became of it.

    Attributes:
        candidate: What the provider says.
        compared: Its value in the currency of the others; None where it cannot be compared.
        verdict: `candidate` while it may win; then `won`, `agrees` or `disagrees`; or why it
            cannot: `held`, `out of bounds`, `older period`, `lapsed`, `other currency`.
        why: The same in words; empty where there is nothing to say.
    """

    candidate: Candidate
    compared: float | str | date | None
    verdict: str = "candidate"
    why: str = ""

    @property
    def may_win(self) -> bool:
        """Whether nothing speaks against it."""
        return self.verdict == "candidate"


def judged(
    field: Field, candidates: Sequence[Candidate], at: datetime, rates: Rates
) -> list[Judged]:
    """Judge what providers say of a field at a moment, in the order of the field's priority.

    Args:
        field: The field.
        candidates: At most one of each provider that counts, and those that are held.
        at: The moment, UTC.
        rates: Makes amounts in different currencies comparable.
    """
    ordered = sorted(candidates, key=lambda one: _turn(field, one))
    found = [_alone(field, one, at) for one in ordered]
    found = _of_newest_period(found)
    if any(one.may_win and not one.candidate.has_lapsed(at) for one in found):
        found = [_without_lapsed(one, at) for one in found]
    return _in_one_currency(found, at, rates)


def _turn(field: Field, one: Candidate) -> tuple[int, str, bool]:
    return field.priority.index(one.client), one.provider, one.held is not None


def _alone(field: Field, one: Candidate, at: datetime) -> Judged:
    if one.held is not None:
        return Judged(one, one.value, "held", one.held)
    if one.period_end is not None and one.period_end > at.date():
        return Judged(one, one.value, "out of bounds", f"its period ends on {one.period_end}")
    if isinstance(one.value, float) and (broken := field.bounds.why_not(one.value)):
        return Judged(one, one.value, "out of bounds", broken)
    return Judged(one, one.value)


def _of_newest_period(found: Sequence[Judged]) -> list[Judged]:
    """Leave out what is about an earlier time than others are: two years are never one value."""
    ends = [one.candidate.period_end for one in found if one.may_win]
    newest = max((end for end in ends if end is not None), default=None)
    if newest is None:
        return list(found)
    return [
        replace(one, compared=None, verdict="older period", why=f"others are about {newest}")
        if one.may_win
        and one.candidate.period_end is not None
        and newest - one.candidate.period_end > SAME_PERIOD
        else one
        for one in found
    ]


def _without_lapsed(one: Judged, at: datetime) -> Judged:
    if not one.may_win or not one.candidate.has_lapsed(at):
        return one
    why = f"not confirmed since {one.candidate.confirmed_at:%Y-%m-%d}"
    return replace(one, verdict="lapsed", why=why)


def _in_one_currency(found: Sequence[Judged], at: datetime, rates: Rates) -> list[Judged]:
    """Make amounts comparable: in the currency of the first that may win."""
    currency = next((one.candidate.currency for one in found if one.may_win), None)
    return [_converted(one, currency, at, rates) for one in found]


def _converted(one: Judged, currency: str | None, at: datetime, rates: Rates) -> Judged:
    said = one.candidate
    if not one.may_win or said.currency == currency or not isinstance(said.value, float):
        return one
    if said.currency is None or currency is None:
        why = f"in {said.currency or 'a currency that is not said'}, the others in {currency}"
        return replace(one, compared=None, verdict="other currency", why=why)
    on = said.period_end or said.fetched_at.date()
    rate = rates(said.currency, currency, on, at)
    if rate is None:
        why = f"in {said.currency}; no rate to {currency} on {on} is stored"
        return replace(one, compared=None, verdict="other currency", why=why)
    return replace(
        one, compared=said.value * rate, why=f"{rate:.6g} {currency} for {said.currency}"
    )
