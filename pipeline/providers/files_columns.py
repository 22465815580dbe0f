"""What readers of every format share: columns with our names, and a file that cannot be used.

What belongs here: how columns are found by name and rows by line, and what is wrong with a file, in
words.
"""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import pyarrow as pa

Batches = Iterator[pa.RecordBatch]
"""Rows with our names for the columns, and `line`."""

_GET_AGAIN: Final = "get the file again"
UNREADABLE: Final = (
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


@contextmanager
def explained() -> Iterator[None]:
    """Raise what the libraries say of a file in words.

    Raises:
        UnusableFile: They raised something.
    """
    try:
        yield
    except UNREADABLE as error:
        raise unusable(error) from None


def unusable(error: Exception) -> UnusableFile:
    """Return what one of `UNREADABLE` says of a file."""
    if isinstance(error, UnicodeError):
        return UnusableFile(f"its text is not as declared ({error})", "correct `encoding:`")
    what = " ".join(str(error).split()) or type(error).__name__
    return UnusableFile(f"it cannot be read: it is cut or damaged ({what[:200]})")


def place_of(header: Sequence[str], name: str) -> int:
    """Return where a named column is.

    Raises:
        UnusableFile: It is nowhere, or in two places.
    """
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


def with_lines(columns: Mapping[str, pa.Array], rows: int, line: int) -> pa.RecordBatch:
    """Return columns as a batch with `line`, where each row was; the first was at `line`."""
    lines = pa.array(np.arange(line, line + rows))
    return pa.RecordBatch.from_pydict({**columns, "line": lines})
