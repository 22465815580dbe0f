"""Finding the files of a symbol, and which time each of them is about.

What belongs here: path templates, listing by fsspec, and by what a changed file is known. Not here:
what is in a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import fsspec
from fsspec.implementations.local import LocalFileSystem

from pipeline.intervals import Interval, floor_minute
from pipeline.providers.errors import (
    BrokenFile,
    ProviderError,
    ProviderUnavailable,
    Unsupported,
)
from pipeline.universe.files import PERIOD, FilesConfig

CHECKSUMS: Final = (".CHECKSUM", ".sha256")
"""How the names of files end that hold another file's SHA-256."""

NO_PERIOD: Final = Interval(*[datetime(1970, 1, 1, tzinfo=UTC)] * 2)
"""Stands where periods are compared for that of a file without one in its name."""

_PART = re.compile(r"\{(\w+)\}|(\*\*|\*)")
_DIGITS: Final = {"year": 4, "month": 2, "day": 2}
_WHERE: Final = ("name", "size", "mtime", "created", "ino")
_MODIFIED: Final = ("mtime", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or members of a zip, with bars in it.

    Attributes:
        path: Where it is, as its file system wants it.
        member: Pattern of the members of a zip to read; None for all.
        day: The day in its name; None if its name has none.
        period: The time that its name says it is about; None if it answers for its rows alone.
        modified: When it was last written, UTC; None where the file system does not say.
        version: Changes when the file does.
    """

    path: str
    member: str | None
    day: date | None
    period: Interval | None
    modified: datetime | None
    version: str

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else self.path


class Finder:
    """Finds files by a template; asks the file system once for each symbol.

    Args:
        provider: The provider's name in the universe, for errors.
        config: What is declared.

    Raises:
        Unsupported: The package for such an address is not installed.
    """

    def __init__(self, provider: str, config: FilesConfig) -> None:
        self._provider = provider
        self._config = config
        try:
            self.fs, self._template = fsspec.core.url_to_fs(config.path)
        except (ImportError, ValueError) as error:
            fix = "install that package into .venv, or copy the files into a folder"
            raise Unsupported(provider, f"{config.path} cannot be opened: {error}", fix) from None
        self._found: dict[str, list[Source]] = {}

    def sources(self, symbol: str) -> list[Source]:
        """Return the files that hold, or may hold, a symbol, in order of period and name.

        Raises:
            ProviderError: The file system cannot be asked, or a zip's members cannot be read.
        """
        key = symbol if "{symbol}" in f"{self._config.path}{self._config.member}" else ""
        if key not in self._found:
            self._found[key] = self._find(symbol)
        return self._found[key]

    def pattern(self, symbol: str, when: datetime | None = None) -> str:
        """Return where a symbol's files are looked for; the one of a time, if that is given."""
        values = {"symbol": symbol}
        if when is not None:
            local = when.astimezone(ZoneInfo(self._config.period_zone))
            values |= {name: f"{getattr(local, name):0{_DIGITS[name]}}" for name in PERIOD}
        return _PART.sub(lambda part: values.get(part[1], part[0]), self._full)

    @contextmanager
    def local_copy(self, source: Source, copy: Path) -> Iterator[Path]:
        """Give a file as one of this machine; a copy is removed afterwards.

        Args:
            source: The file.
            copy: Where to put a copy, if it has to be one.

        Raises:
            ProviderUnavailable: It cannot be had from where it is.
        """
        if isinstance(self.fs, LocalFileSystem):
            yield Path(source.path)
            return
        try:
            self.fs.get_file(source.path, str(copy))
        except Exception as error:  # noqa: BLE001 - each storage has errors of its own
            raise self._unreachable(source.path, error) from None
        try:
            yield copy
        finally:
            copy.unlink()

    def checksums(self, source: Source) -> Iterator[str]:
        """Yield what the files beside a file say of its SHA-256.

        Raises:
            ProviderUnavailable: The storage cannot be asked.
        """
        for suffix in CHECKSUMS:
            try:
                if self.fs.exists(source.path + suffix):
                    yield self.fs.cat_file(source.path + suffix).decode(errors="replace")
            except Exception as error:  # noqa: BLE001 - each storage has errors of its own
                raise self._unreachable(source.path + suffix, error) from None

    @property
    def _full(self) -> str:
        return f"{self._template}:{self._config.member}" if self._config.member else self._template

    def _find(self, symbol: str) -> list[Source]:
        matches = re.compile(_regex(self._template, symbol)).fullmatch
        found = []
        for path, info in sorted(self._list(_glob(self._template, symbol)).items()):
            match = matches(path)
            if match is None or info.get("type") == "directory" or path.endswith(CHECKSUMS):
                continue
            day, period = _period(match.groupdict(), self._config)
            if period is None and self._config.by_period:
                continue  # Digits that are no date: no name of the kind that was declared.
            member = self._config.member and _glob(self._config.member, symbol)
            found.append(
                Source(path, member, day, period, _modified(path, info), _version(path, info))
            )
        return sorted(found, key=lambda one: (one.period or NO_PERIOD, one.path))

    def _list(self, glob: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self.fs.glob(glob, detail=True)
            if not isinstance(self.fs, LocalFileSystem):
                found = {
                    path: self.fs.info(path) if info.get("size") is None else info
                    for path, info in found.items()
                }
        except FileNotFoundError:
            return {}
        except PermissionError:
            raise BrokenFile(
                self._provider, f"{glob} may not be listed", "let this account read the folder"
            ) from None
        except Exception as error:  # noqa: BLE001 - each storage has errors of its own
            raise self._unreachable(glob, error) from None
        return found

    def _unreachable(self, what: str, error: Exception) -> ProviderError:
        """Return the error for a storage that does not answer; no secret of it is repeated."""
        return ProviderUnavailable(
            self._provider,
            f"{what} cannot be reached ({type(error).__name__})",
            "check the address, the network and the storage's credentials",
        )


def _regex(template: str, symbol: str) -> str:
    seen: set[str] = set()

    def part(name: str | None, star: str | None) -> str:
        if star:
            return ".*" if star == "**" else "[^/]*"
        if name == "symbol":
            return re.escape(symbol)
        if name in seen:
            return f"(?P={name})"
        seen.add(str(name))
        return rf"(?P<{name}>\d{{{_DIGITS[str(name)]}}})"

    return _replace(template, part, re.escape)


def _glob(template: str, symbol: str) -> str:
    def part(name: str | None, star: str | None) -> str:
        if star:
            return star
        return _escape(symbol) if name == "symbol" else "[0-9]" * _DIGITS[str(name)]

    return _replace(template, part, _escape)


def _escape(text: str) -> str:
    return re.sub(r"([\[*?])", r"[\1]", text)


def _replace(template: str, part: Any, literal: Any) -> str:  # noqa: ANN401 - two functions
    pieces, last = [], 0
    for match in _PART.finditer(template):
        pieces += [literal(template[last : match.start()]), part(match[1], match[2])]
        last = match.end()
    return "".join([*pieces, literal(template[last:])])


def _period(values: dict[str, str], config: FilesConfig) -> tuple[date | None, Interval | None]:
    """Return the day in a name, and the time that the name is about."""
    if "year" not in values:
        return None, None
    year, month, day = (int(values.get(name, 1)) for name in PERIOD)
    try:
        first = date(year, month, day)
    except ValueError:
        return None, None
    if "day" in values:
        after = first + timedelta(days=1)
    elif "month" in values:
        after = (first + timedelta(days=31)).replace(day=1)
    else:
        after = date(year + 1, 1, 1)
    zone = ZoneInfo(config.period_zone)
    start, end = (
        floor_minute(datetime(one.year, one.month, one.day, tzinfo=zone)) for one in (first, after)
    )
    named_day = first if "day" in values else None
    return named_day, Interval(start, end) if config.by_period else None


def _version(path: str, info: dict[str, Any]) -> str:
    """Hash what tells that a file has changed: size, times and tags."""
    told = {name: info[name] for name in sorted(info) if name in _WHERE or "tag" in name.lower()}
    told |= {name: info[name] for name in _MODIFIED if name in info}
    if info.get("islink"):
        status = os.stat(path)  # noqa: PTH116 - what a link leads to changes without the link
        told |= {"mtime": status.st_mtime, "created": status.st_ctime, "ino": status.st_ino}
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _modified(path: str, info: dict[str, Any]) -> datetime | None:
    if info.get("islink"):
        return datetime.fromtimestamp(os.stat(path).st_mtime, UTC)  # noqa: PTH116
    value = next((info[name] for name in _MODIFIED if info.get(name)), None)
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return None
