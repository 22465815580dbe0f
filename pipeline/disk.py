"""How much room a folder has."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

GIB: Final = 1024**3
LITTLE: Final = 5 * GIB
"""With less free somebody should look."""
NOTHING: Final = GIB // 2
"""With less free nothing can be relied on."""


@dataclass(frozen=True, slots=True)
class Room:
    """What is free where a folder is, or will be.

    Attributes:
        place: The folder, or the nearest one above it that exists.
        free: Bytes.
    """

    place: Path
    free: int

    @property
    def state(self) -> Literal["enough", "little", "nothing"]:
        """Whether that is enough."""
        if self.free < NOTHING:
            return "nothing"
        return "enough" if self.free > LITTLE else "little"

    def __str__(self) -> str:
        return f"{self.free / GIB:.1f} GiB free in {self.place}"


def room(folder: Path) -> Room:
    """Return how much is free where a folder is, or will be made."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    return Room(place, shutil.disk_usage(place).free)
