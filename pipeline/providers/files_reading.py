"""From the bytes of a file to batches of columns with our names.

What belongs here: checksums, compression and Parquet. Not here: text (`files_csv`), and what the
stamps mean (`files_stamps`).
"""

from __future__ import annotations

import bz2
import fnmatch
import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet

from pipeline.providers.files_columns import (
    UNREADABLE,
    Batches,
    UnusableFile,
    explained,
    place_of,
    unusable,
    with_lines,
)
from pipeline.providers.files_csv import CsvLayout
from pipeline.universe.files import AMOUNTS, OTHER, PRICES, FilesConfig

_BATCH_ROWS: Final = 200_000


def read_batches(path: Path, name: str, member: str | None, config: FilesConfig) -> Batches:
    """Yield a file's rows, with our names for the columns and `line`, where each was.

    Args:
        path: A local copy.
        name: What the file is called, which tells its compression.
        member: Pattern of the members of a zip to read; None for all.
        config: What is declared.

    Raises:
        UnusableFile: It cannot be read, or does not hold what was declared.
    """
    if config.is_parquet(name):
        with explained():
            yield from _parquet(path, config)
        return
    for open_text in _texts(path, name, member, config):
        with explained():
            layout = CsvLayout(open_text, config)
        try:
            yield from layout.batches()
        except pa.ArrowInvalid as error:
            with explained():
                raise layout.find_fault(str(error)) from None
        except UNREADABLE as error:
            raise unusable(error) from None


def check_sum(path: Path, expected: str) -> None:
    """Compare a file with the SHA-256 that was published with it.

    Raises:
        UnusableFile: They differ, or what was published is no SHA-256.
    """
    words = expected.split()
    wanted = words[0].lower() if words else ""
    if len(wanted) != hashlib.sha256().digest_size * 2:
        raise UnusableFile(
            "its checksum file holds no SHA-256", "get that file again, or remove it"
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted:
        raise UnusableFile(f"its SHA-256 is {found[:12]}..., not {wanted[:12]}... as published")


def _texts(
    path: Path, name: str, member: str | None, config: FilesConfig
) -> Iterator[Callable[[], IO[bytes]]]:
    """Yield, for each CSV in a file, how it is opened."""
    suffix = Path(name).suffix.lower()
    if suffix == ".zip":
        with explained(), zipfile.ZipFile(path) as archive:
            names = [one.filename for one in archive.infolist() if not one.is_dir()]
            fits = [
                one
                for one in sorted(names)
                if fnmatch.fnmatchcase(one, member or "*") and not one.startswith("__MACOSX/")
            ]
            if not fits and "{symbol}" not in (config.member or ""):
                like = f" like {member}" if member else ""
                raise UnusableFile(f"the zip has no member{like}", "correct `member:`")
        for one in fits:
            yield lambda one=one: _Member(path, one)  # type: ignore[misc]
        return
    openers: Mapping[str, Callable[[], Any]] = {
        ".gz": lambda: gzip.GzipFile(path),
        ".bz2": lambda: bz2.BZ2File(path),
        ".zst": lambda: pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"),
    }
    yield openers.get(suffix, lambda: path.open("rb"))


class _Member(io.BufferedReader):
    """A member of a zip that closes its archive with itself."""

    def __init__(self, path: Path, name: str) -> None:
        self._archive = zipfile.ZipFile(path)
        super().__init__(self._archive.open(name))  # type: ignore[arg-type]

    def close(self) -> None:
        super().close()
        self._archive.close()


def _parquet(path: Path, config: FilesConfig) -> Batches:
    file = pa.parquet.ParquetFile(path)
    names = file.schema_arrow.names
    if isinstance(config.columns, Mapping):
        theirs = {ours: names[place_of(names, name)] for ours, name in config.columns.items()}
    else:
        if len(names) != len(config.columns):
            what = f"has {len(names)} columns instead of {len(config.columns)}"
            raise UnusableFile(what, "correct `columns:`")
        pairs = zip(config.columns, names, strict=True)
        theirs = {ours: name for ours, name in pairs if ours != OTHER}
    line = 1
    for batch in file.iter_batches(_BATCH_ROWS, columns=list(theirs.values())):
        columns = {ours: batch[name] for ours, name in theirs.items()}
        for name in {*PRICES, *AMOUNTS} & columns.keys():
            columns[name] = columns[name].cast(pa.float64())
        yield with_lines(columns, batch.num_rows, line)
        line += batch.num_rows
