"""From the bytes of a file to batches of columns with our names.

What belongs here: checksums, compression, CSV and Parquet, and what is wrong with a file, in words.
What the stamps mean is `files_stamps`' business.
"""

from __future__ import annotations

import bz2
import csv
import fnmatch
import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from pipeline.universe.files import AMOUNTS, OTHER, PRICES, FilesConfig

BLOCK_BYTES: Final = 8 << 20
_BATCH_ROWS: Final = 200_000
_MISSING: Final = ["", "NA", "N/A", "null", "NULL", "None"]
"""What stands for a missing value; "NaN" is none: it is refused as any provider's would be."""

_GET_AGAIN: Final = "get the file again"
_UNREADABLE: Final = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    zlib.error,
    zipfile.BadZipFile,
    RuntimeError,
    csv.Error,
)
"""What the libraries raise at files that are cut, damaged, or not what their name says."""


Batches = Iterator[pa.RecordBatch]


class UnusableFile(Exception):
    """A file cannot be read, or does not hold what was declared.

    Args:
        where: Line and column, if that is known.
        what: What is wrong.
        fix: What to do.
    """

    def __init__(self, what: str, fix: str = _GET_AGAIN, where: str = "") -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.fix = fix


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
        with _explained():
            yield from _parquet(path, config)
        return
    for open_text in _texts(path, name, member, config):
        with _explained():
            layout = _Layout(open_text, config)
        try:
            yield from layout.batches()
        except pa.ArrowInvalid as error:
            with _explained():
                raise layout.find_fault(str(error)) from None
        except _UNREADABLE as error:
            raise _unusable(error) from None


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


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise _unusable(error) from None


def _unusable(error: Exception) -> UnusableFile:
    if isinstance(error, UnicodeError):
        return UnusableFile(f"its text is not as declared ({error})", "correct `encoding:`")
    what = " ".join(str(error).split()) or type(error).__name__
    return UnusableFile(f"it cannot be read: it is cut or damaged ({what[:200]})")


def _texts(
    path: Path, name: str, member: str | None, config: FilesConfig
) -> Iterator[Callable[[], IO[bytes]]]:
    """Yield, for each CSV in a file, how it is opened."""
    suffix = Path(name).suffix.lower()
    if suffix == ".zip":
        with _explained(), zipfile.ZipFile(path) as archive:
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


class _Layout:
    """Where the columns are in one CSV, found by its first lines.

    Args:
        open_text: Opens it.
        config: What is declared.

    Raises:
        UnusableFile: The header row lacks a column, or there is nothing.
    """

    def __init__(self, open_text: Callable[[], IO[bytes]], config: FilesConfig) -> None:
        self._open = open_text
        self._config = config
        first = next(self._rows(), None)
        if first is None:
            raise UnusableFile("it is empty", "get the file again, or remove it")
        self._width = len(first[1])
        if isinstance(config.columns, Mapping):
            self._header = True
            self._columns = {
                ours: _place(first[1], theirs) for ours, theirs in config.columns.items()
            }
        else:
            self._columns = {
                name: place for place, name in enumerate(config.columns) if name != OTHER
            }
            if self._width != len(config.columns):
                raise self._wrong_width(*first, len(config.columns))
            self._header = config.header == "yes" or (
                config.header == "maybe" and self._fault_of(first[1], "open") is not None
            )
        self.first_line = first[0] + self._header

    def batches(self) -> Batches:
        """Yield the rows. ArrowInvalid says that one is not as declared, and seldom which."""
        with self._open() as stream:
            try:
                reader = pyarrow.csv.open_csv(stream, *self._options())
            except pa.ArrowInvalid as error:
                if "Empty CSV" in str(error):
                    return  # A header row, and no more.
                raise
            line = self.first_line
            for batch in reader:
                yield self._named(batch, line)
                line += batch.num_rows

    def find_fault(self, message: str) -> UnusableFile:
        """Return what is wrong with the first row that is not as declared."""
        for line, row in self._rows():
            if line < self.first_line:
                continue
            if len(row) != self._width:
                return self._wrong_width(line, row, self._width)
            for name in self._columns:
                if fault := self._fault_of(row, name):
                    fix = "correct the row, or the columns and numbers that are declared"
                    return UnusableFile(fault, fix, f"line {line}")
        return UnusableFile(" ".join(message.split())[:200], "correct the file or what is declared")

    def _wrong_width(self, line: int, row: Sequence[str], width: int) -> UnusableFile:
        return UnusableFile(
            f"has {len(row)} columns instead of {width}",
            f"correct `delimiter:` ({self._config.delimiter!r}) or `columns:`, or get the file "
            "again if it was cut",
            f"line {line}",
        )

    def _fault_of(self, row: Sequence[str], name: str) -> str | None:
        text = row[self._columns[name]]
        kind = self._type(name)
        if kind is None or text in _MISSING:
            return None
        try:
            int(text) if kind == pa.int64() else float(self._plain(text))
        except ValueError:
            return f"{name} is {text!r}, which is no number"
        return None

    def _plain(self, text: str) -> str:
        if self._config.thousands:
            text = text.replace(self._config.thousands, "")
        return text.replace(self._config.decimal, ".")

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield every row with its line, from 1; blank lines are none. Slow: to look around."""
        encoding = "utf-8-sig" if self._config.encoding == "utf-8" else self._config.encoding
        with self._open() as stream:
            text = io.TextIOWrapper(stream, encoding, newline="")
            for _ in range(self._config.skip_lines):
                text.readline()
            reader = csv.reader(text, delimiter=self._config.delimiter)
            for row in reader:
                if row:
                    yield reader.line_num + self._config.skip_lines, row

    def _type(self, name: str) -> pa.DataType | None:
        """Return what a column is read as; None for text."""
        if name in {*PRICES, *AMOUNTS}:
            return pa.float64()
        number = self._config.time.startswith(("epoch", "ms_of_day"))
        return pa.int64() if name == "time" and number else None

    def _options(self) -> tuple[Any, Any, Any]:
        config = self._config
        names = [f"{OTHER}{place}" for place in range(self._width)]
        for name, place in self._columns.items():
            names[place] = name
        types = {name: self._type(name) or pa.string() for name in self._columns}
        if config.thousands:
            types |= dict.fromkeys({*PRICES, *AMOUNTS} & types.keys(), pa.string())
        return (
            pyarrow.csv.ReadOptions(
                column_names=names,
                skip_rows=config.skip_lines + self._header,
                block_size=BLOCK_BYTES,
                encoding=config.encoding,
                use_threads=False,
            ),
            pyarrow.csv.ParseOptions(delimiter=config.delimiter),
            pyarrow.csv.ConvertOptions(
                column_types=types,
                include_columns=list(self._columns),
                null_values=_MISSING,
                strings_can_be_null=True,
                decimal_point=config.decimal,
            ),
        )

    def _named(self, batch: pa.RecordBatch, line: int) -> pa.RecordBatch:
        columns = {name: batch[name] for name in self._columns}
        if self._config.thousands:
            for name in {*PRICES, *AMOUNTS} & columns.keys():
                plain = pc.replace_substring(columns[name], self._config.thousands, "")
                plain = pc.replace_substring(plain, self._config.decimal, ".")
                columns[name] = plain.cast(pa.float64())
        return _with_lines(columns, batch.num_rows, line)


def _place(header: Sequence[str], name: str) -> int:
    """Return where a named column is."""
    names = [one.strip() for one in header]
    if names.count(name) == 1:
        return names.index(name)
    if name in names:
        raise UnusableFile(
            f"two columns are called {name!r}", "list the columns in order", "header"
        )
    raise UnusableFile(
        f"there is no column {name!r} among {', '.join(names)[:200]}",
        "correct `columns:` or `delimiter:`",
        "header",
    )


def _parquet(path: Path, config: FilesConfig) -> Batches:
    file = pa.parquet.ParquetFile(path)
    names = file.schema_arrow.names
    if isinstance(config.columns, Mapping):
        theirs = {ours: names[_place(names, name)] for ours, name in config.columns.items()}
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
        yield _with_lines(columns, batch.num_rows, line)
        line += batch.num_rows


def _with_lines(columns: Mapping[str, pa.Array], rows: int, line: int) -> pa.RecordBatch:
    lines = pa.array(np.arange(line, line + rows))
    return pa.RecordBatch.from_pydict({**columns, "line": lines})
