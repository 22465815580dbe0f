"""What a provider of files declares in the universe: where its files are, and what is in them.

What belongs here: the options under `files:`, and what is wrong with them. Nothing is guessed that
would change what a bar says: the zone of local stamps and whether they name the start or the end
of a bar have to be written. Reading the files is the client's business.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from pipeline.universe import values

PRICES: Final = ("open", "high", "low", "close")
AMOUNTS: Final = ("volume", "vwap", "trades")
COLUMNS: Final = ("time", "date", *PRICES, *AMOUNTS, "symbol")
OTHER: Final = "_"
"""In a list of columns: one that is not wanted."""
PERIOD: Final = ("year", "month", "day")

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_EPOCHS = ("epoch", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns")
_TIMES = ("iso", *_EPOCHS, "ms_of_day")
_EXAMPLE = "[time, open, high, low, close, volume]"


def _path(text: str) -> str:
    """Check a path template. One with a password is not repeated."""
    if "://" in text:
        parts = urlsplit(text)
        if "@" in parts.netloc or set(text) & set("?#"):
            raise ValueError(
                "must not carry a user, password or query; remove it, the storage's own variables "
                "and files hold credentials (see docs/files.md)"
            )
    elif not text.startswith(("/", "~")):
        raise ValueError(
            f"is {text!r}, which means another folder to each process; begin with /, ~/ or a URL"
        )
    return _template(text, ("symbol", *PERIOD))


def _member(text: str) -> str:
    return _template(text, ("symbol",))


def _template(text: str, known: Sequence[str]) -> str:
    """Check the placeholders of a path, or of the name of a zip's member."""
    for name in _PLACEHOLDER.findall(text):
        if name not in known:
            listed = ", ".join(f"{{{one}}}" for one in known)
            raise ValueError(f"has the placeholder {{{name}}}; use {listed}, or * for anything")
    if set(_PLACEHOLDER.sub("", text)) & set("{}"):
        raise ValueError("has a brace without its pair; write placeholders as {symbol}")
    return text


def _is_template(text: object) -> bool:
    try:
        return bool(_path(str(text or "")))
    except ValueError:
        return False


def _time(text: str) -> str:
    if "%" in text:
        if re.search(r"%[zZ]", text):
            raise ValueError("has %z or %Z; stamps with an offset are read as iso")
        return text
    if text not in _TIMES:
        raise ValueError(
            f"is {text!r}; use {', '.join(_TIMES)}, or a pattern such as '%Y%m%d %H%M%S'"
        )
    return text


def _encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError(f"is {name!r}, which is no encoding; write utf-8 or latin-1") from None


def _mark(text: str) -> str:
    mark = {"tab": "\t", "space": " "}.get(text, text)
    if len(mark) != 1 or mark in '"\r\n' or mark.isalnum():
        raise ValueError(f"is {text!r}; use one character, or tab or space")
    return mark


def _columns(value: object) -> object:
    """Check the columns: names that we know, each once, and none missing that a bar needs."""
    match value:
        case list() | tuple():
            names = [name for name in value if name != OTHER]
        case Mapping():
            names = list(value)
            _headers(value)
        case _:
            raise ValueError(
                f"must be a list or a mapping; write {_EXAMPLE} for files without a header row, "
                "{time: Date, open: Open, ...} for those with one"
            )
    for name in names:
        if name not in COLUMNS:
            fix = f"use {', '.join(COLUMNS)}" + ("" if isinstance(value, Mapping) else ", or _")
            raise ValueError(f"has {name!r}, which is no column of a bar; {fix}")
        if names.count(name) > 1:
            raise ValueError(f"has {name} twice; name each column once, others _")
    if missing := [name for name in ("time", *PRICES) if name not in names]:
        raise ValueError(f"lacks {', '.join(missing)}; say which column holds it")
    return value


def _headers(columns: Mapping[str, object]) -> None:
    for name, header in columns.items():
        if not isinstance(header, str) or not header:
            raise ValueError(f"gives no name for {name}; write what the header row calls it")


_MARK: Any = WithJsonSchema({"type": "string"})
Mark = Annotated[str, AfterValidator(_mark), _MARK]
Header = Annotated[str, Field(min_length=1)]


class FilesConfig(values.FileModel):
    """Files that hold 1-minute bars, and how to read them; docs/files.md has examples."""

    path: Annotated[str, AfterValidator(_path)] = Field(
        examples=["/data/{symbol}/{year}-{month}.csv"]
    )
    """Where the files are: a folder here or an fsspec URL, with {symbol}, {year}, {month} and {day}
    where the names have them, and * for anything else. .gz, .bz2, .zst and .zip are unpacked."""
    member: Annotated[str, AfterValidator(_member)] | None = None
    """Which members of a zip are read, with {symbol} and *; if not said, all."""
    format: Literal["csv", "parquet"] | None = None
    """What the files are; if not said, their names tell: .parquet, else CSV."""
    columns: Annotated[
        tuple[str, ...] | Mapping[str, Header],
        BeforeValidator(_columns),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "array", "items": {"enum": [*COLUMNS, OTHER]}},
                    {
                        "type": "object",
                        "properties": {name: {"type": "string"} for name in COLUMNS},
                        "required": ["time", *PRICES],
                        "additionalProperties": False,
                    },
                ]
            }
        ),
    ] = Field(examples=[_EXAMPLE])
    """What the columns hold: a list in the files' order (_ for others), or a mapping to the names
    in their header row. `date` is for files that have it apart from the time."""
    header: Literal["yes", "no", "maybe"] | None = None
    """Whether the first row names the columns; if not said, no for a list, yes for a mapping."""
    skip_lines: int = Field(0, ge=0)
    """Lines before the header row, or before the first row of data."""
    delimiter: Mark = ","
    """What parts the columns: a character, tab or space."""
    decimal: Mark = "."
    """What parts the decimals of a number."""
    thousands: Mark | None = None
    """What parts the thousands of a number, if anything."""
    encoding: Annotated[str, AfterValidator(_encoding), _MARK] = "utf-8"
    """How text is encoded."""
    time: Annotated[str, AfterValidator(_time), _MARK] = "iso"
    """How stamps are written: iso, a pattern such as %Y%m%d %H%M%S, epoch (s, ms, us or ns, told by
    the size of each), epoch_s, epoch_ms, epoch_us, epoch_ns, or ms_of_day (milliseconds since
    midnight of the day in the file's name)."""
    zone: Annotated[str, AfterValidator(values.zone), _MARK] | None = None
    """The IANA time zone of stamps without an offset, and of the days and months in file names."""
    stamp: Literal["start", "end"] = Field(examples=["start"])
    """Whether a stamp names the start or the end of its minute."""
    price_scale: float = Field(1, gt=0, allow_inf_nan=False)
    """What prices are to be divided by: 10000 where they are whole ten-thousandths."""
    covers: Literal["period", "rows"] | None = None
    """What a file answers for: the whole day, month or year in its name, or only from its first to
    its last row. If not said, the period where the names have one."""

    @property
    def by_name(self) -> bool:
        """Whether columns are found by their names in the header row."""
        return isinstance(self.columns, Mapping)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are read, by our names."""
        return tuple(name for name in self.columns if name != OTHER)

    @property
    def by_period(self) -> bool:
        """Whether a file answers for the period in its name."""
        return self.covers != "rows" and "{year}" in self.path

    @property
    def period_zone(self) -> str:
        """The zone of stamps without an offset and of the periods in file names."""
        return self.zone or "UTC"

    def is_parquet(self, name: str) -> bool:
        """Return whether a file holds Parquet, by what is declared, else by its name."""
        if self.format:
            return self.format == "parquet"
        return PurePosixPath(name).suffix in {".parquet", ".pq"}


def contradictions(files: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what options say against each other: the option, and what is wrong and what to do.

    Args:
        files: The options as written, right or wrong.
    """
    columns = files.get("columns")
    listed = columns if isinstance(columns, list | tuple | Mapping) else ()
    names = {name for name in listed if isinstance(name, str)}
    template = f"{files.get('path')}{files.get('member') or ''}"
    placed = set(_PLACEHOLDER.findall(template))
    time = files.get("time") or "iso"
    if "symbol" in names & placed:
        yield "columns", "has symbol, which the path has already; keep one of them"
    elif names and "symbol" not in names | placed and _is_template(files.get("path")):
        text = "does not say which symbol a file is of"
        yield "path", f"{text}; write {{symbol}} in it, or name the column that holds it"
    for finer, coarser in (("month", "year"), ("day", "month")):
        if finer in placed and coarser not in placed:
            yield "path", f"has {{{finer}}} without {{{coarser}}}; a period needs both"
    if not files.get("zone") and time not in _EPOCHS:
        text = "is missing, and stamps without an offset mean nothing without it"
        yield "zone", f"{text}; write zone: America/New_York, or zone: UTC"
    if time == "ms_of_day" and "day" not in placed:
        yield "time", "is ms_of_day, and no file name says which day; write {day} in the path"
    if files.get("covers") == "period" and "year" not in placed:
        yield "covers", "is period, and the path has none; write {year} and so on, or covers: rows"
    if isinstance(columns, Mapping) and files.get("header") in ("no", "maybe"):
        yield "header", "must be yes where columns go by name; list the columns in order instead"
    marks = [files.get("delimiter") or ",", files.get("decimal") or ".", files.get("thousands")]
    if any(mark in marks[:number] for number, mark in enumerate(marks)):
        yield "delimiter", "is the same character as decimal or thousands; correct one of them"
