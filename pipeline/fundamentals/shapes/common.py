"""What all vendors' documents have in common: JSON, days, and somebody whom they are about."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Final

from pipeline.fundamentals.values import UnusableDocument
from pipeline.symbols.normal import stock_key

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = re.compile(r"^\d{4}-\d{2}-\d{2}", re.ASCII)
_FEW: Final = 10
_SHOWN: Final = 100
_REPR: Final = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = _SHOWN


def read_json(payload: str) -> object:
    """Return what a JSON document holds; numbers with a point are Decimals.

    Raises:
        UnusableDocument: It is empty, not JSON, or gives a name twice in one object.
    """
    if not payload.strip():
        raise UnusableDocument("is empty")
    try:
        return json.loads(
            payload, parse_float=_decimal, parse_constant=Decimal, object_pairs_hook=_object
        )
    except (ValueError, RecursionError) as error:
        raise UnusableDocument(f"is not JSON ({error}); it begins {shown(payload)}") from None


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond all numbers
        return Decimal("NaN")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnusableDocument(f"names {shown(twice)} twice in one place")
    return found


def shown(raw: object) -> str:
    """Write a raw value so that it can be printed and stored: short, without odd characters."""
    text = str(raw) if isinstance(raw, Decimal) else _REPR.repr(raw)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def mapping(raw: object, what: str) -> Mapping[str, object]:
    """Return what has to be an object.

    Raises:
        UnusableDocument: It is something else.
    """
    if not isinstance(raw, dict):
        raise UnusableDocument(f"{what} must be an object, not {shown(raw)}")
    return raw


def sequence(raw: object, what: str) -> Sequence[object]:
    """Return what has to be a list.

    Raises:
        UnusableDocument: It is something else.
    """
    if not isinstance(raw, list):
        raise UnusableDocument(f"{what} must be a list, not {shown(raw)}")
    return raw


def check_symbol(asked: str, said: object) -> None:
    """See that a document is about the symbol that was asked for, in whichever spelling.

    Raises:
        UnusableDocument: It is about another, or does not say.
    """
    if not isinstance(said, str) or not said.strip():
        raise UnusableDocument(f"does not say whether it is about {asked}")
    if not said.isascii() or stock_key(said.upper()) != stock_key(asked.upper()):
        raise UnusableDocument(f"is about {shown(said)}, not about {asked}")


def day(raw: object) -> object:
    """Return the `date` that text begins with (2024-09-28, 2024-09-28T00:00:00), or what it is."""
    found = moment(raw, UTC)
    return found.date() if isinstance(found, datetime) else found


def moment(raw: object, zone: tzinfo) -> object:
    """Return the moment that text tells, in UTC; a `date` if it tells no time; or what it is.

    Args:
        raw: What may be a day or a moment, as in ISO 8601.
        zone: Whose clock it is, where the text does not say.
    """
    if not isinstance(raw, str) or not _DAY.match(raw.strip()):
        return raw
    try:
        found = datetime.fromisoformat(raw.strip())
        if len(raw.strip()) == len("2024-09-28"):
            return found.date()
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return raw


def day_of_epoch(raw: object) -> object:
    """Return the `date` of a number of seconds since 1970, UTC, or what it is if it is none."""
    if isinstance(raw, bool) or not isinstance(raw, int | Decimal):
        return raw
    try:
        return (EPOCH + timedelta(seconds=float(raw))).date()
    except (ValueError, OverflowError):
        return raw


def flat(
    raw: Mapping[str, object], front: str = "", depth: int = 5
) -> Iterator[tuple[str, object]]:
    """Yield what nested objects hold by the way to it: `market_data.market_cap.usd`, `dates[0]`.

    What is nested comes itself too, then what is in it: down to `depth`, and of short lists.
    """
    for name, value in raw.items():
        way = f"{front}{name}"
        yield way, value
        if isinstance(value, dict) and depth:
            yield from flat(value, f"{way}.", depth - 1)
        elif isinstance(value, list) and len(value) <= _FEW:
            yield from ((f"{way}[{number}]", one) for number, one in enumerate(value))
