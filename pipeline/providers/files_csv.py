"""Text: where the columns of a CSV are, and what is wrong with a row.

What belongs here: delimiters, header rows and numbers as they are written. Not here: how a file is
opened (`files_reading`), and what the stamps mean (`files_stamps`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipeline.providers.files_columns import Batches, UnusableFile, place_of, with_lines
from pipeline.universe.files import AMOUNTS, OTHER, PRICES, FilesConfig

BLOCK_BYTES: Final = 8 << 20
_MISSING: Final = ["", "NA", "N/A", "null", "NULL", "None"]
"""What stands for a missing value; "NaN" is none: it is refused as any provider's would be."""


class CsvLayout:
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
                ours: place_of(first[1], theirs) for ours, theirs in config.columns.items()
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
        return with_lines(columns, batch.num_rows, line)
