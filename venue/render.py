"""Numbers to text, a whole column at a time.

A page of a thousand rows is written in well under a millisecond because digits are looked up four
at a time for all rows at once: every field becomes a matrix of characters, with zero bytes where a
row is shorter than others. Python-level formatting of single numbers would cost ten times as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from venue.bars import DECIMALS, UNIT, Ints

if TYPE_CHECKING:
    from collections.abc import Sequence

Field = npt.NDArray[np.uint8]

_ZERO = ord("0")
_NOTHING = b"\0"  # a place of the matrix where this row writes no character
_GROUP = 10_000
_GROUPS = np.frombuffer("".join(f"{n:04d}" for n in range(_GROUP)).encode(), np.uint32)
_JS_EXPONENT_BELOW = 100  # JavaScript writes numbers below 1e-6 with an exponent
_JS_TENTHS_FROM = 10


class Style(Enum):
    """How decimals are written."""

    FIXED = "fixed"  # 1.50000000
    TRIMMED = "trimmed"  # 1.5, and 2 for 2.0
    JAVASCRIPT = "javascript"  # trimmed, and 3e-7 for very small numbers


@dataclass(frozen=True, slots=True)
class Lines:
    """Rendered rows: row i is blob[at[i]:at[i + 1]] and ends with a comma."""

    ts: Ints
    blob: bytes
    at: Ints

    def __len__(self) -> int:
        return len(self.ts)

    def between(self, start_ms: int, stop_ms: int) -> Lines:
        """Return the rows with start <= ts < stop; the rows must be ascending."""
        first, last = np.searchsorted(self.ts, [start_ms, stop_ms])
        return self.cut(int(first), int(last))

    def cut(self, first: int, last: int) -> Lines:
        """Return rows first..last (exclusive)."""
        if first == 0 and last == len(self):
            return self
        base, end = int(self.at[first]), int(self.at[last])
        return Lines(self.ts[first:last], self.blob[base:end], self.at[first : last + 1] - base)

    def rows(self) -> list[bytes]:
        """Return the text of each row, without the comma."""
        at = self.at.tolist()
        return [self.blob[a : b - 1] for a, b in pairwise(at)]


def _split(values: Ints, by: int) -> tuple[Ints, Ints]:
    """Return quotient and remainder; numpy's own divmod takes three times as long."""
    quotient = values // by
    return quotient, values - quotient * by


def _digits(values: Ints, groups: int) -> Field:
    out = np.empty((len(values), groups), np.uint32)
    for column in range(groups - 1, 0, -1):
        values, low = _split(values, _GROUP)
        out[:, column] = _GROUPS[low]
    out[:, 0] = _GROUPS[values]
    return out.view(np.uint8).reshape(len(values), groups * 4)


def integer(values: Ints) -> Field:
    """Write non-negative integers without leading zeros."""
    longest = len(str(int(values.max(initial=0))))
    chars = _digits(values, -(-longest // 4))[:, -longest:]
    for place in range(1, longest):
        absent = values < 10**place
        if absent.any():
            chars[absent, longest - 1 - place] = 0
    return chars


def number(values: Ints, style: Style, decimals: int = DECIMALS) -> Field:
    """Write non-negative numbers given in units of 1e-8.

    `decimals` cuts the fraction (it does not round); with `Style.FIXED` it is their exact count.
    """
    whole, fraction = _split(values, UNIT)
    if decimals == 0:
        return integer(whole)
    digits = _digits(fraction, DECIMALS // 4)[:, :decimals]
    point = np.full((len(values), 1), ord("."), np.uint8)
    if style is not Style.FIXED:
        written = np.logical_or.accumulate(digits[:, ::-1] != _ZERO, axis=1)[:, ::-1]
        digits = digits * written
        point *= written[:, :1]
    field = np.hstack([integer(whole), point, digits])
    if style is Style.JAVASCRIPT:
        _write_exponents(values, field)
    return field


def _write_exponents(values: Ints, field: Field) -> None:
    for row in np.flatnonzero((values > 0) & (values < _JS_EXPONENT_BELOW)).tolist():
        units = int(values[row])
        text = f"{units}e-8" if units < _JS_TENTHS_FROM else f"{units / 10:g}e-7"
        field[row] = np.frombuffer(text.encode().ljust(field.shape[1], _NOTHING), np.uint8)


def lines(ts: Ints, parts: Sequence[bytes | Field]) -> Lines:
    """Put literal text and fields side by side into one line a row, and a comma after each."""
    texts = [np.frombuffer(p, np.uint8) if isinstance(p, bytes) else p for p in [*parts, b","]]
    chars = np.hstack([np.broadcast_to(text, (len(ts), text.shape[-1])) for text in texts])
    at = np.zeros(len(ts) + 1, np.int64)
    np.cumsum(np.count_nonzero(chars, axis=1), out=at[1:])
    return Lines(ts, chars.tobytes().translate(None, _NOTHING), at)
