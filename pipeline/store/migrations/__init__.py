"""Alembic migrations of the market database, written as plain SQL beside each revision."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from alembic import op


def run_sql(revision_file: str, direction: Literal["up", "down"]) -> None:
    """Run the SQL file of a revision: `NAME.up.sql` or `NAME.down.sql` beside `NAME.py`."""
    script = Path(revision_file).with_suffix(f".{direction}.sql").read_text(encoding="utf-8")
    # The driver's own cursor, since SQLAlchemy would read `%` and `:` in the script as parameters.
    cursor = op.get_bind().connection.cursor()
    cursor.execute(script)
    cursor.close()
