"""How faults change the bars of an answer, or the decoded rows after they were written.

What keeps a number a number is done to bars; what does not (null, text) is done to rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from venue.bars import DAY_MS, MINUTE_MS, UNIT, Bars, Ints, join

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from venue.dialects.base import Dialect, Json
    from venue.faults import Fault
    from venue.market import Market
    from venue.pages import Window

_EXTRA_STEPS = 5
_RESTATED_PERMILLE = 1001
_SECONDS_OFF = 17


@dataclass(frozen=True, slots=True)
class Scene:
    """The request around the bars."""

    market: Market
    window: Window


def _prelisting_garbage(bars: Bars, fault: Fault, scene: Scene) -> Bars:
    """Put rows with nonsense stamps and values before the answer, if it starts before listing."""
    del fault
    start_ms = scene.window.start_ms
    if start_ms >= scene.market.listed_at:
        return bars
    ts = np.array([0, 1, max(start_ms - DAY_MS, 2), 4_102_444_800_000], np.int64)
    zero, huge = np.zeros_like(ts), np.full_like(ts, 10**6 * UNIT)
    return join([Bars(ts, zero, huge, zero, huge, zero, zero), bars])


def _outside_window(bars: Bars, fault: Fault, scene: Scene) -> Bars:
    """Add the five bars before and the five after those asked for, as far as there are any."""
    del fault
    if not len(bars):
        return bars
    step_ms, now_ms = scene.window.step_ms, scene.window.now_ms
    first, after = int(bars.ts[0]), int(bars.ts[-1]) + step_ms
    edge = _EXTRA_STEPS * step_ms
    before = scene.market.bars_until(step_ms, first - edge, first, now_ms)
    behind = scene.market.bars_until(step_ms, after, after + edge, now_ms)
    return join([before, bars, behind])


def _duplicates(bars: Bars, fault: Fault, scene: Scene) -> Bars:
    """Send every third row twice; the second differs with the variant `conflicting`."""
    del scene
    order = np.sort(np.r_[np.arange(len(bars)), np.arange(0, len(bars), 3)])
    twice = bars.take(order)
    if fault.variant != "conflicting":
        return twice
    second = np.r_[False, order[1:] == order[:-1]]
    return _restated(twice, second)


def _clock_shift(bars: Bars, fault: Fault, scene: Scene) -> Bars:
    """Stamp every row `shift_minutes` late."""
    del scene
    return replace(bars, ts=bars.ts + fault.shift_minutes * MINUTE_MS)


def _restate(bars: Bars, fault: Fault, scene: Scene) -> Bars:
    """Raise closes and highs by a thousandth, in `from`..`to` if given."""
    del scene
    changed = np.ones(len(bars), bool)
    if fault.from_ms is not None:
        changed &= bars.ts >= fault.from_ms
    if fault.to_ms is not None:
        changed &= bars.ts < fault.to_ms
    return _restated(bars, changed)


def _restated(bars: Bars, changed: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Bars:
    close: Ints = np.where(changed, bars.close * _RESTATED_PERMILLE // 1000, bars.close)
    return replace(bars, close=close, high=np.maximum(bars.high, close))


def _short_page(bars: Bars, fault: Fault, scene: Scene) -> Bars:
    """Leave out the second half of the rows."""
    del fault, scene
    return bars.take(slice(0, len(bars) // 2))


def _unsorted(bars: Bars, fault: Fault, scene: Scene) -> Bars:
    """Shuffle the rows, always in the same way."""
    del fault, scene
    return bars.take(np.random.default_rng(len(bars)).permutation(len(bars)))


_BARS: dict[str, Callable[[Bars, Fault, Scene], Bars]] = {
    "prelisting_garbage": _prelisting_garbage,
    "outside_window": _outside_window,
    "duplicates": _duplicates,
    "clock_shift": _clock_shift,
    "restate": _restate,
    "short_page": _short_page,
    "unsorted": _unsorted,
}
_SPOILED: Mapping[str, object] = {"nan": "NaN", "null": None, "text": "abc"}
_SHAPED = ("high_below_low", "negative", "off_minute")

BAR_KINDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_BARS, ()),
    "duplicates": ("identical", "conflicting"),
}
ROW_KINDS: Mapping[str, tuple[str, ...]] = {
    "bad_values": (*_SPOILED, *_SHAPED),
    "page_token": ("repeated", "dropped"),  # where answers name the next page
}


def change_bars(bars: Bars, fault: Fault, scene: Scene) -> Bars:
    """Return the bars as a fault of `BAR_KINDS` makes them."""
    return _BARS[fault.kind](bars, fault, scene)


def spoil_rows(document: Json, fault: Fault, dialect: Dialect, query: Mapping[str, str]) -> None:
    """Spoil a decoded answer as a fault of `ROW_KINDS` does.

    Of bad values every fifth row gets one, of one variant or of each in turn.
    """
    if fault.kind == "page_token":
        dialect.spoil_token(document, fault.variant or "repeated", query)
        return
    rows = dialect.rows_of(document, fault.symbol)
    variants = [fault.variant] if fault.variant else ROW_KINDS["bad_values"]
    for turn, row in enumerate(rows[::5]):
        _spoil(row, variants[turn % len(variants)], dialect.row_fields)


def _spoil(row: Json, variant: str, places: Mapping[str, int | str]) -> None:
    high, low, close, ts = (places[name] for name in ("high", "low", "close", "ts"))
    if variant in _SPOILED:
        row[close] = _SPOILED[variant]
    elif variant == "negative":
        row[close] = type(row[close])(f"-{row[close]}")
    elif variant == "high_below_low":
        below = float(row[low]) / 2
        row[high] = type(row[high])(below)
    elif str(row[ts]).endswith("Z"):
        row[ts] = f"{row[ts].removesuffix('00Z')}{_SECONDS_OFF}Z"
    else:
        stamp = int(row[ts])
        moved = stamp + _SECONDS_OFF * (1000 if stamp > 10**11 else 1)
        row[ts] = type(row[ts])(moved)
