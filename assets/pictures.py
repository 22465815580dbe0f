"""A small picture of a month's bars: the close as a line, its gaps left open.

Drawn by hand as SVG: importing a plotting library costs a run more than all its pictures, and
such a picture is a tenth of a PNG in Dagster's event log.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

from pipeline.store.cells import Slice

_WIDTH, _HEIGHT, _STRIP = 320, 64, 4
_LINE, _PRESENT = "#4f8ff7", "#8aa4c8"


def picture(shape: Sequence[Slice], number: int) -> str:
    """Draw a month as a Markdown image.

    Args:
        shape: The slices that have bars, in order of time.
        number: How many slices the whole month has.
    """
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT + _STRIP}">'
        f'<path fill="none" stroke="{_LINE}" stroke-width="1.3" d="{_line(shape, number)}"/>'
        f'<path stroke="{_PRESENT}" stroke-width="{_STRIP}" d="{_strip(shape, number)}"/></svg>'
    )
    return f"![bars](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _line(shape: Sequence[Slice], number: int) -> str:
    low, high = min(piece.low for piece in shape), max(piece.high for piece in shape)
    scale = (_HEIGHT - 6) / (high - low) if high > low else 0.0
    width = _WIDTH / number
    parts = []
    for run in _runs(shape):
        points = []
        for piece in run:
            x = round((piece.number + 0.5) * width)
            top, bottom = (round(3 + (high - value) * scale) for value in (piece.high, piece.low))
            points.append(f"{x},{bottom}" if top == bottom else f"{x},{top}V{bottom}")
        # A slice of its own would be a line without length, which nobody sees.
        parts.append(f"M{'L'.join(points)}" + ("h1" if len(points) == 1 else ""))
    return "".join(parts)


def _strip(shape: Sequence[Slice], number: int) -> str:
    """Underline what is present."""
    width = _WIDTH / number
    y = _HEIGHT + _STRIP // 2
    return "".join(
        f"M{round(run[0].number * width)},{y}H{round((run[-1].number + 1) * width)}"
        for run in _runs(shape)
    )


def _runs(shape: Sequence[Slice]) -> Iterator[Sequence[Slice]]:
    start = 0
    for index in range(1, len(shape) + 1):
        if index == len(shape) or shape[index].number != shape[index - 1].number + 1:
            yield shape[start:index]
            start = index
