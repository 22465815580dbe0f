"""What Dagster's pages show of bars: per partition, per run, and of the asset itself."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from assets.candles import candle_picture
from assets.columns import Described, of_view
from assets.outcomes import PICTURE_SLICES, CellOutcome
from assets.pictures import picture
from pipeline.store.reasons import ReasonedGap

Metadata = dict[str, dg.MetadataValue]

_SHOWN = 20
_BARS_QUERIES = """
SELECT * FROM market.bars_1m WHERE provider = '{provider}' AND listing = 'BTC-USD';
SELECT * FROM market.coverage WHERE provider = '{provider}' ORDER BY percent;
"""
_GAPS_QUERIES = """
SELECT * FROM market.gaps WHERE provider = '{provider}' ORDER BY minutes DESC;
SELECT * FROM market.silences WHERE provider = '{provider}';
SELECT * FROM market.quiet_gaps('{provider}', 'BTC-USD', '2024-01-01', '2024-02-01');
"""

_HIGHER_QUERIES = """
SELECT * FROM market.bars_1d WHERE provider = '{provider}' AND listing = 'BTC-USD';
SELECT * FROM market.bars_1h WHERE provider = '{provider}' AND NOT complete ORDER BY ts DESC;
"""


def of_bars(provider: str) -> Described:
    """Return what is known of the bars before any run."""
    return of_view("bars_1m", _BARS_QUERIES.format(provider=provider))


def of_gaps(provider: str) -> Described:
    """Return what is known of the gaps before any run."""
    return of_view("gaps", _GAPS_QUERIES.format(provider=provider))


def of_higher_bars(provider: str) -> Described:
    """Return what is known of bars above a minute before any run."""
    minutes = dg.AssetKey([provider, "bars_1m"])
    queries = _HIGHER_QUERIES.format(provider=provider)
    return of_view("bars_1d", queries, (minutes, "bars_1m"), named=False)


def of_cell(outcome: CellOutcome) -> Metadata:
    """Return the metadata of one partition's materialization; the row count is that of bars."""
    coverage, report = outcome.state.coverage, outcome.report
    found: Metadata = {"dagster/partition_row_count": dg.MetadataValue.int(outcome.state.stored)}
    if coverage is not None:
        found["coverage_percent"] = dg.MetadataValue.float(coverage.percent)
        for name in ("expected", "empty", "failed", "unavailable", "pending"):
            found[f"{name}_minutes"] = dg.MetadataValue.int(getattr(coverage, name))
        if coverage.extended:
            found["extended_bars"] = dg.MetadataValue.int(coverage.extended)
    if report is not None and report.requests:  # an entry costs 150 bytes for ever
        for name in ("requests", "inserted", "revised", "refused"):
            found[name] = dg.MetadataValue.int(getattr(report, name))
        found["seconds"] = dg.MetadataValue.float(round(report.seconds, 3))
    if outcome.note:
        found["note"] = dg.MetadataValue.text(outcome.note)
    if outcome.shape:
        found["picture"] = dg.MetadataValue.md(picture(outcome.shape, PICTURE_SLICES))
    return found


def of_cell_gaps(outcome: CellOutcome) -> Metadata:
    """Return the metadata of one partition's gaps; nothing when they are as they were."""
    coverage, silences = outcome.state.coverage, outcome.silences
    if coverage is None or silences is None or not outcome.judged:
        return {}
    found: Metadata = {
        name: dg.MetadataValue.int(getattr(silences, name))
        for name in ("quiet_gaps", "quiet_minutes", "outages", "outage_minutes")
    }
    for name in ("halts", "halt_minutes"):
        found[name] = dg.MetadataValue.int(getattr(silences, name))
    for name in ("failed", "unavailable", "pending"):
        found[f"{name}_minutes"] = dg.MetadataValue.int(getattr(coverage, name))
    if outcome.gaps:
        found["gaps"] = dg.MetadataValue.md(_gap_table(outcome.gaps))
    return found


def of_cell_bars(outcome: CellOutcome) -> Metadata:
    """Return the metadata of one partition's bars above a minute; nothing if none were built."""
    if not outcome.bars:
        return {}
    found: Metadata = {
        "dagster/partition_row_count": dg.MetadataValue.int(sum(one.bars for one in outcome.bars))
    }
    if lacking := sum(one.incomplete for one in outcome.bars):
        found["not_complete"] = dg.MetadataValue.int(lacking)
    lines = [f"| {one.timeframe} | {one.bars:,} | {one.incomplete:,} |" for one in outcome.bars]
    head = ["| timeframe | bars | not complete |", "|---|--:|--:|"]
    found["bars"] = dg.MetadataValue.md("\n".join([*head, *lines]))
    if shown := candle_picture(outcome.cell.month, outcome.candles, outcome.gaps):
        found["picture"] = dg.MetadataValue.md(shown)
    return found


def _gap_table(gaps: Sequence[ReasonedGap]) -> str:
    lines = [
        f"| {gap.since:%Y-%m-%d %H:%M} | {gap.minutes:,} | {gap.reason} | {gap.evidence or ''} |"
        for gap in gaps[:_SHOWN]
    ]
    more = [f"\nand {len(gaps) - _SHOWN} more in `market.gaps`"] if len(gaps) > _SHOWN else []
    return "\n".join(
        ["| since (UTC) | minutes | reason | evidence |", "|---|--:|---|---|", *lines, *more]
    )


def of_run(outcomes: Sequence[CellOutcome]) -> Metadata:
    """Return a run's totals, in a line: each partition's event repeats it."""
    reports = [outcome.report for outcome in outcomes if outcome.report is not None]
    inserted, revised, refused, requests = (
        sum(getattr(report, name) for report in reports)
        for name in ("inserted", "revised", "refused", "requests")
    )
    complete = sum(not outcome.problem for outcome in outcomes)
    return {
        "run": dg.MetadataValue.text(
            f"{complete} of {len(outcomes)} partitions complete; {requests} requests, "
            f"{inserted} bars inserted, {revised} revised, {refused} refused"
        )
    }
