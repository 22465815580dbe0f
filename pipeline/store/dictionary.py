"""The data dictionary of the schema `market`, from the comments in the database.

`python -m pipeline.store.dictionary PAGE TABLE` writes the page and the table of columns that
Dagster's assets are described with, for a ledger with the usual timeframes.
"""

from __future__ import annotations

import csv
import io
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import psycopg

from pipeline.store.database import Database
from pipeline.store.migrate import migrate
from pipeline.store.server import EmbeddedServer
from pipeline.store.timeframes import timeframes
from pipeline.timeframes import MINUTE_NAME

_HEAD = """\
# Data dictionary

Everything that analysts read: the views and functions of the schema `market`, readable by the role
`analyst`. This page is made from the comments in the database (`make dictionary`), which psql shows
too (`\\d+ market.bars_1m`). The timeframes are those of a universe that does not choose any.
[recipes.md](recipes.md) has queries to start from.

All times are UTC, and the start of what they name; ranges are half-open: `since` belongs to them,
`before` does not. A missing value is NULL. Prices are as the provider delivered them, not adjusted
for splits or dividends. Only `bars_1m_filled` fills anything in, and says so in each row.
"""

_VIEWS = """
SELECT c.relname, obj_description(c.oid), array_agg(
           ARRAY[a.attname::text, format_type(a.atttypid, a.atttypmod),
                 col_description(c.oid, a.attnum)] ORDER BY a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'market'::regnamespace AND c.relkind = 'v'
GROUP BY c.oid, c.relname ORDER BY c.relname COLLATE "C"
"""

_FUNCTIONS = """
SELECT proname, pg_get_function_arguments(oid), pg_get_function_result(oid), obj_description(oid)
FROM pg_proc WHERE pronamespace = 'market'::regnamespace ORDER BY proname COLLATE "C"
"""


@dataclass(frozen=True, slots=True)
class _View:
    name: str
    meaning: str
    columns: tuple[tuple[str, str, str], ...]


def data_dictionary(connection: psycopg.Connection) -> str:
    """Return the page, in Markdown, of a migrated ledger."""
    views = _views(connection)
    order = [f"bars_{name}" for name in (MINUTE_NAME, *timeframes(connection))]
    views.sort(key=lambda view: order.index(view.name) if view.name in order else len(order))
    # Bars above a minute have the same columns in all timeframes, and are told of together.
    alike = [list(group) for _, group in groupby(views, key=lambda view: view.columns)]
    parts = [_HEAD, "## Views\n", *map(_section, alike), "## Functions\n"]
    parts += [_function(*row) for row in connection.execute(_FUNCTIONS)]
    return "\n".join(parts)


def column_table(connection: psycopg.Connection) -> str:
    """Return all columns of all views as CSV: `view,column,type,meaning`."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["view", "column", "type", "meaning"])
    for view in _views(connection):
        for name, kind, said in view.columns:
            writer.writerow([view.name, name, _short(kind), said])
    return table.getvalue()


def _views(connection: psycopg.Connection) -> list[_View]:
    return [
        _View(name, meaning, tuple((field, kind, said) for field, kind, said in columns))
        for name, meaning, columns in connection.execute(_VIEWS)
    ]


def _section(views: Sequence[_View]) -> str:
    title = ", ".join(view.name for view in views)
    rows = [
        f"| `{name}` | {_short(kind)} | {_cell(said)} |" for name, kind, said in views[0].columns
    ]
    return "\n".join(
        [
            f"### {title}\n",
            *(view.meaning if len(views) == 1 else f"- {view.meaning}" for view in views),
            "\n| column | type | meaning |\n|---|---|---|",
            *rows,
            "",
        ]
    )


def _function(name: str, arguments: str, result: str, meaning: str) -> str:
    call = f"market.{name}({_lines(arguments)}) RETURNS "
    call += f"TABLE ({_lines(result[6:-1])})" if result.startswith("TABLE(") else result
    return f"### {name}\n\n{meaning}\n\n```sql\n{_short(call)}\n```\n"


def _lines(items: str) -> str:
    return "".join(f"\n    {item}" for item in items.replace(", ", ",\0").split("\0")) + "\n"


def _short(kind: str) -> str:
    return kind.replace("timestamp with time zone", "timestamptz")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


@contextmanager
def _new_ledger() -> Iterator[psycopg.Connection]:
    with tempfile.TemporaryDirectory(prefix="ml-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server has an account of its own when this runs as root
        server = EmbeddedServer(folder / "pg", settings={"fsync": "off"})
        try:
            database = Database(server)
            migrate(database)
            with database.connect() as connection:
                yield connection
        finally:
            server.stop("immediate")


if __name__ == "__main__":
    page, columns = map(Path, sys.argv[1:])
    with _new_ledger() as ledger:
        page.write_text(data_dictionary(ledger), encoding="utf-8")
        columns.write_text(column_table(ledger), encoding="utf-8")
