"""The fields of fundamentals in the ledger, kept in step with the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import psycopg

from pipeline.fundamentals.fields import Kind
from pipeline.fundamentals.registry import Registry

_UPSERT_FIELD = """
INSERT INTO ledger.field (name, place, kind, unit, data_type, period, meaning)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE
SET place = excluded.place, kind = excluded.kind, unit = excluded.unit,
    data_type = excluded.data_type, period = excluded.period, meaning = excluded.meaning
"""

_UNITS: Final[Mapping[Kind, str]] = {
    "amount": "units of its currency",
    "per_share": "units of its currency for one share or coin",
    "fraction": "parts of one (0.41 is 41 %)",
    "multiple": "times",
    "count": "pieces",
    "text": "words",
    "date": "days",
}


def sync_fields(connection: psycopg.Connection, registry: Registry) -> None:
    """Bring the fields, and the columns of `market.fundamentals`, in step with the registry.

    Raises:
        psycopg.errors.LockNotAvailable: The view is being read; nothing is changed.
        psycopg.errors.DependentObjectsStillExist: Somebody's view is made of columns that go.
    """
    rows = [
        (name, place, one.kind, _UNITS[one.kind], one.data_type, one.period, one.meaning)
        for place, (name, one) in enumerate(registry.fields.items(), 1)
    ]
    query = "SELECT name, place, kind, unit, data_type, period, meaning FROM ledger.field"
    with connection.transaction(), connection.cursor() as cursor:
        if cursor.execute(query + " ORDER BY place").fetchall() == rows:
            return
        cursor.execute("DELETE FROM ledger.field WHERE name <> ALL(%s)", [list(registry.fields)])
        cursor.executemany(_UPSERT_FIELD, rows)
        cursor.execute("SELECT ledger.make_fundamentals_view()")
