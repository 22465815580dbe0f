"""The universe file as text: YAML with line numbers, what one value may be, problems in words.

What the values mean together is `pipeline.universe`'s business. YAML 1.1 would turn `NO` into
false and `1e3` into a number; here every scalar stays the text that was written, and the model,
which knows what is meant, converts. Only a plain empty value, `~` and `null` mean "nothing".
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pipeline.providers.table import CLIENTS

KeyPath = tuple[str | int, ...]
Options = Callable[[KeyPath], Mapping[str, FieldInfo]]
"""The options that exist at a place in the file, by the name they have there."""

EARLIEST_START = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?$"
KEY = r"^[A-Za-z0-9^][A-Za-z0-9._:^=-]*$"
PROVIDER = r"^[a-z][a-z0-9_]*$"
DELAY = r"^[1-9]\d*[mhdw]$"
BASE_URL = r"^https?://[^@?#]+$"

CONFLICT = "conflict"
"""The type of a pydantic error that is worded for the owner of the file already."""
_INSTANT_HELP = "write 2020-01-31 or 2020-01-31T09:30Z (without a zone, UTC is meant)"
_DELAY_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_YAML_TAG = "tag:yaml.org,2002:"
_DEEPEST = 8
_SECRET = re.compile(r"^api|_key|secret|token|passw", re.IGNORECASE)


class FileModel(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the file: where, and "what is wrong; what to do"."""

    path: KeyPath
    text: str
    line: int | None = None
    """Counted from 1; None when the file as a whole is meant."""

    def describe(self, file: Path) -> str:
        """`file:line: key.path: what is wrong; what to do`."""
        place = str(file) if self.line is None else f"{file}:{self.line}"
        return ": ".join(part for part in (place, dotted(self.path), self.text) if part)


class UniverseError(ValueError):
    """The universe file cannot be used. `problems` has everything that is wrong with it."""

    def __init__(self, file: Path, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(
            sorted(set(problems), key=lambda p: (p.line or 0, dotted(p.path), p.text))
        )
        super().__init__("\n".join(problem.describe(file) for problem in self.problems))


def dotted(path: KeyPath) -> str:
    """`instruments."BRK.B".class`: a part that itself holds a dot or a space is quoted."""
    parts = (str(part) for part in path)
    return ".".join(f'"{part}"' if set(part) & set(". ") or not part else part for part in parts)


@dataclass(slots=True)
class YamlTree:
    """A parsed file: dicts, lists, text and None; where each key stands; what YAML let pass."""

    value: object = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: KeyPath) -> int:
        """Find the line of the key at `path`, or of the nearest thing around it that is written."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def at(self, path: KeyPath, text: str) -> Problem:
        """Make a problem of the key at `path`."""
        return Problem(path, text, self.line(path))


def read_tree(file: Path) -> YamlTree:
    """Parse `file`.

    Raises UniverseError when it is missing, unreadable, empty or not YAML at all. Lesser problems
    (duplicate keys, tags) are listed in the tree, to be told with all the others.
    """
    try:
        node = yaml.compose(_read_text(file), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise UniverseError(file, [_syntax_problem(error)]) from None
    if node is None:
        text = "the file is empty; `minuteledger init` writes one to start from"
        raise UniverseError(file, [Problem((), text, 1)])
    tree = YamlTree()
    tree.value = _convert(node, (), tree)
    return tree


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        text = "there is no such file; `minuteledger init` writes one to start from"
    except UnicodeDecodeError:
        text = "it is not UTF-8 text; save it as UTF-8"
    except OSError as error:
        text = f"it cannot be read ({error.strerror}); correct MINUTELEDGER_UNIVERSE or the file"
    raise UniverseError(file, [Problem((), text)])


def _syntax_problem(error: yaml.YAMLError) -> Problem:
    # Only the words and the line: PyYAML's full message quotes the file, whatever is in it.
    mark = getattr(error, "problem_mark", None)
    what = str(getattr(error, "problem", None) or "it holds characters that YAML does not allow")
    fix = "indent with spaces, never tabs" if r"'\t'" in what else "correct the YAML around it"
    return Problem((), f"{what}; {fix}", mark.line + 1 if mark else None)


def _convert(node: yaml.Node, path: KeyPath, tree: YamlTree) -> object:
    if not node.tag.startswith(_YAML_TAG):
        tree.problems.append(tree.at(path, f"has the tag {node.tag}; write the plain value"))
    if len(path) > _DEEPEST:
        tree.problems.append(tree.at(path, "is nested too deep; see universe.example.yaml"))
        return None
    if isinstance(node, yaml.MappingNode):
        return dict(_entries(node, path, tree))
    if isinstance(node, yaml.SequenceNode):
        return [_convert(item, (*path, index), tree) for index, item in enumerate(node.value)]
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    return None if plain and node.value in {"", "~", "null"} else str(node.value)


def _entries(node: yaml.MappingNode, path: KeyPath, tree: YamlTree) -> Iterator[tuple[str, object]]:
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        key, line = key_node.value, key_node.start_mark.line + 1
        if not isinstance(key, str):
            tree.problems.append(Problem(path, "has a key that is not text; write a name", line))
            continue
        if key in seen:
            text = f"is written twice (first on line {seen[key]}); keep one of them"
            tree.problems.append(Problem((*path, key), text, line))
            continue
        seen[key] = line
        tree.lines[*path, key] = line
        yield key, _convert(value_node, (*path, key), tree)


def instant(value: object) -> datetime:
    """Read a date or time: a whole minute, in UTC when it names no zone."""
    if isinstance(value, str):
        if not re.match(INSTANT, value, re.ASCII):
            raise ValueError(f"is {value!r}, which is not a date or time; {_INSTANT_HELP}")
        value = _from_iso(value)
    if not isinstance(value, datetime):
        raise ValueError(f"must be a date or time; {_INSTANT_HELP}")  # noqa: TRY004  pydantic's
    try:
        moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError(f"is {value}, beyond the calendar; {_INSTANT_HELP}") from None
    if moment.second or moment.microsecond:
        raise ValueError(f"is {moment:%H:%M:%S}, inside a minute; use a whole minute")
    return moment


def _from_iso(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"is {text!r}: {error}; {_INSTANT_HELP}") from None


def delay(value: object) -> timedelta:
    """Read a length of time: a whole number and one letter, as in 90m, 1h, 7d or 2w."""
    if isinstance(value, timedelta):
        return value
    text = value if isinstance(value, str) else ""
    if not re.match(DELAY, text, re.ASCII):
        raise ValueError(f"is {_kind(value)}, which is no delay; write 90m, 1h, 7d or 2w")
    try:
        return timedelta(**{_DELAY_UNITS[text[-1]]: int(text[:-1])})
    except OverflowError:
        raise ValueError(f"is {text!r}, beyond the calendar; write 90m, 1h, 7d or 2w") from None


def start(moment: datetime) -> datetime:
    """Check a start: not before `EARLIEST_START`, not in the future."""
    if moment < EARLIEST_START:
        raise ValueError(f"is {moment:%Y-%m-%d}, before any minute bars; use 1970-01-01 or later")
    if moment > datetime.now(UTC):
        raise ValueError(f"is {moment:%Y-%m-%d %H:%M} UTC, in the future; use a time that has been")
    return moment


def key(text: str) -> str:
    """Check a key: safe as a Dagster partition key, where `...` would mean a range."""
    if not re.match(KEY, text) or ".." in text:
        raise ValueError(
            f"is {text!r}, not usable as a key; use letters, digits and . _ : ^ = - (not first), "
            "as in BTC-USD or BRK.B"
        )
    return text


def provider_name(text: str) -> str:
    """Check a provider's name: safe as a name in Dagster and SQL."""
    if not re.match(PROVIDER, text):
        raise ValueError(
            f"is {text!r}, not usable as a provider's name; "
            "use lower-case letters, digits and _, a letter first"
        )
    return text


def client(name: str) -> str:
    """Check the name of a kind of client."""
    if name not in CLIENTS:
        raise ValueError(f"is the text {name!r}{nearest(name, CLIENTS)}; use {either(CLIENTS)}")
    return name


def base_url(url: str) -> str:
    """Check an address. One that is refused is not repeated: it may hold a password."""
    if set(url) & set("@?#"):
        raise ValueError(
            "must not carry a user, password or query; "
            "remove it, keys come from the environment (see .env.example)"
        )
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # the port is not a number
        usable = False
    if not usable:
        raise ValueError("is not a web address; write http://host:port/path or https://...")
    return url.rstrip("/")


def explain(error: ErrorDetails, tree: YamlTree, options: Options) -> Problem:
    """Put a pydantic error in the words of the file's owner."""
    path = tuple(part for part in error["loc"] if part != "[key]")
    kind, given = error["type"], error["input"]
    cause = error.get("ctx", {}).get("error")
    if kind == "extra_forbidden":
        return tree.at(path, _unknown(str(path[-1]), options(path[:-1])))
    if kind == "missing":
        examples = options(path[:-1])[str(path[-1])].examples or ["..."]
        return tree.at(path, f"is missing; write `{path[-1]}: {examples[0]}`")
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        hint = nearest(str(given), known)
        return tree.at(path, f"is {_kind(given)}{hint}; use {either(known)}")
    if kind in {"value_error", CONFLICT}:
        return tree.at(path, str(cause or error["msg"]))
    what = error["msg"][0].lower() + error["msg"][1:]
    return tree.at(
        path, _WRONG.get(kind, f"{what}; see universe.example.yaml").format(_kind(given))
    )


_MAPPING = "must be a mapping, not {}; write its keys indented below it"
_WRONG = {
    "tuple_type": "must be a list, not {}; write it in brackets",
    "model_type": _MAPPING,
    "mapping_type": _MAPPING,
    "dict_type": _MAPPING,
    "string_type": "must be text, not {}; write one value after the colon",
    "int_type": "must be a whole number, not {}; write digits only",
    "int_parsing": "must be a whole number, not {}; write digits only",
    "float_type": "must be a number, not {}; write digits only",
    "float_parsing": "must be a number, not {}; write digits only",
    "finite_number": "must be a number, not {}; write digits only",
    "greater_than": "must be more than 0, not {}; write a positive number",
    "string_too_short": "is blank; write the value after the colon",
}


def _kind(value: object) -> str:
    """Name what a value is, for "must be ..., not ..."."""
    match value:
        case str():
            return f"the text {value!r}"
        case Mapping():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return "empty"


def _unknown(name: str, known: Mapping[str, FieldInfo]) -> str:
    if _SECRET.search(name):
        return (
            "does not belong here; keys and passwords come from the environment (see .env.example)"
        )
    return f"is not an option here{nearest(name, known)}; use {either(known)}"


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean ...?)`, or nothing when nothing is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def either(known: Iterable[str]) -> str:
    """`a, b or c`."""
    *others, last = known
    return f"{', '.join(others)} or {last}" if others else str(last)
