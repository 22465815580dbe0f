"""One value of each field of an instrument, and all that speaks for and against it.

What belongs here: the combination at one moment. What of the providers' words is known then is
`history`'s, and whose word is taken a strategy's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from pipeline.fundamentals.candidates import Candidate, Judged, Rates, judged
from pipeline.fundamentals.fields import Field
from pipeline.fundamentals.registry import Registry
from pipeline.fundamentals.strategies import STRATEGIES, Choice, Strategy


@dataclass(frozen=True, slots=True)
class Combined:
    """A field of an instrument.

    Attributes:
        field: Its name.
        value: The value; None where nobody says anything that may be believed.
        won: The candidate that it is from; None with the value.
        provider: Who says so; several joined by `+` where their mean is taken.
        rule: Which rule chose it.
        state: `agree` or `disagree` with the others that can be compared, `single` where there are
            none, `none` without a value.
        spread: How far those that can be compared lie apart, relative to the value; days for
            dates; None for words, and where there is nothing to compare.
        candidates: All that is said, in the order of priority.
    """

    field: str
    value: float | str | date | None
    won: Candidate | None
    provider: str | None
    rule: str | None
    state: str
    spread: float | None
    candidates: Sequence[Judged]


def combine(
    registry: Registry,
    said: Mapping[str, Sequence[Candidate]],
    at: datetime,
    *,
    rates: Rates,
    strategy: str | None = None,
) -> list[Combined]:
    """Combine what providers say of an instrument at a moment.

    Args:
        registry: The fields.
        said: By field what providers say; the order means nothing.
        at: The moment, UTC.
        rates: Makes amounts in different currencies comparable.
        strategy: The name of one in `STRATEGIES`, instead of each field's own.

    Returns:
        A row for each field of which anything is said, by name.

    Raises:
        KeyError: There is no such strategy.
    """
    found = {
        name: judged(registry.fields[name], candidates, at, rates)
        for name, candidates in sorted(said.items())
        if candidates
    }
    scores = _scores(found)
    return [
        _combined(name, field, rows, STRATEGIES[strategy or field.strategy], scores)
        for name, rows in found.items()
        for field in [registry.fields[name]]
    ]


def _scores(found: Mapping[str, Sequence[Judged]]) -> dict[str, float]:
    """Return which share of the fields each provider states believably."""
    counts: dict[str, int] = {}
    for rows in found.values():
        for provider in {one.candidate.provider for one in rows if one.may_win}:
            counts[provider] = counts.get(provider, 0) + 1
    return {provider: count / len(found) for provider, count in counts.items()}


def _combined(
    name: str,
    field: Field,
    rows: Sequence[Judged],
    choose: Strategy,
    scores: Mapping[str, float],
) -> Combined:
    open_ = [one for one in rows if one.may_win]
    if not open_:
        return Combined(name, None, None, None, None, "none", None, rows)
    choice = choose(open_, scores)
    won = choice.first
    value = won.candidate.value if choice.value is None else choice.value
    against = won.compared if choice.value is None else choice.value
    alike = {id(one): _alike(field, against, one.compared) for one in open_}
    told = [_told(one, choice, agrees=alike.get(id(one))) for one in rows]
    state = "single" if len(open_) == 1 else "agree" if all(alike.values()) else "disagree"
    provider = "+".join(one.candidate.provider for one in choice.together)
    return Combined(
        field=name,
        value=value,
        won=won.candidate,
        provider=provider or won.candidate.provider,
        rule=choice.rule,
        state=state,
        spread=_spread(against, [one.compared for one in open_]),
        candidates=told,
    )


def _told(one: Judged, choice: Choice, *, agrees: bool | None) -> Judged:
    if agrees is None:
        return one
    if one is choice.first or any(one is other for other in choice.together):
        verdict = "won"
    else:
        verdict = "agrees" if agrees else "disagrees"
    return Judged(one.candidate, one.compared, verdict, one.why)


def _alike(field: Field, one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= field.tolerance * max(abs(one), abs(other))
    if isinstance(one, str) and isinstance(other, str):
        return _plain(one) == _plain(other)
    return one == other


def _plain(words: str) -> str:
    return "".join(letter for letter in words.casefold() if letter.isalnum())


def _spread(value: object, compared: Sequence[object]) -> float | None:
    if len(compared) < 2:  # noqa: PLR2004  one value has no spread
        return None
    if days := [one for one in compared if isinstance(one, date)]:
        return float((max(days) - min(days)).days)
    numbers = [one for one in compared if isinstance(one, float)]
    if not numbers or not isinstance(value, float):
        return None
    distance = max(numbers) - min(numbers)
    return 0.0 if distance == 0 else distance / abs(value) if value else None
