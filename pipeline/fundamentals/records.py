"""What a vendor's document is taken apart into, before anybody knows what its names mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pipeline.fundamentals.values import Period

Money = Literal["trading", "reporting"]
"""What money is spent on: the share or coin itself; or it is what the company counts in."""


@dataclass(frozen=True, slots=True)
class Record:
    """Raw values of a document with what they have in common.

    Nothing in it has been believed yet: where a day, a moment or a currency is due, there may be
    whatever the vendor wrote instead.

    Attributes:
        place: Where in the document they are, for a person to look up; `*` stands for their name.
        values: The raw values by the vendor's name, as the vendor wrote them: text, a number (an
            int or a Decimal), a bool, None, or what is nested.
        period: What time they are about; None where that differs, and the registry says it.
        ends: A `date`, the last day, for each period that the document tells the end of. A record
            with a period has the end of that.
        filed_at: When they were published: a `datetime` with its zone, a `date` where no time is
            known, or None.
        currencies: The vendor's words for what money is in.
        spoilt: Why nothing in it can be used; empty if it can.
    """

    place: str
    values: Mapping[str, object]
    period: Period | None = None
    ends: Mapping[Period, object] = field(default_factory=dict)
    filed_at: object = None
    currencies: Mapping[Money, object] = field(default_factory=dict)
    spoilt: str = ""


def spread(pairs: Iterable[tuple[str, object]], common: Record) -> Iterator[Record]:
    """Yield records of named values; several if a name occurs again, so that nothing is lost.

    Args:
        pairs: Names and raw values.
        common: What the values have in common.
    """
    levels: list[dict[str, object]] = []
    for name, raw in pairs:
        level = next((one for one in levels if name not in one), None)
        if level is None:
            levels.append(level := {})
        level[name] = raw
    yield from (replace(common, values=values) for values in levels)
