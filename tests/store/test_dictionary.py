"""The data dictionary is what the database says of itself."""

from pathlib import Path

from pipeline.store.database import Database
from pipeline.store.dictionary import column_table, data_dictionary

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "data-dictionary.md"
COLUMNS = ROOT / "assets" / "columns.csv"


def test_the_committed_dictionary_is_that_of_the_database(database: Database) -> None:
    with database.connect() as connection:
        made = data_dictionary(connection)
    assert PAGE.read_text() == made, "run `make dictionary` and commit docs/data-dictionary.md"


def test_the_ui_describes_columns_as_the_database_does(database: Database) -> None:
    with database.connect() as connection:
        made = column_table(connection)
    assert COLUMNS.read_text() == made, "run `make dictionary` and commit assets/columns.csv"


def test_every_view_and_function_for_analysts_is_in_it(database: Database) -> None:
    text = PAGE.read_text()
    with database.connect() as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'market'::regnamespace"
            " AND relkind = 'v' UNION ALL"
            " SELECT proname FROM pg_proc WHERE pronamespace = 'market'::regnamespace"
        ).fetchall()
    titles = {
        name
        for line in text.splitlines()
        if line.startswith("### ")
        for name in line.removeprefix("### ").split(", ")
    }
    assert titles == {name for (name,) in names}
    assert "None" not in text
