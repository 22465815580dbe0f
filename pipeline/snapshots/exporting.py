"""Taking snapshots out to files.

What belongs here: which file is written. What is in it is `files`' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import psycopg

from pipeline.folders import Folder
from pipeline.snapshots.files import BadFile, Show, SnapshotFile, decoded
from pipeline.store import archived


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of a snapshot.

    Attributes:
        snapshot: Its number.
        path: Its place below the folder; None if its payload is gone for good.
        outcome: `written`, `kept` (the file was there as it should be) or `gone`.
    """

    snapshot: int
    path: str | None
    outcome: Literal["written", "kept", "gone"]


def export_snapshots(
    connection: psycopg.Connection,
    folder: Folder,
    provider: str | None,
    instrument: str | None,
    show: Show,
) -> list[Exported]:
    """Write a file for each snapshot that has its payload, or had it pruned not long ago.

    Args:
        connection: An open connection.
        folder: Where to.
        provider: Only this provider's; None for all.
        instrument: Only those about this instrument, by key; None for all.
        show: Told how far it is.

    Raises:
        DestinationError: A file cannot be read or written.
    """
    numbers = archived.snapshot_numbers(connection, provider, instrument)
    done = []
    for count, number in enumerate(numbers, 1):
        done.append(_export(connection, folder, number))
        show(count, len(numbers))
    return done


def _export(connection: psycopg.Connection, folder: Folder, number: int) -> Exported:
    found = archived.whole_snapshot(connection, number)
    if found["payload"] is None:
        return Exported(number, None, "gone")
    file = SnapshotFile(**found)
    data = file.encoded()
    path, there = next(
        (path, there)
        for path in file.paths
        for there in [folder.read(path)]
        if there is None or not _is_another(path, there, file)
    )
    if there == data:
        return Exported(number, path, "kept")
    folder.write(path, data)
    return Exported(number, path, "written")


def _is_another(path: str, data: bytes, file: SnapshotFile) -> bool:
    try:
        return decoded(path, data).identity != file.identity
    except BadFile:
        return False  # torn: it is written anew
