"""Raw values, strictly: a number is one, and nothing is made of what is not there."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from pipeline.fundamentals.fields import Source, Unit
from pipeline.fundamentals.shapes.common import day, day_of_epoch, shown

_MISSING: Final = frozenset({"", "-", "None"})
_NUMBER: Final = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$", re.ASCII)
_CURRENCY: Final = re.compile(r"^[A-Z]{3}$", re.ASCII)
_NOTHING: Final = frozenset({"nan", "null", "none", "undefined", "n/a"})
_LONGEST: Final = 200
_DIGITS: Final = 350
"""More than a float can have, and few enough for exact arithmetic."""
_YEARS: Final = range(1900, 2200)

# The hundredth of a currency, as vendors write it: pence, cents of the rand, agorot.
_MINOR: Final[Mapping[str, str]] = {"GBp": "GBP", "GBX": "GBP", "ZAc": "ZAR", "ILA": "ILS"}

_FACTORS: Final[Mapping[Unit | None, Decimal]] = {
    None: Decimal(1),
    "percent": Decimal("0.01"),
    "thousands": Decimal(1_000),
    "millions": Decimal(1_000_000),
}
_HUNDREDTH: Final = Decimal("0.01")


class Unusable(Exception):
    """A raw value is not what it has to be; the message says what it is instead."""


def is_missing(raw: object) -> bool:
    """Whether a vendor says with this that it has no value."""
    if isinstance(raw, str):
        return raw.strip() in _MISSING
    return raw is None or (isinstance(raw, dict | list) and not raw)


def number(raw: object, source: Source, *, as_text: bool, in_minor_unit: bool) -> float | None:
    """Return a number in its field's own unit; None for a 0 that means "not reported".

    Args:
        raw: What the vendor wrote.
        source: How it writes this number.
        as_text: Whether it may be written as text.
        in_minor_unit: Whether it is in hundredths.

    Raises:
        Unusable: It is no number, or none that can be kept.
    """
    exact = _exact(raw, as_text=as_text)
    if not exact and source.zero == "missing":
        return None
    factor = _FACTORS[source.unit] * (_HUNDREDTH if in_minor_unit else 1)
    value = float(exact.scaleb(factor.adjusted()))
    if not math.isfinite(value) or (exact and not value):
        raise Unusable("is beyond all numbers that can be kept")
    return (-value if source.opposite_sign else value) + 0.0  # never -0.0


def _exact(raw: object, *, as_text: bool) -> Decimal:
    if isinstance(raw, bool):
        raise Unusable("is true or false, not a number")
    if isinstance(raw, str):
        if not as_text:
            raise Unusable("is text, not a number")
        if not _NUMBER.match(raw.strip()):
            raise Unusable("is text that is no number")
        raw = Decimal(raw.strip())
    if not isinstance(raw, int | Decimal):
        raise Unusable("is nested, not a number")
    exact = Decimal(raw)
    if not exact.is_finite() or abs(exact.adjusted()) > _DIGITS:
        raise Unusable("is not finite, or beyond all numbers that can be kept")
    return exact


def words(raw: object) -> str:
    """Return words, with single spaces.

    Raises:
        Unusable: It is no text, or text that cannot be shown or is far too long.
    """
    if not isinstance(raw, str):
        raise Unusable("is not text")
    text = " ".join(raw.split())
    if len(text) > _LONGEST:
        raise Unusable(f"is {len(text)} characters long, more than {_LONGEST}")
    if text.casefold() in _NOTHING:
        raise Unusable("is what programs write for nothing")
    if not text.isprintable():
        raise Unusable("holds characters that cannot be shown")
    return text


def calendar_day(raw: object, source: Source) -> date | None:
    """Return a day; None for a 0 that means "not reported".

    Raises:
        Unusable: It is none.
    """
    if source.zero == "missing" and raw == 0 and not isinstance(raw, bool):
        return None
    found = day_of_epoch(raw) if source.unit == "epoch_seconds" else day(raw)
    return only_day(found)


def only_day(found: object) -> date:
    """Return what has to be a day.

    Raises:
        Unusable: It is none.
    """
    if not isinstance(found, date) or isinstance(found, datetime):
        raise Unusable(f"{shown(found)} is no day")
    if found.year not in _YEARS:
        raise Unusable(f"{found} is not in a year from {_YEARS.start} to {_YEARS.stop - 1}")
    return found


def currency(word: object) -> tuple[str, bool]:
    """Return the three letters of a currency, and whether the word is for a hundredth of it.

    Raises:
        Unusable: It is no currency.
    """
    if is_missing(word):
        raise Unusable("is money, and the document does not say in which currency")
    if isinstance(word, str):
        if word in _MINOR:
            return _MINOR[word], True
        if _CURRENCY.match(word):
            return word, False
    raise Unusable(f"is in {shown(word)}, which is no currency")
