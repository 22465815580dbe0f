"""The settings as a document: docs/settings.md is made here, of the models that check them.

What belongs here: the form of that document. What a setting means is said where it is declared.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from pipeline.clock import SYSTEM
from pipeline.providers.capabilities import Capabilities, RateLimit
from pipeline.providers.table import CAPABILITIES
from pipeline.settings import PREFIX, Settings
from pipeline.universe import json_schema

_HEAD: Final = """\
# Settings

Made by `make settings` of what the program checks; not to be edited. What follows from a setting is
said where it is used: [running.md](running.md), [alerts.md](alerts.md),
[housekeeping.md](housekeeping.md), [fundamentals.md](fundamentals.md), [files.md](files.md).
"""
_ENVIRONMENT: Final = """
## The environment

Variables of the environment, or lines of a file `.env` in the folder that a command is started from
([.env.example](../.env.example)). The environment wins; a variable that is set but empty counts as
not set. What cannot be used is an error that names it.
"""
_KEYS: Final = """
Keys of vendors have the vendors' own names. They reach no log, no error and no table.
"""
_UNIVERSE: Final = """
## The universe file

What is collected, from whom, since when: YAML, by default `universe.yaml` in the home folder
([universe.example.yaml](../universe.example.yaml)). Editors complete it from
[its schema](universe.schema.json).
"""
_BUILT_IN: Final = """
## What is built in for each provider

The universe file may say otherwise. Any other exchange of ccxt is asked by ccxt's own pace, at most
ten times a second, and with the page size that ccxt knows.
"""
_UNIT_SECONDS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_LONGEST_DEFAULT: Final = 40
_HOURS: Final = 48
"""Up to so many are said as hours."""
_WORDS: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "yes or no",
    "array": "list",
    "object": "mapping",
}


def settings_reference() -> str:
    """Return docs/settings.md."""
    return "\n".join(
        (
            _HEAD.rstrip(),
            _ENVIRONMENT.rstrip(),
            "",
            *_table(("variable", "default", "meaning"), _variables()),
            _KEYS.rstrip(),
            "",
            *_table(("variable", "provider", ""), _vendors()),
            _UNIVERSE.rstrip(),
            *_objects(json_schema()),
            _BUILT_IN.rstrip(),
            "",
            *_table(
                (
                    *("provider", "limit", "second limit", "bars a request", "lag", "refresh"),
                    *("asked again after", "goes back to"),
                ),
                (_row(name, row) for name, row in sorted(CAPABILITIES.items())),
            ),
            "",
        )
    )


def _variables() -> Iterator[Sequence[str]]:
    for name, field in Settings.model_fields.items():
        default = "" if field.default in {None, SYSTEM} else _written(field.default)
        yield f"`{PREFIX}{name.upper()}`", default and f"`{default}`", field.description or ""


def _vendors() -> Iterator[Sequence[str]]:
    for name, row in sorted(CAPABILITIES.items()):
        yield from ((f"`{key}`", name, "needed") for key in row.keys)
        yield from ((f"`{key}`", name, "may be set") for key in row.optional_keys)


def _objects(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table for the file, and one for each kind of object in it."""
    for title, found in (("", schema), *schema["$defs"].items()):
        one = next((each for each in _kinds(found) if "properties" in each), None)
        if one is None:
            continue
        yield ""
        if title:
            yield f"### {title}"
            yield ""
            yield _flat(one.get("description") or found.get("description") or "")
            yield ""
        required = one.get("required", ())
        rows = [
            (
                f"`{name}`" + (" (needed)" if name in required else ""),
                _kind(value),
                _default(value),
                _flat(value.get("description", "")),
            )
            for name, value in one["properties"].items()
        ]
        yield from _table(("key", "form", "default", "meaning"), rows)


def _kinds(schema: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())]


def _kind(schema: Mapping[str, Any]) -> str:
    """Return in a few words what may be written."""
    found = [text for one in _kinds(schema) if (text := _of_one(one))]
    examples = [f"`{_written(one)}`" for one in schema.get("examples", ())[:2]]
    said = " or ".join(dict.fromkeys(found))
    return f"{said}, as in {', '.join(examples)}" if examples else said


def _of_one(one: Mapping[str, Any]) -> str:
    kind = one.get("type")
    if "$ref" in one:
        name = one["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "enum" in one:
        return ", ".join(f"`{value}`" for value in one["enum"] if value is not None)
    if "patternProperties" in one:
        (inner,) = one["patternProperties"].values()
        return f"by name: {_kind(inner)}"
    if kind == "array" and isinstance(one.get("items"), dict):
        return f"list of {_kind(one['items'])}"
    return _WORDS.get(kind, "") if isinstance(kind, str) else ""


def _default(schema: Mapping[str, Any]) -> str:
    default = schema.get("default")
    text = "" if default in (None, (), [], {}, "") else _written(default)
    return f"`{text}`" if text and len(text) <= _LONGEST_DEFAULT else ""


def _row(name: str, row: Capabilities) -> Sequence[str]:
    if row.history_since is not None:
        back = f"{row.history_since:%Y-%m-%d}"
    elif row.history_minutes is not None:
        hours = row.history_minutes / 60
        back = (
            f"the last {hours:.3g} hours" if hours <= _HOURS else f"the last {hours / 24:.3g} days"
        )
    else:
        back = "its first trade" if row.bars else ""
    bars = (
        f"{row.bars_per_request:,}" if row.bars else "",
        _span(row.lag) if row.bars else "",
        _span(row.refresh) if row.bars else "",
        ", ".join(_span(one) for one in row.settling.delays) if row.bars else "",
        back,
    )
    return name, _limit(row.limit), _limit(row.budget), *bars


def _limit(limit: RateLimit | None) -> str:
    if limit is None:
        return ""
    return f"{limit.requests:,} in {_span(timedelta(seconds=limit.seconds))}"


def _span(length: timedelta) -> str:
    seconds = length.total_seconds()
    unit = next(
        (unit for unit, size in _UNIT_SECONDS.items() if seconds >= size and not seconds % size),
        "s",
    )
    return f"{seconds / _UNIT_SECONDS[unit]:g} {unit}"


def _written(value: object) -> str:
    if isinstance(value, timedelta):
        return _span(value).replace(" ", "")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    return str(value)


def _flat(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(_flat(cell) for cell in row)} |"


if __name__ == "__main__":
    sys.stdout.write(settings_reference())
