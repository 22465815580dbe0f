"""What a document says: values, and what could not be used as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal, get_args

Period = Literal["annual", "quarter", "ttm", "instant"]
"""What time a value is about: a fiscal year, a fiscal quarter, the twelve months before its end, or
the moment of the document."""

PERIODS: Final[tuple[Period, ...]] = get_args(Period)


@dataclass(frozen=True, slots=True)
class Value:
    """One value that a document states, as the field registry reads it.

    Attributes:
        field: The field's name in the registry.
        value: A number in the field's own unit, words, or a date.
        currency: What amounts are in, three capital letters; None where the field has none.
        period: What time it is about.
        period_end: Last day of that time; None where the document does not say.
        filed_at: When it was published, UTC; None where the document does not say.
        found_at: Where in the document it is, for a person to look up.
    """

    field: str
    value: float | str | date
    currency: str | None
    period: Period
    period_end: date | None
    filed_at: datetime | None
    found_at: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A place of a document that the registry names, and that holds nothing usable.

    Attributes:
        field: The field's name in the registry.
        found_at: Where in the document it is.
        raw: What is there, shortened.
        why: What is wrong with it.
    """

    field: str
    found_at: str
    raw: str
    why: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was read in one document."""

    values: Sequence[Value] = ()
    refusals: Sequence[Refusal] = ()

    @property
    def why_useless(self) -> str | None:
        """Why the document as a whole is of no use; None if it states anything.

        What states nothing must not end what was said before it. A provider that has nothing to
        say says so in its own way, which its client knows, and then there is no document.
        """
        if self.values:
            return None
        if not self.refusals:
            return "states nothing that the field registry names"
        first, *others = self.refusals
        more = f", and {len(others)} more" if others else ""
        return f"states nothing usable: {first.found_at} {first.why}{more}"


class UnusableDocument(Exception):
    """A document is not about what was asked, or not readable: nothing in it is believed."""
