"""What the field registry says of a field, and of the places where vendors state it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic import Field as Option

from pipeline.fundamentals.documents import DataType
from pipeline.fundamentals.values import Period

Kind = Literal["amount", "per_share", "fraction", "multiple", "count", "text", "date"]
"""What a value is: money, money per share or coin, a part of one (0.41 is 41 %), so many times, so
many, words, a day."""

Unit = Literal["percent", "thousands", "millions", "currency", "country", "epoch_seconds"]
"""How a vendor writes what is not in its field's own unit."""

UNITS: Final[Mapping[Kind, tuple[Unit, ...]]] = {
    "amount": ("thousands", "millions"),
    "per_share": (),
    "fraction": ("percent",),
    "multiple": ("percent",),
    "count": ("thousands", "millions"),
    "text": ("currency", "country"),
    "date": ("epoch_seconds",),
}
MONEY: Final[tuple[Kind, ...]] = ("amount", "per_share")
"""The kinds that are in a currency."""

Strategy = Literal["priority", "freshest", "quality", "consensus"]
Client = Literal["fmp", "yahoo", "alpha_vantage", "ibkr", "coingecko"]
AssetClass = Literal["equity", "etf", "crypto_spot"]
"""The asset classes, of those of the universe, about which there are fundamentals."""


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def _moment(value: object) -> object:
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


Moment = Annotated[datetime, BeforeValidator(_moment)]


class Part(BaseModel):
    """A part of the registry's file."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Bounds(Part):
    """What a number must be for the combined view to use it."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def why_not(self, value: float) -> str:
        """Say how a number is out of bounds; nothing where it is within them."""
        if self.above is not None and value <= self.above:
            return f"must be above {self.above:g}"
        if self.at_least is not None and value < self.at_least:
            return f"must be at least {self.at_least:g}"
        if self.below is not None and value >= self.below:
            return f"must be below {self.below:g}"
        if self.at_most is not None and value > self.at_most:
            return f"must be at most {self.at_most:g}"
        return ""


class Source(Part):
    """Where a client's documents state a field, and how they write it."""

    document: str
    name: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Option(min_length=1)
    """The vendor's name; several where it has changed the spelling."""
    period: Period | None = None
    """What time the value is about, where the document does not say and it is not the field's."""
    unit: Unit | None = None
    currency: str | None = Option(None, pattern=r"^([A-Z]{3}|trading|reporting)$")
    """Which of the document's currencies it is in, or always this one; by default the field's."""
    in_minor_unit: bool | None = None
    """Whether it is in pence where the document says GBp (or in pounds all the same). As long as
    nobody knows, such a value is refused."""
    same_currency: bool = False
    """Whether it is wrong where the company's books are in another currency than its shares."""
    opposite_sign: bool = False
    zero: Literal["value", "missing"] = "value"
    """What 0 means at this vendor."""
    as_text: bool = False
    """Whether the vendor writes the number as text."""
    since: Moment | None = None
    until: Moment | None = None
    """Documents fetched from since on, and before until, write it like this."""

    def holds_at(self, moment: datetime) -> bool:
        """Whether documents fetched at a moment write it like this."""
        return (self.since is None or self.since <= moment) and (
            self.until is None or moment < self.until
        )


Sources = Annotated[tuple[Source, ...], BeforeValidator(_listed)]


class Field(Part):
    """One thing that can be known about a company, a fund or a coin."""

    meaning: str
    data_type: DataType
    kind: Kind
    period: Period
    """What time the combined view shows."""
    currency: Literal["trading", "reporting"] = "reporting"
    """What money is in: the currency that it trades in, or that of the company's books."""
    bounds: Bounds = Bounds()
    tolerance: float = Option(0.0, ge=0)
    """Values agree that differ by no more than this part of the larger one."""
    scale: float | None = Option(None, gt=1)
    """A change by this factor or more between two snapshots is held back; None: only changes by a
    power of ten that is a unit (100, 1000, 1000000) are."""
    expected_for: tuple[AssetClass, ...] = ()
    """The asset classes of which it counts as missing where it is."""
    strategy: Strategy = "priority"
    priority: tuple[Client, ...] = ()
    """Whom to believe first; by default as its data type says. Complete once loaded."""
    sources: dict[Client, Sources]
