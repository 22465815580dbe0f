"""Whichever module is imported first, it can be: no two need each other while they are loaded."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipeline", "assets", "resources", "sensors", "venue", "benchmarks", "tests")


def modules() -> dict[str, Path]:
    """Return our modules by their names."""
    found = {}
    for path in (file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def loaded(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that are executed while a module is loaded."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import() | ast.ImportFrom():
                yield child
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                pass
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from loaded(ast.Module(child.orelse, []))
            case _:
                yield from loaded(child)


def needs(path: Path, known: dict[str, Path]) -> set[str]:
    """Return which of our modules have to be loaded for one."""
    found = set()
    for statement in loaded(ast.parse(path.read_bytes())):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        else:
            assert statement.level == 0, f"{path}: a relative import is not followed here"
            package = statement.module or ""
            names = {f"{package}.{alias.name}" for alias in statement.names}
            found |= {name if name in known else package for name in names}
    return found & known.keys()


def test_no_module_needs_itself() -> None:
    known = modules()
    assert len(known) > 500

    order = TopologicalSorter({name: needs(path, known) for name, path in known.items()})

    order.prepare()  # names a circle if there is one
