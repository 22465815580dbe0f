"""Parquet files that say themselves what they hold, in a local folder or at any fsspec URL.

What belongs here: a file that is whole or not there, and how it is known to be sound. Its manifest
is in its own footer, so that the two cannot come apart. What is put into files is `export`'s.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEY = b"minuteledger"
_PARTIAL = "_partial"
_ABANDONED = timedelta(days=1)
_ROWS_IN_A_GROUP = 131_072


class DestinationError(Exception):
    """Files cannot be read or written there; the message says which, why and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file holds.

    Attributes:
        provider: The provider.
        listing: Name of the listing among its provider's.
        timeframe: As in `1m`, `1h`, `1d`.
        year: The year of UTC in which the bars begin.
        rows: How many bars.
        checksum: SHA-256 of their values, as `checksum` makes it.
        mark: What changes in the ledger whenever the bars may have changed; None: nothing does.
    """

    provider: str
    listing: str
    timeframe: str
    year: int
    rows: int
    checksum: str
    mark: str | None


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
                f"cannot export there: {error}; give a folder, or a URL that fsspec knows"
            ) from None
        self._root = root.rstrip("/")
        protocol = self._files.protocol
        kind = protocol if isinstance(protocol, str) else protocol[0]
        self.name = f"{kind}://{self._root}"
        """What tells the folder from all others; without a password."""

    def sound(self, path: str) -> Manifest | None:
        """Return the manifest of a file, which was read whole and holds what that says.

        Returns:
            None when there is no such file, or what is there is not as it was written.
        """
        with self._telling("read", path):
            try:
                data = self._files.cat_file(self._at(path))
            except FileNotFoundError:
                return None
        return _sound(data)

    def write(self, path: str, table: pa.Table, manifest: Manifest) -> None:
        """Write a file, read it back, and only then put it in its place.

        Raises:
            DestinationError: That failed; what was in its place is still there.
        """
        partial = f"{_PARTIAL}/{uuid4().hex}"
        with self._telling("write", path):
            try:
                self._put(partial, _encoded(table, manifest))
                if self.sound(partial) != manifest:
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
                f"cannot {verb} {path} in the destination: {why}; once that is mended, export "
                "again: what is there and sound is not written again"
            ) from None


def checksum(table: pa.Table) -> str:
    """Return the SHA-256 of the names, types and values of all columns, however they are stored."""
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(f"{name} {column.type} {len(column)}\n".encode())
        missing = column.is_null().to_numpy()
        digest.update(np.packbits(missing).tobytes())
        if pa.types.is_dictionary(column.type):
            digest.update(json.dumps(column.unique().to_pylist()).encode())
        digest.update(pc.fill_null(_numbers(column), 0).to_numpy().tobytes())
    return digest.hexdigest()


def _numbers(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Return the values as numbers; of words, which of them in the order of their coming."""
    if pa.types.is_dictionary(column.type):
        words = column.cast(column.type.value_type).combine_chunks()
        return words.dictionary_encode().indices
    if pa.types.is_boolean(column.type):
        return column.cast(pa.uint8())
    if pa.types.is_date32(column.type):
        return column.cast(pa.int32())
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column


def _encoded(table: pa.Table, manifest: Manifest) -> bytes:
    """Return the file."""
    times = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata({_KEY: json.dumps(asdict(manifest)).encode()}),
        sink,
        compression="zstd",
        row_group_size=_ROWS_IN_A_GROUP,
        write_page_checksum=True,
        # Stamps are so many minutes apart, and prices come again.
        use_dictionary=[name for name in table.column_names if name not in times],
        column_encoding=dict.fromkeys(times, "DELTA_BINARY_PACKED"),
    )
    return bytes(sink.getvalue())


def _sound(data: bytes) -> Manifest | None:
    try:
        table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
        manifest = Manifest(**json.loads(table.schema.metadata[_KEY]))
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        return None  # torn, or not ours
    if manifest.rows != table.num_rows or manifest.checksum != checksum(table):
        return None
    return manifest
