"""Being told to stop: what is under way comes to its end first, and is kept.

A signal ends what the main thread is doing wherever that is; what providers have answered by then
would have to be asked for again.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""By which a process is told to stop in good order."""

STOPPING: Final = threading.Event()
"""Set while a signal is held back: nothing new is to be begun, and nothing waited for.

Signals are the process's, and so is this.
"""


@contextmanager
def finishing() -> Iterator[None]:
    """Hold signals back until the end of the block, however it ends; `STOPPING` tells of them.

    What is ignored stays so. In a thread other than the main one, in which no signal arrives, this
    does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        del frame
        held.append(number)
        STOPPING.set()

    before = {}
    try:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
                before[number] = signal.signal(number, hold)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        STOPPING.clear()
        if held:
            signal.raise_signal(held[0])
