"""Parquet files that say themselves what they hold.

What belongs here: how a file is known to be sound. Its manifest is in its own footer, so that the
two cannot come apart. What is put into files is `export`'s, and where they are `folders`'.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.folders import Folder

_KEY = b"minuteledger"
_ROWS_IN_A_GROUP = 131_072


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


def sound(folder: Folder, path: str) -> Manifest | None:
    """Return the manifest of a file, which was read whole and holds what that says.

    Returns:
        None when there is no such file, or what is there is not as it was written.

    Raises:
        DestinationError: It cannot be read.
    """
    data = folder.read(path)
    return None if data is None else _sound(data)


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


def encoded(table: pa.Table, manifest: Manifest) -> bytes:
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
