"""What Dagster's pages say of the columns of a view of `market`: the database's own words.

`columns.csv` is made from the comments in the database (`make dictionary`).
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from functools import cache
from itertools import groupby
from pathlib import Path

import dagster as dg

Described = Mapping[str, dg.MetadataValue | str | dg.TableSchema | dg.TableColumnLineage]
"""Metadata of a definition."""


def of_view(
    view: str, queries: str, *upstream: tuple[dg.AssetKey, str], named: bool = True
) -> Described:
    """Return what is known of an asset before any run.

    Args:
        view: The view of `market` that shows it.
        queries: SQL that a reader may want to begin with.
        upstream: The assets that it is made of, and their views. A column follows from their
            columns of the same name.
        named: Whether the view is all of it; False if it is one of several alike.
    """
    found: dict[str, dg.MetadataValue | str | dg.TableSchema | dg.TableColumnLineage] = {
        "dagster/column_schema": dg.TableSchema([dg.TableColumn(*each) for each in _views()[view]]),
        "queries": dg.MetadataValue.md(f"```sql\n{queries.strip()}\n```"),
    }
    if named:
        found["dagster/table_name"] = f"market.{view}"
    if upstream:
        found["dagster/column_lineage"] = dg.TableColumnLineage(
            {name: _sources(name, upstream) for name in _names(view)}
        )
    return found


def with_link(description: str, documentation: str) -> str:
    """Return a description that ends with a link to the provider's documentation, if known."""
    link = f"\n\n[The provider's own documentation]({documentation})"
    return description + link if documentation else description


def _sources(name: str, upstream: Collection[tuple[dg.AssetKey, str]]) -> list[dg.TableColumnDep]:
    return [dg.TableColumnDep(key, name) for key, view in upstream if name in _names(view)]


def _names(view: str) -> list[str]:
    return [name for name, _, _ in _views()[view]]


@cache
def _views() -> Mapping[str, tuple[tuple[str, str, str], ...]]:
    """Return name, type and meaning of each column, by view."""
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return {
        view: tuple((name, kind, meaning) for _, name, kind, meaning in group)
        for view, group in groupby(rows, key=lambda row: row[0])
    }
