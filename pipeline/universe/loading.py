"""Reading the universe file, and its JSON schema."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from pipeline.universe.conflicts import conflicts
from pipeline.universe.files import FilesConfig
from pipeline.universe.model import Universe
from pipeline.universe.parts import (
    FundamentalsConfig,
    InstrumentConfig,
    LimitConfig,
    ListingConfig,
    ProviderConfig,
)
from pipeline.universe.selection import SelectionRule
from pipeline.universe.sessions import SessionConfig
from pipeline.universe.tree import KeyPath, UniverseError, read_tree
from pipeline.universe.wording import explain


def load_universe(path: Path) -> Universe:
    """Read and check the universe file.

    Raises UniverseError with every problem at once, each with its line, its key and the fix.
    """
    tree = read_tree(path)
    problems = list(tree.problems)
    try:
        universe = Universe.model_validate(tree.value)
    except ValidationError as error:
        problems += [explain(detail, tree, _options) for detail in error.errors()]
        problems += [tree.at(*conflict) for conflict in conflicts(tree.value)]
    if problems:
        raise UniverseError(path, problems)
    return universe


def json_schema() -> dict[str, Any]:
    """Make the file's JSON schema, for editors; `python -m pipeline.universe` prints it."""
    schema = Universe.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _options(path: KeyPath) -> Mapping[str, FieldInfo]:
    model: type[BaseModel]
    match path:
        case ():
            model = Universe
        case ("providers", _):
            model = ProviderConfig
        case ("providers", _, "limits" | "budget"):
            model = LimitConfig
        case ("sessions", _):
            model = SessionConfig
        case ("providers", _, "files"):
            model = FilesConfig
        case ("selection", _):
            model = SelectionRule
        case ("instruments", _):
            model = InstrumentConfig
        case ("instruments", _, "fundamentals", _):
            model = FundamentalsConfig
        case _:
            model = ListingConfig
    return {info.alias or name: info for name, info in model.model_fields.items()}
