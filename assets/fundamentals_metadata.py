"""What Dagster's pages show of fundamentals: per partition, per run, and of the assets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import dagster as dg

from assets.columns import Described, of_view
from assets.comparison import comparison, counts
from assets.metadata import Metadata
from pipeline.fundamentals.completeness import Completeness
from pipeline.fundamentals.wording import aged
from pipeline.snapshots.refreshing import Refreshed
from pipeline.store.document_states import DocumentState
from pipeline.store.fundamentals import Row
from pipeline.store.snapshots import Outcome

_OUTCOMES: Sequence[Outcome] = ("new", "same", "none", "unusable", "failed")
_VALUES_QUERIES = """
SELECT * FROM market.fundamentals_values WHERE provider = '{provider}' AND instrument = 'AAPL';
SELECT * FROM market.fundamentals_snapshots WHERE provider = '{provider}' ORDER BY fetched_at DESC;
"""
_FIELDS_QUERIES = """
SELECT * FROM market.fundamentals WHERE instrument = 'AAPL';
SELECT * FROM market.fundamentals_fields WHERE instrument = 'AAPL';
SELECT * FROM market.fundamentals_asof('2025-01-01') WHERE instrument = 'AAPL';
SELECT * FROM market.fundamentals_dictionary;
"""


def of_values(provider: str) -> Described:
    """Return what is known of a provider's values before any run."""
    return of_view("fundamentals_values", _VALUES_QUERIES.format(provider=provider))


def of_fields() -> Described:
    """Return what is known of the combined fields before any run."""
    return of_view("fundamentals_fields", _FIELDS_QUERIES)


def of_documents(
    provider: str, states: Sequence[DocumentState], refreshed: Sequence[Refreshed]
) -> Metadata:
    """Return the metadata of one partition: what was asked, and what is stored of it now.

    Args:
        provider: The provider's name in the universe.
        states: What is stored of each document.
        refreshed: What was asked in this run.
    """
    values = sum(state.values or 0 for state in states)
    found: Metadata = {
        "dagster/partition_row_count": dg.MetadataValue.int(values),
        "asked": dg.MetadataValue.int(len(refreshed)),
        **_counted(refreshed),
        "refused_values": dg.MetadataValue.int(sum(state.refusals or 0 for state in states)),
        "held_values": dg.MetadataValue.int(sum(state.held or 0 for state in states)),
    }
    now = datetime.now(UTC)
    if seen := [state.last_seen_at for state in states if state.last_seen_at is not None]:
        hours = (now - min(seen)).total_seconds() / 3600
        found["oldest_document_hours"] = dg.MetadataValue.float(round(hours, 2))
    if note := _note(provider, states, refreshed):
        found["note"] = dg.MetadataValue.text(note)
    if any(state.document for state in states):
        found["documents"] = dg.MetadataValue.md(_document_table(states, now))
    return found


def _counted(refreshed: Sequence[Refreshed]) -> Metadata:
    outcomes = Counter(one.outcome for one in refreshed)
    return {name: dg.MetadataValue.int(outcomes[name]) for name in _OUTCOMES if outcomes[name]}


def _note(provider: str, states: Sequence[DocumentState], refreshed: Sequence[Refreshed]) -> str:
    if not all(state.in_universe for state in states):
        return "no longer in the universe: nothing is asked, and what is stored stays"
    if all(state.outcome == "none" for state in states):
        return f"{provider} answers that it has no fundamentals of it"
    if lacking := [state.document or "" for state in states if state.outcome == "none"]:
        return f"{provider} answers that it has no {', '.join(lacking)} of it"
    return "" if refreshed else "all documents are fresh: nothing was asked"


def _document_table(states: Sequence[DocumentState], now: datetime) -> str:
    lines = [
        f"| {state.document} | {state.outcome} | {_ago(now, state.checked_at)} "
        f"| {_ago(now, state.fetched_at)} | {state.values or 0} | {state.refusals or 0} "
        f"| {state.held or 0} | {state.detail or ''} |"
        for state in states
        if state.document
    ]
    head = [
        "| document | last answer | asked | says so for | values | refused | held | why |",
        "|---|---|---|---|--:|--:|--:|---|",
    ]
    return "\n".join([*head, *lines])


def _ago(now: datetime, then: datetime | None) -> str:
    return "" if then is None else aged(now - then)


def of_refresh(
    instruments: Sequence[str], bad: Collection[str], refreshed: Sequence[Refreshed]
) -> Metadata:
    """Return a run's totals, in a line: each partition's event repeats it."""
    outcomes = Counter(one.outcome for one in refreshed)
    told = ", ".join(f"{outcomes[name]} {name}" for name in _OUTCOMES if outcomes[name])
    return {
        "run": dg.MetadataValue.text(
            f"{len(instruments) - len(bad)} of {len(instruments)} instruments complete; "
            f"{len(refreshed)} documents asked for{': ' if told else ''}{told}"
        )
    }


def of_comparison(rows: Sequence[Row], complete: Completeness | None) -> Metadata:
    """Return the metadata of an instrument: who says what, and how complete and sure that is.

    Args:
        rows: What is known of it, field by field.
        complete: How complete that is; None where nothing is expected of its class.
    """
    known = sum(row["state"] != "none" for row in rows)
    found: Metadata = {
        "dagster/partition_row_count": dg.MetadataValue.int(known),
        **{name: dg.MetadataValue.int(count) for name, count in counts(rows).items()},
    }
    if complete is not None:
        found["completeness"] = dg.MetadataValue.float(round(complete.score, 1))
        if complete.missing:
            found["missing"] = dg.MetadataValue.text(", ".join(complete.missing))
    if not rows:
        return found | {"note": dg.MetadataValue.text("nobody has said anything of it yet")}
    return found | {"comparison": dg.MetadataValue.md(comparison(rows))}
