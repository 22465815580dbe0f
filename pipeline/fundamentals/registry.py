"""The field registry: which fields there are, and where each client's documents state them.

`fields.yaml` beside this module is the registry itself; what may be written there is in
`pipeline.fundamentals.fields`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError
from pydantic import Field as Option
from pydantic_core import ErrorDetails

from pipeline.fundamentals.documents import (
    DOCUMENTS,
    DataType,
    UnknownDocument,
    data_types,
    nearest,
)
from pipeline.fundamentals.fields import MONEY, UNITS, Bounds, Client, Field, Part, Source

FILE: Final = Path(__file__).with_name("fields.yaml")


class RegistryError(ValueError):
    """The field registry says what it cannot mean; the message says where, and what to write."""


class UnknownField(ValueError):
    """No field has this name."""


class Registry(Part):
    """The whole file, checked."""

    priority: tuple[Client, ...]
    """Whom to believe first where nothing else is said: all clients."""
    priority_by_data_type: dict[DataType, tuple[Client, ...]] = Option(default_factory=dict)
    fields: dict[str, Field]

    @cached_property
    def version(self) -> str:
        """What tells it from a registry that says something else."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    def field(self, name: str) -> Field:
        """Return a field by its name.

        Raises:
            UnknownField: There is none; the message names the nearest.
        """
        if name not in self.fields:
            raise UnknownField(f"{name!r} is no field{nearest(name, self.fields)}")
        return self.fields[name]

    def sources(self, client: str, document: str) -> Iterator[tuple[str, Field, Source]]:
        """Yield what a document states: a field's name, the field, and where it is.

        Raises:
            UnknownDocument: There is no such client or document.
        """
        data_types(client, document)
        for name, field in self.fields.items():
            for kind, sources in field.sources.items():
                if kind == client:
                    yield from ((name, field, one) for one in sources if one.document == document)

    def names(self, client: str, document: str) -> tuple[str, ...]:
        """Return the vendor's names of all that the registry knows of a document.

        Raises:
            UnknownDocument: There is no such client or document.
        """
        found = self.sources(client, document)
        return tuple(dict.fromkeys(name for _, _, source in found for name in source.name))


@cache
def registry() -> Registry:
    """Return the registry of this project."""
    return load(FILE)


def load(path: Path) -> Registry:
    """Read a registry.

    Raises:
        RegistryError: It is not one; the message lists all that is wrong, and where.
    """
    try:
        read = Registry.model_validate(yaml.load(path.read_bytes(), _NoKeyTwice))  # noqa: S506  safe
    except yaml.YAMLError as error:
        raise RegistryError(f"{path.name} is not YAML as it should be: {error}") from None
    except ValidationError as error:
        raise _refused(path, [_worded(one) for one in error.errors()]) from None
    if problems := [*_contradictions(read)]:
        raise _refused(path, problems)
    fields = {name: _with_priority(field, read) for name, field in read.fields.items()}
    return read.model_copy(update={"fields": fields})


class _NoKeyTwice(yaml.SafeLoader):
    """Reads YAML, and takes a key that is written twice for the mistake that it is."""

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002  yaml's own
    ) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise yaml.constructor.ConstructorError(
                None, None, f"{', '.join(sorted(twice))} is written twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def _refused(path: Path, problems: Sequence[str]) -> RegistryError:
    return RegistryError(f"{path.name}: " + "\n".join(problems))


def _worded(error: ErrorDetails) -> str:
    place = ".".join(str(part) for part in error["loc"] if part != "[key]")
    if error["type"] == "literal_error":
        known = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        return f"{place} is {error['input']!r}{nearest(str(error['input']), known)}"
    if error["type"] == "extra_forbidden":
        return f"{place} is no option here{nearest(str(error['loc'][-1]), _options(error['loc']))}"
    return f"{place}: {error['msg']}, not {error['input']!r}"


def _options(place: tuple[int | str, ...]) -> Sequence[str]:
    models: dict[int, type[BaseModel]] = {1: Registry, 3: Field, 4: Bounds}
    return list(models.get(len(place), Source).model_fields)


def _contradictions(read: Registry) -> Iterator[str]:
    if missing := [client for client in DOCUMENTS if client not in read.priority]:
        yield f"priority leaves out {', '.join(missing)}: name all clients"
    for name, field in read.fields.items():
        for client, sources in field.sources.items():
            for number, source in enumerate(sources):
                place = f"fields.{name}.sources.{client}.{number}"
                for problem in _problems(field, client, source):
                    yield f"{place}: {problem}"
                for other in sources[:number]:
                    if _same_place(source, other):
                        yield f"{place}: {source.name[0]} is named before, for the same time"


def _problems(field: Field, client: str, source: Source) -> Iterator[str]:
    try:
        known = data_types(client, source.document)
    except UnknownDocument as error:
        yield str(error)
        return
    if field.data_type not in known:
        yield f"{source.document} has no {field.data_type}; it has {', '.join(known)}"
    if source.unit and source.unit not in UNITS[field.kind]:
        yield f"no {field.kind} is in {source.unit}{nearest(source.unit, UNITS[field.kind])}"
    if source.currency and field.kind not in MONEY:
        yield f"a {field.kind} has no currency"
    if field.kind in {"text", "date"}:
        for option in ("in_minor_unit", "same_currency", "opposite_sign", "as_text"):
            if getattr(source, option):
                yield f"{option} is for numbers, and this is a {field.kind}"
    if source.since and source.until and source.since >= source.until:
        yield "since is not before until"


def _same_place(one: Source, other: Source) -> bool:
    apart = (one.until and other.since and one.until <= other.since) or (
        other.until and one.since and other.until <= one.since
    )
    return one.document == other.document and not apart


def _with_priority(field: Field, read: Registry) -> Field:
    """Return a field with a priority that names all clients."""
    first = field.priority or read.priority_by_data_type.get(field.data_type, ())
    return field.model_copy(update={"priority": tuple(dict.fromkeys((*first, *read.priority)))})
