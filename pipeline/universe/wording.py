"""What is wrong with the universe file, in the words of the file's owner."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pipeline.universe.tree import KeyPath, Problem, YamlTree

Options = Callable[[KeyPath], Mapping[str, FieldInfo]]
"""The options that exist at a place in the file, by the name they have there."""

CONFLICT = "conflict"
"""The type of a pydantic error that is worded for the owner of the file already."""
_SECRET = re.compile(r"^api|_key|secret|token|passw", re.IGNORECASE)


def explain(error: ErrorDetails, tree: YamlTree, options: Options) -> Problem:
    """Put a pydantic error in the words of the file's owner."""
    path = tuple(part for part in error["loc"] if part != "[key]")
    kind, given = error["type"], error["input"]
    cause = error.get("ctx", {}).get("error")
    if kind == "extra_forbidden":
        return tree.at(path, _unknown(str(path[-1]), options(path[:-1])))
    if kind == "missing":
        return _missing(path, tree, options)
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        hint = nearest(str(given), known)
        return tree.at(path, f"is {kind_of(given)}{hint}; use {either(known)}")
    if kind in {"value_error", CONFLICT}:
        return tree.at(path, str(cause or error["msg"]))
    what = error["msg"][0].lower() + error["msg"][1:]
    return tree.at(
        path, _WRONG.get(kind, f"{what}; see universe.example.yaml").format(kind_of(given))
    )


def _missing(path: KeyPath, tree: YamlTree, options: Options) -> Problem:
    if isinstance(path[-1], int):
        around = path[:-1]
        return tree.at(around, f"has too few values; write `{_example(around, options)}`")
    return tree.at(path, f"is missing; write `{_example(path, options)}`")


def _example(path: KeyPath, options: Options) -> str:
    examples = options(path[:-1])[str(path[-1])].examples or ["..."]
    return f"{path[-1]}: {examples[0]}"


_DAY = "must be a day, not {}; write 2024-12-24"
_MAPPING = "must be a mapping, not {}; write its keys indented below it"
_WRONG = {
    "tuple_type": "must be a list, not {}; write it in brackets",
    "model_type": _MAPPING,
    "mapping_type": _MAPPING,
    "dict_type": _MAPPING,
    "string_type": "must be text, not {}; write one value after the colon",
    "date_type": _DAY,
    "date_from_datetime_parsing": _DAY,
    "date_from_datetime_inexact": _DAY,
    "time_type": "must be a time of day, not {}; write 04:00",
    "int_type": "must be a whole number, not {}; write digits only",
    "int_parsing": "must be a whole number, not {}; write digits only",
    "float_type": "must be a number, not {}; write digits only",
    "float_parsing": "must be a number, not {}; write digits only",
    "finite_number": "must be a number, not {}; write digits only",
    "greater_than": "must be more than 0, not {}; write a positive number",
    "greater_than_equal": "must be 0 or more, not {}; write a whole number",
    "too_short": "has too few values; write at least one in the brackets",
    "string_too_short": "is blank; write the value after the colon",
}


def kind_of(value: object) -> str:
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
