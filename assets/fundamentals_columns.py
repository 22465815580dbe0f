"""The columns of the views of fundamentals, as Dagster's pages describe them."""

from __future__ import annotations

from typing import Final

Columns = tuple[tuple[str, str, str], ...]
"""Name, type and meaning of each."""

VALUES: Final[Columns] = (
    ("instrument", "text", "The instrument"),
    ("provider", "text", "Who says so"),
    ("field", "text", "Name of the field"),
    ("period", "text", "What time it is about: annual, quarter, ttm (twelve months) or instant"),
    ("period_end", "date", "Last day of that time; null where the document does not say"),
    ("value", "double precision", "The value of a field that is a number"),
    ("words", "text", "The value of a field that is text"),
    ("day", "date", "The value of a field that is a date"),
    ("currency", "text", "What an amount is in, ISO 4217; null for other fields"),
    ("filed_at", "timestamptz", "When it was published, UTC; null where the document does not say"),
    ("document", "text", "Which document it is read in"),
    ("fetched_at", "timestamptz", "When that first came, UTC"),
    ("last_seen_at", "timestamptz", "When it last came unchanged, UTC"),
    ("snapshot", "bigint", "Its number: id in market.fundamentals_snapshots"),
    ("found_at", "text", "Where in it"),
    (
        "held",
        "text",
        "Why it does not count: its scale changed, and nobody confirms it. Null if it counts",
    ),
)

FIELDS: Final[Columns] = (
    ("instrument", "text", "The instrument"),
    ("field", "text", "Name of the field; market.fundamentals_dictionary says what it means"),
    (
        "value",
        "double precision",
        "The value of a number; null if nobody may be believed",
    ),
    ("words", "text", "The value of a field that is text"),
    ("day", "date", "The value of a field that is a date"),
    ("unit", "text", "What the value is in, in words"),
    ("currency", "text", "What an amount is in, ISO 4217; null for other fields"),
    ("period", "text", "What time it is about: annual, quarter, ttm (twelve months) or instant"),
    ("period_end", "date", "Last day of that time; null where nobody says"),
    ("filed_at", "timestamptz", "When it was published, UTC; null where the document does not say"),
    ("provider", "text", "Who says so; several joined by + where their mean was taken"),
    ("rule", "text", "Which rule chose it"),
    (
        "state",
        "text",
        "agree or disagree with the others, single, stale, or none: nobody may be believed",
    ),
    (
        "spread",
        "double precision",
        "How far those that can be compared lie apart, relative to the value; days for dates",
    ),
    ("since", "timestamptz", "From when on that was so, UTC"),
    ("confirmed_at", "timestamptz", "When the provider last said so, UTC"),
    ("age", "interval", "How long ago that was"),
    ("snapshot", "bigint", "The snapshot that first said so: id in market.fundamentals_snapshots"),
    ("found_at", "text", "Where in its payload"),
    (
        "candidates",
        "jsonb",
        "All that was said, in the order of priority, with the verdict on each, and why",
    ),
)
