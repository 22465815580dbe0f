"""Snapshots as files: a JSON file for each, which says itself what it holds.

What belongs here: what is in a file, where it is, and how it is known to be sound.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Literal
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from pipeline.folders import Folder
from pipeline.fundamentals.values import Period

Show = Callable[[int, int], None]
"""Told how many files of how many are done."""


class BadFile(Exception):
    """A file is no snapshot that can be taken over; the message says which, why and what to do."""


class Accepted(BaseModel):
    """A value of a document of which a person has said that it is right.

    Attributes:
        field: The field.
        period: What time it is about.
        period_end: Last day of that; None where the document does not say.
        value: The value; a date as `2024-09-28`. It stays accepted where the same is read.
        currency: What it is in; None where the field has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str
    period: Period
    period_end: date | None
    value: float | str
    currency: str | None


class SnapshotFile(BaseModel):
    """What a file holds.

    Attributes:
        format: What tells it from other files. The first format has no `seen_at` and `accepted`.
        provider: Who sent the document.
        client: The kind of client that asked for it.
        instrument: The key of the instrument that it is about.
        symbol: The symbol that was asked for.
        document: Which document it is.
        fetched_at: When it first came, UTC.
        last_seen_at: When it last came unchanged, UTC.
        seen_at: When else it came unchanged, as far as that was noted, UTC.
        accepted: Which of its values a person has accepted.
        unusable: Why nothing in it was believed; None for a good one.
        sha256: Of the payload in UTF-8.
        payload: The document, character by character.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    format: Literal["minuteledger snapshot 1", "minuteledger snapshot 2"] = (
        "minuteledger snapshot 2"
    )
    provider: str
    client: str
    instrument: str
    symbol: str
    document: str
    fetched_at: AwareDatetime
    last_seen_at: AwareDatetime
    seen_at: tuple[AwareDatetime, ...] = ()
    accepted: tuple[Accepted, ...] = ()
    unusable: str | None
    sha256: str
    payload: str

    @property
    def paths(self) -> tuple[str, str]:
        """Its place below a folder, and the one where another of that second has the first."""
        when = self.fetched_at.astimezone(UTC)
        name = f"{self.provider}_{when:%Y%m%d_%H%M%S}"
        folder = f"{quote(self.instrument, safe='')}/{quote(self.document, safe='')}"
        return f"{folder}/{name}.json", f"{folder}/{name}_{when:%f}.json"

    @property
    def identity(self) -> tuple[str, str, str, str, datetime]:
        """What tells the snapshot from all others."""
        return self.provider, self.instrument, self.symbol, self.document, self.fetched_at

    def encoded(self) -> bytes:
        """Return the file."""
        return self.model_dump_json(indent=1).encode()


def read_file(folder: Folder, path: str) -> SnapshotFile:
    """Read a file whose payload is as it was written.

    Raises:
        BadFile: It is not.
        DestinationError: It cannot be read.
    """
    data = folder.read(path)
    if data is None:
        raise BadFile(f"{path} is not there any more; list the folder again")
    return decoded(path, data)


def decoded(path: str, data: bytes) -> SnapshotFile:
    """Return what a file holds.

    Raises:
        BadFile: It is no snapshot, or was changed; the message names `path`.
    """
    try:
        file = SnapshotFile.model_validate_json(data)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise BadFile(
            f"{path} is no snapshot of ours, or was cut short: {place or 'the file'}: "
            f"{problem['msg']}; take it from another copy, or move it out of the folder"
        ) from None
    if hashlib.sha256(file.payload.encode()).hexdigest() != file.sha256:
        raise BadFile(
            f"{path}: its payload is not the one that its sha256 was made of; the file was changed "
            "or damaged: take it from another copy, or move it out of the folder"
        )
    seen = [file.fetched_at, *file.seen_at, file.last_seen_at]
    if seen != sorted(seen):
        raise BadFile(
            f"{path}: fetched_at, seen_at and last_seen_at are not in order of time; take it from "
            "another copy, or move it out of the folder"
        )
    return file
