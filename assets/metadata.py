"""What Dagster's pages show of bars: per partition, per run, and of the asset itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg
import pyarrow as pa

from assets.downloading import PICTURE_SLICES, CellOutcome
from assets.pictures import picture
from pipeline.bars import BAR_SCHEMA

Metadata = Mapping[str, dg.MetadataValue]

_TYPES = {
    pa.timestamp("us", tz="UTC"): "timestamptz",
    pa.float64(): "double precision",
    pa.int64(): "bigint",
}
_OPTIONAL = {"volume", "vwap", "trades"}


def column_schema() -> dg.TableSchema:
    """Return the columns of `market.bars_1m`."""
    names = [
        dg.TableColumn("provider", "text", "the provider"),
        dg.TableColumn("listing", "text", "name of the listing among its provider's"),
        dg.TableColumn("symbol", "text", "the provider's symbol"),
    ]
    values = [
        dg.TableColumn(
            field.name,
            _TYPES[field.type],
            (field.metadata or {}).get(b"doc", b"").decode(),
            constraints=dg.TableColumnConstraints(nullable=field.name in _OPTIONAL),
        )
        for field in BAR_SCHEMA
    ]
    return dg.TableSchema(columns=names + values)


def of_cell(outcome: CellOutcome) -> Metadata:
    """Return the metadata of one partition's materialization; the row count is that of bars."""
    coverage, report = outcome.state.coverage, outcome.report
    found: dict[str, dg.MetadataValue] = {
        "dagster/partition_row_count": dg.MetadataValue.int(outcome.state.stored)
    }
    if coverage is not None:
        found["coverage_percent"] = dg.MetadataValue.float(coverage.percent)
        for name in ("expected", "empty", "failed", "unavailable", "pending"):
            found[f"{name}_minutes"] = dg.MetadataValue.int(getattr(coverage, name))
    if report is not None and report.requests:  # an entry costs 150 bytes for ever
        for name in ("requests", "inserted", "revised", "refused"):
            found[name] = dg.MetadataValue.int(getattr(report, name))
        found["seconds"] = dg.MetadataValue.float(round(report.seconds, 3))
    if outcome.note:
        found["note"] = dg.MetadataValue.text(outcome.note)
    if outcome.shape:
        found["picture"] = dg.MetadataValue.md(picture(outcome.shape, PICTURE_SLICES))
    return found


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
