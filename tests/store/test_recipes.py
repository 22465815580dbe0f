"""Every recipe of the page runs as it stands there, by an analyst, and finds something."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.database import Database

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
RECIPES = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


def _first_line(recipe: str) -> str:
    return " ".join(recipe.split())[:60]


@pytest.mark.parametrize("recipe", RECIPES, ids=_first_line)
def test_the_recipe_runs_for_an_analyst_and_finds_something(stocked: Database, recipe: str) -> None:
    with stocked.connect() as connection:
        connection.execute("SET ROLE analyst")
        rows = connection.execute(recipe.encode()).fetchall()
    assert rows
    assert not any(value is None for value in rows[0])


def test_the_page_has_recipes() -> None:
    assert len(RECIPES) > 15


def _rows(database: Database, part: str) -> list[Any]:
    (recipe,) = (recipe for recipe in RECIPES if part in recipe)
    with database.connect() as connection:
        return connection.execute(recipe.encode()).fetchall()


def test_the_split_shows_and_is_taken_out(stocked: Database) -> None:
    ((_, _, day, *_, ratio),) = _rows(stocked, "AS ratio")
    assert (day, round(ratio)) == (date(2024, 6, 10), 10)
    closes = [close for _, close, _ in _rows(stocked, "ELSE 1 END AS close")]
    assert max(closes) / min(closes) < 1.1


def test_a_day_of_new_york_has_its_390_minutes(stocked: Database) -> None:
    rows = _rows(stocked, "AS new_york")
    assert len(rows) == 390
    assert rows[0][0] == datetime(2024, 6, 10, 9, 30)  # noqa: DTZ001 - local, as it is shown
