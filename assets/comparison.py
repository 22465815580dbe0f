"""What is known of an instrument as a table: who says what of each field, and who won.

What belongs here: the words. No Dagster in here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.fundamentals.registry import registry
from pipeline.fundamentals.wording import aged, candidate_worded, spread_worded
from pipeline.store.fundamentals import Row

STATES = ("agree", "disagree", "single", "stale", "none")
_MARKS = {
    "won": "**{}**",
    "agrees": "{}",
    "disagrees": "{} ≠",
    "held": "~~{}~~ held",
    "out of bounds": "~~{}~~ out of bounds",
    "older period": "{} (older)",
    "lapsed": "{} (lapsed)",
    "other currency": "{} (other currency)",
}


def counts(rows: Sequence[Row]) -> Mapping[str, int]:
    """Return how many fields are in each state, and how many values do not count."""
    found = {state: sum(row["state"] == state for row in rows) for state in STATES}
    held = sum(said["verdict"] == "held" for row in rows for said in row["candidates"])
    return {**found, "held": held}


def comparison(rows: Sequence[Row]) -> str:
    """Return the table of an instrument in Markdown: a row for each field, a column a provider."""
    providers = sorted({said["provider"] for row in rows for said in row["candidates"]})
    head = ["field", *providers, "won", "rule", "about", "age", "state", "spread"]
    lines = [_cells(row, providers) for row in rows]
    return "\n".join(_line(row) for row in (head, ["---"] * len(head), *lines))


def _kind(field: str) -> str | None:
    known = registry().fields.get(field)
    return None if known is None else known.kind


def _cells(row: Row, providers: Sequence[str]) -> list[str]:
    kind, period_end, state = _kind(row["field"]), row["period_end"], row["state"]
    said = {
        name: " ".join(
            _MARKS[one["verdict"]].format(candidate_worded(kind, one))
            for one in row["candidates"]
            if one["provider"] == name
        )
        for name in providers
    }
    return [
        row["field"],
        *said.values(),
        row["provider"] or "nobody",
        row["rule"] or "",
        "" if period_end is None else period_end.isoformat(),
        aged(row["age"]),
        f"**{state}**" if state in {"disagree", "none"} else state,
        spread_worded(kind, row["spread"]),
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
