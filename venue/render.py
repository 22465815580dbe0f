"""Numbers to text, a whole column at a time.

A row is a record of fixed width in which every four digits are one 32-bit word, looked up for all
rows at once. Places where a row has fewer characters than others hold a zero byte, and one pass
over the finished block takes those out. So a page of a thousand rows is written in well under a
millisecond; formatting its numbers one by one would cost ten times as much.
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
    from collections.abc import Iterable, Sequence

Words = npt.NDArray[np.uint32]
Column = npt.NDArray[np.uint32] | npt.NDArray[np.uint8]
Field = list[Column]
"""The columns of a field from left to right: words of four characters, or single characters."""

_NOTHING = "\0"
_GROUP = 10_000
_GROUP_DIGITS = 4
_POINT = ord(".")
_EXPONENT_BELOW = 100  # units of 1e-8: JavaScript writes numbers below 1e-6 with an exponent


class Style(Enum):
    """How decimals are written."""

    FIXED = "fixed"  # 1.50000000
    TRIMMED = "trimmed"  # 1.5, and 2 for 2.0
    JAVASCRIPT = "javascript"  # trimmed, and 3e-7 for very small numbers


def _words(texts: Iterable[str]) -> Words:
    return np.frombuffer(
        "".join(t.ljust(_GROUP_DIGITS, _NOTHING) for t in texts).encode(), np.uint32
    )


def _exponential(units: int) -> str:
    return f"{units}e-8" if units % 10 == units else f"{units / 10:g}e-7"


_ALL = [f"{n:04d}" for n in range(_GROUP)]
_FULL = _words(_ALL)
_LEADING = _words(text.lstrip("0") for text in _ALL)
_LAST = _words(text.lstrip("0") or "0" for text in _ALL)
_CUT = [_words(text[:digits] for text in _ALL) for digits in range(_GROUP_DIGITS + 1)]
_TRIMMED = _words(text.rstrip("0") for text in _ALL)
_EXPONENTS = [_words(_exponential(n)[i : i + 4] for n in range(_EXPONENT_BELOW)) for i in (0, 4)]


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
        return [self.blob[start : end - 1] for start, end in pairwise(self.at.tolist())]


def text(values: npt.NDArray[np.bytes_]) -> Field:
    """Write texts of equal length."""
    return list(values.view(np.uint8).reshape(len(values), values.itemsize).T)


def _split(values: Ints, by: int) -> tuple[Ints, Ints]:
    """Return quotient and remainder; numpy's own divmod takes three times as long."""
    quotient = values // by
    return quotient, values - quotient * by


def integer(values: Ints) -> Field:
    """Write non-negative integers without leading zeros."""
    field: Field = []
    table, largest = _LAST, int(values.max(initial=0))
    while largest >= _GROUP:
        above, low = _split(values, _GROUP)
        field.insert(0, np.where(above == 0, table[low], _FULL[low]))
        table, values, largest = _LEADING, above, largest // _GROUP
    return [table[values], *field]


def number(values: Ints, style: Style, decimals: int = DECIMALS) -> Field:
    """Write non-negative numbers given in units of 1e-8.

    `decimals` cuts the fraction (it does not round); with `Style.FIXED` it is their exact count.
    """
    whole, fraction = _split(values, UNIT)
    high, low = _split(fraction, _GROUP)
    point = np.full(len(values), _POINT if decimals else 0, np.uint8)
    if style is Style.FIXED:
        more = max(decimals - _GROUP_DIGITS, 0)
        return [*integer(whole), point, _CUT[min(decimals, _GROUP_DIGITS)][high], _CUT[more][low]]
    point *= fraction != 0
    field = [*integer(whole), point, np.where(low == 0, _TRIMMED[high], _FULL[high]), _TRIMMED[low]]
    if style is Style.JAVASCRIPT:
        _write_exponents(values, field)
    return field


def _write_exponents(values: Ints, field: Field) -> None:
    small = (values > 0) & (values < _EXPONENT_BELOW)
    if small.any():
        for column in field:
            column[small] = 0
        for column, table in zip(field[-2:], _EXPONENTS, strict=True):
            column[small] = table[values[small]]


def lines(ts: Ints, parts: Sequence[bytes | Field]) -> Lines:
    """Put literal text and fields side by side into one line a row, and a comma after each.

    The last part must be literal and end with a character that occurs nowhere else in a row: the
    closing bracket, by which the rows are told apart.
    """
    template = bytearray()
    columns: dict[int, Column] = {}
    for part in [*parts, b","]:
        if isinstance(part, bytes):
            template += part
            continue
        for column in part:
            columns[len(template)] = column
            template += bytes(column.itemsize)
    chars = np.tile(np.frombuffer(template, np.uint8), (len(ts), 1))
    record = {
        "names": [str(offset) for offset in columns],
        "formats": [column.dtype for column in columns.values()],
        "offsets": list(columns),
        "itemsize": len(template),
    }
    rows = chars.reshape(-1).view(np.dtype(record))  # type: ignore[call-overload]
    for offset, column in columns.items():
        rows[str(offset)] = column
    blob = chars.tobytes().translate(None, _NOTHING.encode())
    brackets = np.flatnonzero(np.frombuffer(blob, np.uint8) == template[-2])
    return Lines(ts, blob, np.concatenate([[0], brackets + 2]))
