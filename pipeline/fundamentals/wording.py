"""Values of fields in words, short enough for a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

_LARGE: Final = ((1e12, "T"), (1e9, "B"), (1e6, "M"))
_LONGEST: Final = 40


def worded(kind: str | None, value: float | str | date | None, currency: str | None = None) -> str:
    """Return a value as a person writes it: `391.04 B USD`, `41.2 %`, `2024-09-28`.

    Args:
        kind: What the field is (`pipeline.fundamentals.fields.Kind`).
        value: The value in the field's own unit; None for nothing.
        currency: What an amount is in.
    """
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"
    if kind == "fraction":
        return f"{100 * value:.4g} %"
    if kind == "per_share":
        number = f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"
    else:
        number = _short(value)
    return f"{number} {currency}" if currency else number


def candidate_worded(kind: str | None, said: Mapping[str, Any]) -> str:
    """Return the value of a candidate, as the ledger stores it, in words."""
    value = said["value"]
    number_or_words = value if isinstance(value, str) else float(value)
    return worded(kind, number_or_words, said.get("currency"))


def said_by(kind: str | None, candidates: Sequence[Mapping[str, Any]]) -> str:
    """Return what each provider says of a field, in a line."""
    return ", ".join(f"{one['provider']} {candidate_worded(kind, one)}" for one in candidates)


def aged(age: timedelta | None) -> str:
    """Return an age in days, or in hours or minutes where it is young."""
    if age is None:
        return ""
    minutes = int(age.total_seconds()) // 60
    if minutes < 60:  # noqa: PLR2004  of an hour
        return f"{minutes} min"
    return f"{minutes // 60} h" if age < timedelta(days=2) else f"{age.days} d"


def spread_worded(kind: str | None, spread: float | None) -> str:
    """Return how far values lie apart: part of the value, or days."""
    if spread is None:
        return ""
    return f"{spread:g} d" if kind == "date" else f"{100 * spread:.2g} %"


def _short(value: float) -> str:
    for size, letter in _LARGE:
        if abs(value) >= size:
            return f"{value / size:,.2f} {letter}"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"
