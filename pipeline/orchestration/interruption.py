"""Ctrl-C and its relatives: one KeyboardInterrupt, and no second one while the end is under way."""

from __future__ import annotations

import signal
from types import FrameType

from pipeline.stopping import SIGNALS


class Interruption:
    """Turns the first SIGINT, SIGTERM or SIGHUP into a KeyboardInterrupt; later ones do nothing.

    Handlers are set, not ignored signals inherited: our children start with the defaults, even when
    a shell started us in the background with SIGINT ignored.
    """

    def __init__(self) -> None:
        self._spent = False
        for number in SIGNALS:
            signal.signal(number, self._handle)

    def ignore(self) -> None:
        """From now on do nothing any more: the end is under way already."""
        self._spent = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if not self._spent:
            self._spent = True
            raise KeyboardInterrupt
