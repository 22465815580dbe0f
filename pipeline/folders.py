"""Folders to put files in, here or at any fsspec URL.

What belongs here: a file that is whole or not there, whatever interrupts its writing.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTIAL = "_partial"
_ABANDONED = timedelta(days=1)


class DestinationError(Exception):
    """Files cannot be read or written there; the message says which, why and what to do."""


class Folder:
    """A local folder, or a place at any fsspec URL.

    Args:
        url: The folder; made when something is written.

    Raises:
        DestinationError: Nothing is known of such URLs.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:  # neither repeats more than the protocol
            raise DestinationError(
                f"cannot use that place: {error}; give a folder, or a URL that fsspec knows"
            ) from None
        self._root = root.rstrip("/")
        protocol = self._files.protocol
        kind = protocol if isinstance(protocol, str) else protocol[0]
        self.name = f"{kind}://{self._root}"
        """What tells the folder from all others; without a password."""

    def read(self, path: str) -> bytes | None:
        """Return what a file holds; None when there is no such file.

        Raises:
            DestinationError: It cannot be read.
        """
        with self._telling("read", path):
            try:
                data: bytes = self._files.cat_file(self._at(path))
            except FileNotFoundError:
                return None
        return data

    def paths(self, ending: str) -> list[str]:
        """Return the paths of all files in it, at any depth, that end like this, sorted.

        Raises:
            DestinationError: There is no such folder, or it cannot be read.
        """
        with self._telling("read", "the list of files"):
            if not self._files.isdir(self._root):
                raise DestinationError(
                    "there is no such folder; name one that is there, or a URL that fsspec knows"
                )
            found = self._files.find(self._root)
        names = sorted(one.removeprefix(self._root).lstrip("/") for one in found)
        return [one for one in names if one.endswith(ending) and not one.startswith(_PARTIAL)]

    def write(self, path: str, data: bytes) -> None:
        """Write a file, read it back, and only then put it in its place.

        Raises:
            DestinationError: That failed; what was in its place is still there.
        """
        partial = f"{_PARTIAL}/{uuid4().hex}"
        with self._telling("write", path):
            try:
                self._put(partial, data)
                if self.read(partial) != data:
                    raise DestinationError(
                        f"what was written for {path} came back different; nothing was replaced. "
                        "Look after the disk or the connection, and export again"
                    )
                self._files.makedirs(self._parent(path), exist_ok=True)
                self._files.mv(self._at(partial), self._at(path))
            finally:
                with suppress(FileNotFoundError):
                    self._files.rm_file(self._at(partial))

    def remove(self, path: str) -> None:
        """Remove a file.

        Raises:
            DestinationError: That failed.
        """
        with self._telling("remove", path):
            self._files.rm_file(self._at(path))

    def forget_abandoned(self) -> None:
        """Remove what killed exports have left, once nobody can be at work on it any more."""
        with self._telling("read", _PARTIAL):
            try:
                found = self._files.ls(self._at(_PARTIAL), detail=False, refresh=True)
            except FileNotFoundError:
                return
            for path in found:
                # Not all kinds of files know when they were written, and another may be faster.
                with suppress(FileNotFoundError, NotImplementedError):
                    written = self._files.modified(path)
                    written = written if written.tzinfo else written.replace(tzinfo=UTC)
                    if datetime.now(UTC) - written > _ABANDONED:
                        self._files.rm_file(path)

    def _put(self, path: str, data: bytes) -> None:
        from fsspec.implementations.local import LocalFileSystem

        self._files.makedirs(self._parent(path), exist_ok=True)
        with self._files.open(self._at(path), "wb") as file:
            file.write(data)
            if isinstance(self._files, LocalFileSystem):
                file.flush()
                os.fsync(file.fileno())

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _parent(self, path: str) -> str:
        return self._at(path).rpartition("/")[0]

    @contextmanager
    def _telling(self, verb: str, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or type(error).__name__  # its own words may hold the whole URL
            raise DestinationError(
                f"cannot {verb} {path} there: {why}; once that is mended, do it again: "
                "what is there and sound is not done twice"
            ) from None
