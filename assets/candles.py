"""A picture of a month's bars: a candle a day and, behind them, when there are none, and why.

What belongs here: how a month looks, in some two kilobytes. Minutes without a trade are no gap to
show; what is shaded needs action or explanation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

from assets.pictures import image, runs, scale, strokes
from pipeline.intervals import Interval, common
from pipeline.store.cells import Candle
from pipeline.store.reasons import ReasonedGap

_UP, _DOWN, _PALE = "#2a9d8f", "#d64550", 0.4
ASKED_AGAIN, LOST = "#e8890c", "#8d8d8d"
COLOURS = {
    "failed": ASKED_AGAIN,
    "pending": ASKED_AGAIN,
    "outage": LOST,
    "halt": LOST,
    "history_limit": LOST,
    "not_listed": LOST,
}
"""The colour of each reason: whether the minutes will be asked for again, or cannot be had."""
_WORDS = {"history_limit": "not served", "not_listed": "not listed"}

_SMALLEST, _LARGEST, _DIGITS = 1e-3, 1e7, 5
_DAY = 10
"""Columns of a day."""
_LINE, _MIDDLE, _SCALE = 13, 4, 52  # height of a line of text, from its middle to its foot; width
_HEAD, _HEIGHT, _STRIP = 16, 64, 4
_BOTTOM = _HEAD + _HEIGHT
_FOOT = _BOTTOM + _STRIP + _LINE - 3
_LABELLED = (1, 8, 15, 22, 29)


def candle_picture(month: date, candles: Sequence[Candle], gaps: Sequence[ReasonedGap]) -> str:
    """Draw a month as a Markdown image; empty if there is nothing to draw.

    Args:
        month: Its first day.
        candles: Its daily bars in order of time. One that is not complete is pale.
        gaps: What touches the month and is to be shaded.
    """
    during = Interval.month(month)
    shown = [gap for gap in gaps if gap.since < during.end and gap.before > during.start]
    if not candles and not shown:
        return ""
    width = (during.end - during.start).days * _DAY
    title = f"{month:%B %Y}: {_change(candles) if candles else 'no bars'}"
    parts = [_text(0, 10, title), *_bands(during, shown), *_days(during)]
    if candles:
        parts += _prices(width, candles)
    legend = _legend(candles, shown)
    if legend:
        parts.append(_text(0, _FOOT + _LINE, legend))
    return image(title, width + _SCALE, _FOOT + (_LINE if legend else 0) + 3, parts)


def _change(candles: Sequence[Candle]) -> str:
    first, last = candles[0].open, candles[-1].close
    return _price(last) + (f" ({100 * (last / first - 1):+.1f} %)" if first > 0 else "")


def _bands(during: Interval, gaps: Sequence[ReasonedGap]) -> Iterator[str]:
    """Shade gaps, to whole columns, so that a minute is seen; and underline them."""
    for colour in (LOST, ASKED_AGAIN):
        pieces = (Interval(gap.since, gap.before) for gap in gaps if COLOURS[gap.reason] == colour)
        columns = {column for piece in common(pieces, during) for column in _columns(during, piece)}
        if not columns:
            continue
        found = list(runs(sorted(columns)))
        path = '<path stroke="{}" stroke-width="{}" stroke-opacity="{}" d="{}"/>'
        middle = _HEAD + _HEIGHT // 2
        yield path.format(colour, _HEIGHT, 0.22, strokes(found, middle))
        yield path.format(colour, _STRIP, 1, strokes(found, _BOTTOM + _STRIP // 2))


def _columns(during: Interval, piece: Interval) -> range:
    a_column = timedelta(days=1) / _DAY
    return range(
        (piece.start - during.start) // a_column, -((during.start - piece.end) // a_column)
    )


def _prices(width: int, candles: Sequence[Candle]) -> Iterator[str]:
    low, high = min(one.low for one in candles), max(one.high for one in candles)
    y = scale(low, high, _HEAD + 3, _HEIGHT - 7)
    for colour, rising in ((_UP, True), (_DOWN, False)):
        for opacity, complete in ((1, True), (_PALE, False)):
            alike = [c for c in candles if (c.close >= c.open, c.complete) == (rising, complete)]
            if alike:
                shapes = "".join(_candle(c.day, *map(y, (c.high, c.low, *_body(c)))) for c in alike)
                yield f'<path fill="{colour}" fill-opacity="{opacity}" d="{shapes}"/>'
    for price in sorted({low, high}):
        yield _text(width + 4, y(price) + _MIDDLE, _price(price))


def _body(candle: Candle) -> tuple[float, float]:
    return max(candle.open, candle.close), min(candle.open, candle.close)


def _candle(day: date, high: int, low: int, top: int, bottom: int) -> str:
    x, body, wick = (day.day - 1) * _DAY, max(bottom - top, 1), max(low - high, 1)
    return f"M{x + 2},{top}h7v{body}h-7zM{x + 5},{high}h1v{wick}h-1z"


def _days(during: Interval) -> Iterator[str]:
    last = (during.end - timedelta(days=1)).day
    for day in _LABELLED:
        if day <= last:
            yield _text((day - 1) * _DAY + _DAY // 2, _FOOT, str(day), "middle")


def _legend(candles: Sequence[Candle], gaps: Iterable[ReasonedGap]) -> str:
    reasons, parts = {gap.reason for gap in gaps}, []
    for colour in (ASKED_AGAIN, LOST):
        mine = [name for name in COLOURS if name in reasons and COLOURS[name] == colour]
        if mine:
            words = ", ".join(_WORDS.get(name, name) for name in mine)
            parts.append(f'<tspan fill="{colour}">\u25a0</tspan> {words}')
    if not all(candle.complete for candle in candles):
        parts.append("pale: not complete")
    return "\u2003".join(parts)


def _text(x: int, y: int, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>'


def _price(value: float) -> str:
    """Return a price in at most nine characters, and a sign."""
    if not value:
        return "0"
    if not _SMALLEST <= abs(value) < _LARGEST:
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:,.{max(_DIGITS - 1 - math.floor(math.log10(abs(value))), 0)}f}"
