"""From a question about a window to the rows of one page, quickly.

Rows are rendered in blocks of half a week of minutes and kept, within a bound, so that a page is
mostly a slice of bytes. Faults that change bars take the slow way: the rows, rendered once more.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from venue.bars import DAY_MS, MINUTE_MS, Bars, Ints

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from venue.market import Market
    from venue.render import Lines

_MINUTES_A_BLOCK = 5_040
_LONG_STEPS_A_BLOCK = 32
_DAYS_A_BLOCK = 64  # a block of long steps reads many minutes: keep it from taking seconds
_CACHE_BYTES = 192 * 2**20  # a million of the longest rows, for benchmarks that ask again


@dataclass(frozen=True, slots=True)
class Window:
    """What a request for candles asks: rows with start <= ts < stop, at most `limit`.

    `newest` says which end of the window survives the limit, `now_ms` when it was asked, `market`
    is the exchange's own id.
    """

    market: str
    step_ms: int
    start_ms: int
    stop_ms: int
    limit: int
    newest: bool
    now_ms: int
    descending: bool = False


class Renderer(Protocol):
    """The part of a dialect that writes rows."""

    def lines(self, bars: Bars, market: Market, step_ms: int) -> Lines:
        """Render one line a bar, ascending as given."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one answer, as ascending pieces."""

    pieces: tuple[Lines, ...]

    @property
    def ts(self) -> Ints:
        """Starts of all rows, UTC milliseconds."""
        return np.concatenate([np.empty(0, np.int64), *(piece.ts for piece in self.pieces)])

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    def cut(self, limit: int, *, newest: bool) -> Page:
        """Return at most so many of the rows, from the chosen end."""
        return _first(reversed(self.pieces) if newest else self.pieces, limit, newest=newest)

    def text(self, *, descending: bool) -> bytes:
        """Return the rows joined by commas."""
        if not descending:
            return b"".join(piece.blob for piece in self.pieces)[:-1]
        return b",".join(row for piece in reversed(self.pieces) for row in reversed(piece.rows()))


class Library:
    """Renders pages for the markets of one exchange and keeps the blocks it has rendered."""

    def __init__(self, renderer: Renderer, capacity_bytes: int = _CACHE_BYTES) -> None:
        self._renderer = renderer
        self._capacity = capacity_bytes
        self._size = 0
        self._blocks: OrderedDict[tuple[str, int, int], Lines] = OrderedDict()

    def page(self, market: Market, window: Window) -> Page:
        """Return the rows that the window holds now, the forming one included."""
        return _first(self._stretches(market, window), window.limit, newest=window.newest)

    def render(self, market: Market, window: Window, bars: Bars) -> Page:
        """Return a page of exactly these bars, in the order given."""
        return Page((self._renderer.lines(bars, market, window.step_ms),))

    def _stretches(self, market: Market, window: Window) -> Iterator[Lines]:
        """Yield all rows of the window, cached blocks and the forming bar, from its chosen end."""
        forming_ms = market.step_start(window.step_ms, window.now_ms)
        if not window.newest:
            yield from self._final(market, window, forming_ms)
        if window.start_ms <= forming_ms < window.stop_ms:
            forming = market.forming(window.step_ms, window.now_ms)
            yield self._renderer.lines(forming, market, window.step_ms)
        if window.newest:
            yield from self._final(market, window, forming_ms)

    def _final(self, market: Market, window: Window, forming_ms: int) -> Iterator[Lines]:
        first, end = market.source.span
        start_ms = max(window.start_ms, market.step_start(window.step_ms, first))
        stop_ms = min(window.stop_ms, forming_ms, end)
        if start_ms >= stop_ms:
            return
        length = _block_ms(window.step_ms)
        numbers = range(start_ms // length, (stop_ms - 1) // length + 1)
        for number in reversed(numbers) if window.newest else numbers:
            yield self._block(market, window.step_ms, number).between(start_ms, stop_ms)

    def _block(self, market: Market, step_ms: int, number: int) -> Lines:
        key = (str(market.symbol), step_ms, number)
        lines = self._blocks.get(key)
        if lines is None:
            length = _block_ms(step_ms)
            bars = market.bars(step_ms, number * length, (number + 1) * length)
            lines = self._blocks[key] = self._renderer.lines(bars, market, step_ms)
            self._size += len(lines.blob)
        self._blocks.move_to_end(key)
        while self._size > self._capacity and len(self._blocks) > 1:
            self._size -= len(self._blocks.popitem(last=False)[1].blob)
        return lines


def _first(stretches: Iterable[Lines], limit: int, *, newest: bool) -> Page:
    """Return at most so many rows of pieces that begin at the chosen end."""
    pieces: list[Lines] = []
    for lines in stretches:
        count = min(limit, len(lines))
        first = len(lines) - count if newest else 0
        pieces.append(lines.cut(first, first + count))
        limit -= count
        if not limit:
            break
    return Page(tuple(reversed(pieces) if newest else pieces))


def _block_ms(step_ms: int) -> int:
    long_ms = min(_LONG_STEPS_A_BLOCK * step_ms, _DAYS_A_BLOCK * DAY_MS)
    return max(_MINUTES_A_BLOCK * MINUTE_MS, long_ms)
