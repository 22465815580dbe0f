"""Small pictures for Dagster's pages, and a month's bars as a line that its gaps leave open.

Drawn by hand as SVG: importing a plotting library costs a run more than all its pictures, and
such a picture is a tenth of a PNG in Dagster's event log. What belongs here besides the line is
what all pictures share; colours are to be readable on light and on dark pages.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from xml.sax.saxutils import escape

from pipeline.store.cells import Slice

TEXT = "#767676"
_WIDTH, _HEIGHT, _STRIP = 320, 64, 4
_LINE, _PRESENT = "#4f8ff7", "#8aa4c8"


def image(title: str, width: int, height: int, parts: Iterable[str]) -> str:
    """Return elements of SVG as a Markdown image.

    Args:
        title: What it shows, without brackets.
        width: Pixels.
        height: Pixels.
        parts: The elements; text in them is grey, small and without serifs.
    """
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="10" fill="{TEXT}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def scale(low: float, high: float, top: int, height: int) -> Callable[[float], int]:
    """Return what turns a price into a y; one price alone is in the middle."""

    def y(price: float) -> int:
        share = (high - price) / (high - low) if high > low else 0.5
        return round(top + share * height)

    return y


def runs(numbers: Iterable[int]) -> Iterator[range]:
    """Yield ascending numbers as the ranges that they make."""
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        found = [number for _, number in run]
        yield range(found[0], found[-1] + 1)


def strokes(found: Iterable[range], y: int, width: float = 1) -> str:
    """Return a path of horizontal strokes over ranges of columns, each `width` wide."""
    return "".join(f"M{round(run.start * width)},{y}H{round(run.stop * width)}" for run in found)


def picture(shape: Sequence[Slice], number: int) -> str:
    """Draw a month as a Markdown image.

    Args:
        shape: The slices that have bars, in order of time.
        number: How many slices the whole month has.
    """
    present = strokes(runs(piece.number for piece in shape), _HEIGHT + _STRIP // 2, _WIDTH / number)
    return image(
        "bars",
        _WIDTH,
        _HEIGHT + _STRIP,
        [
            f'<path fill="none" stroke="{_LINE}" stroke-width="1.3" d="{_line(shape, number)}"/>',
            f'<path stroke="{_PRESENT}" stroke-width="{_STRIP}" d="{present}"/>',
        ],
    )


def _line(shape: Sequence[Slice], number: int) -> str:
    low, high = min(piece.low for piece in shape), max(piece.high for piece in shape)
    y, width = scale(low, high, 3, _HEIGHT - 6), _WIDTH / number
    pieces = {piece.number: piece for piece in shape}
    parts = []
    for run in runs(pieces):
        points = []
        for place in run:
            x, top, bottom = (
                round((place + 0.5) * width),
                y(pieces[place].high),
                y(pieces[place].low),
            )
            points.append(f"{x},{bottom}" if top == bottom else f"{x},{top}V{bottom}")
        # A slice of its own would be a line without length, which nobody sees.
        parts.append(f"M{'L'.join(points)}" + ("h1" if len(points) == 1 else ""))
    return "".join(parts)
