"""Folders for what tests throw away, databases above all.

A database is nine hundred small files, and most tests have one of their own. A disk's file system
takes ten times as long to make and delete them as memory does, even where nothing is synced.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 4 * 2**30


def new_folder(prefix: str = "ml-") -> Path:
    """Make an empty folder, in memory if there is plenty of it; the caller deletes it.

    Its path is short, because databases have their sockets below it.
    """
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_MEMORY if _is_roomy() else None)).resolve()


def _is_roomy() -> bool:
    writable = os.access(_MEMORY, os.W_OK | os.X_OK)
    return writable and shutil.disk_usage(_MEMORY).free >= _ENOUGH_BYTES
