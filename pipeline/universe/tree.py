"""The universe file as YAML: text, and the place of each key, for errors that name it.

YAML 1.1 would turn `NO` into false and `1e3` into a number; here every scalar stays the text that
was written, and the models, which know what is meant, convert. Only a plain empty value, `~` and
`null` mean "nothing".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

KeyPath = tuple[str | int, ...]
"""The place of a key in the file."""

_YAML_TAG = "tag:yaml.org,2002:"
_DEEPEST = 8
_COMPOSABLE = 100
_TOO_DEEP = "is nested too deep; see universe.example.yaml"


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
        node = _compose(file, _read_text(file))
    except yaml.YAMLError as error:
        raise UniverseError(file, [_syntax_problem(error)]) from None
    if node is None:
        text = "the file is empty; `minuteledger init` writes one to start from"
        raise UniverseError(file, [Problem((), text, 1)])
    tree = YamlTree()
    tree.value = _convert(node, (), tree)
    return tree


def _compose(file: Path, text: str) -> yaml.Node | None:
    # A thousand instruments take libyaml a tenth of the time, and every run reads them; but PyYAML
    # may have been built without it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_nesting(file, yaml.parse(text, Loader=loader))
        return yaml.compose(text, Loader=loader)
    except yaml.YAMLError:
        # It says more exactly what is wrong.
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _check_nesting(file: Path, events: Iterable[yaml.Event]) -> None:
    # Both composers call themselves at each level: Python's would raise a RecursionError, libyaml's
    # would take the process with it.
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _COMPOSABLE:
            raise UniverseError(file, [Problem((), f"it {_TOO_DEEP}", _line(event))])


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
    what = str(getattr(error, "problem", None) or "it holds characters that YAML does not allow")
    fix = "indent with spaces, never tabs" if r"'\t'" in what else "correct the YAML around it"
    return Problem((), f"{what}; {fix}", _line(error))


def _line(where: yaml.Event | yaml.YAMLError) -> int | None:
    mark = getattr(where, "start_mark", None) or getattr(where, "problem_mark", None)
    return None if mark is None else mark.line + 1


def _convert(node: yaml.Node, path: KeyPath, tree: YamlTree) -> object:
    if not node.tag.startswith(_YAML_TAG):
        tree.problems.append(tree.at(path, f"has the tag {node.tag}; write the plain value"))
    if len(path) > _DEEPEST:
        tree.problems.append(tree.at(path, _TOO_DEEP))
        return None
    if isinstance(node, yaml.MappingNode):
        return dict(_entries(node, path, tree))
    if isinstance(node, yaml.SequenceNode):
        return [_convert(item, (*path, index), tree) for index, item in enumerate(node.value)]
    plain = isinstance(node, yaml.ScalarNode) and not node.style
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
