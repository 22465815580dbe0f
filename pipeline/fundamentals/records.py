"""What a vendor's document is taken apart into, before anybody knows what its names mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from pipeline.fundamentals.values import Period

Money = Literal["trading", "reporting"]
"""What is paid in it: the share or coin itself, or the company's books."""


@dataclass(frozen=True, slots=True)
class Record:
    """Raw values of a document with what they have in common.

    Attributes:
        place: Where in the document they are, for a person to look up; `*` stands for their name.
        values: The raw values by the vendor's name, as the vendor wrote them: text, a number
            (`int` or `Decimal`), a bool, None, or what is nested.
        period: What time they are about; None where that differs, and the field registry says it.
        ends: Last day of each period that the document tells the end of. A record with a period
            has the end of that.
        filed_at: When they were published: UTC, or a day if no time is known.
        currencies: The vendor's words for what amounts are in.
        spoilt: Why none of the values can be used; empty if they can.
    """

    place: str
    values: Mapping[str, object]
    period: Period | None = None
    ends: Mapping[Period, date] = field(default_factory=dict)
    filed_at: datetime | date | None = None
    currencies: Mapping[Money, object] = field(default_factory=dict)
    spoilt: str = ""

    def place_of(self, name: str) -> str:
        """Return where the value of a name is."""
        return self.place.replace("*", name)
