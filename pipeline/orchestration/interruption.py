"""Ctrl-C and its relatives: one KeyboardInterrupt, never in the middle of what must be whole."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Turns the first SIGINT, SIGTERM or SIGHUP into a KeyboardInterrupt; later ones do nothing.

    Handlers are set, not ignored signals inherited: our children start with the defaults, even when
    a shell started us in the background with SIGINT ignored.
    """

    def __init__(self) -> None:
        self._shielded = False
        self._pending = False
        self._spent = False
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Hold an interruption back until the end of the block."""
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False
        if self._pending:
            self._raise()

    def ignore(self) -> None:
        """From now on do nothing any more: the end is under way already."""
        self._spent = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._spent:
            return
        self._pending = True
        if not self._shielded:
            self._raise()

    def _raise(self) -> None:
        self._spent, self._pending = True, False
        raise KeyboardInterrupt
