"""The venue knows nothing of what is tested against it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "venue"
LIBRARIES = {"aiohttp", "numpy", "orjson", "typer", "yaml"}


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def test_the_venue_imports_nothing_of_ours() -> None:
    files = list(FOLDER.rglob("*.py"))
    assert len(files) > 20
    for file in files:
        strangers = imported(file) - LIBRARIES - sys.stdlib_module_names - {"venue"}
        assert not strangers, file
