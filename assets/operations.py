"""`operations/housekeeping` and `operations/sizes`: what is forgotten, and what is stored.

What belongs here: what Dagster's pages show of them. What is forgotten, and when, is
`pipeline.housekeeping`'s business.
"""

# No `from __future__ import annotations`: Dagster reads the assets' annotations as they are.

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.columns import of_view
from pipeline.housekeeping import Ages, Housekeeping, housekeep, take_sizes
from pipeline.orchestration.history import history
from pipeline.settings import Settings
from pipeline.store.sizes import DaySize, Growth, growth, size_by_day
from pipeline.universe import Universe
from resources.ledger import LedgerResource

GROUP = "operations"
HOUSEKEEPING = dg.AssetKey([GROUP, "housekeeping"])
SIZES = dg.AssetKey([GROUP, "sizes"])
_DAYS = 30
_SHOWN = 20
_MEGABYTE = 1_000_000
_BLOCKS = 40
_FORGETTING = (
    "Forgets what nobody needs any more: how runs went that succeeded {details} days ago; runs of "
    "{runs} days ago whose every outcome a newer run has replaced; documents of fundamentals as "
    "the universe says; how requests went 90 days ago. What Dagster shows of assets, partitions, "
    "checks and backfills stays as it is."
)
_MEASURING = "What the tables of both databases take on disk, day by day, and how fast they grow."
_QUERIES = """
SELECT * FROM market.sizes WHERE day = (SELECT max(day) FROM market.sizes) ORDER BY bytes DESC;
SELECT day, sum(bytes) AS bytes FROM market.sizes GROUP BY day ORDER BY day;
"""


def housekeeping(universe: Universe, settings: Settings) -> dg.AssetsDefinition:
    """Make the asset of what was forgotten."""
    ages = Ages(
        timedelta(days=settings.keep_run_details_days),
        timedelta(days=settings.keep_runs_days),
        universe.snapshots,
    )

    @dg.asset(
        key=HOUSEKEEPING,
        group_name=GROUP,
        kinds={"postgres"},
        owners=["team:market-data"],
        description=_FORGETTING.format(details=ages.run_details.days, runs=ages.runs.days),
    )
    def asset(context: dg.AssetExecutionContext, ledger: LedgerResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows it bare only
        database, instance = ledger.database(), context.instance
        with database.connect() as own, history(database) as dagster:
            own.autocommit = True
            done = housekeep(
                own,
                dagster,
                ages,
                datetime.now(UTC),
                delete_run=instance.delete_run,
                delete_output=lambda run: instance.compute_log_manager.delete_logs(prefix=[run]),
            )
        return dg.MaterializeResult(metadata=_forgotten(done))

    return asset


@dg.asset(
    key=SIZES,
    group_name=GROUP,
    kinds={"postgres"},
    owners=["team:market-data"],
    description=_MEASURING,
    metadata=of_view("sizes", _QUERIES),
)
def sizes(ledger: LedgerResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Measure what the tables take."""
    database = ledger.database()
    with database.connect() as own, history(database) as dagster:
        own.autocommit = True
        take_sizes(own, dagster, datetime.now(UTC))
        tables, days = growth(own, _DAYS), size_by_day(own, _DAYS)
    return dg.MaterializeResult(metadata=_measured(tables, days))


def _forgotten(done: Housekeeping) -> dict[str, dg.MetadataValue]:
    counts = {
        "events_deleted": done.runs.events,
        "runs_deleted": done.runs.runs,
        "outputs_deleted": done.runs.outputs,
        "request_counts_deleted": done.requests,
        "payloads_pruned": len(done.snapshots.pruned),
        "payloads_restored": done.snapshots.restored,
        "payloads_gone_for_good": done.snapshots.gone,
        "tables_counted": done.counted,
    }
    return {name: dg.MetadataValue.int(count) for name, count in counts.items()}


def _measured(tables: Sequence[Growth], days: Sequence[DaySize]) -> dict[str, dg.MetadataValue]:
    today = days[-1]
    megabytes = {
        "market_mb": (today.market or 0) / _MEGABYTE,
        "dagster_mb": (today.dagster or 0) / _MEGABYTE,
    }
    if len(days) > 1:
        grown = today.bytes - days[0].bytes
        megabytes["mb_a_day"] = grown / _MEGABYTE / (today.day - days[0].day).days
    return {
        **{name: dg.MetadataValue.float(round(each, 3)) for name, each in megabytes.items()},
        "days": dg.MetadataValue.md(_bars(days)),
        "tables": dg.MetadataValue.md(_table(tables)),
    }


def _bars(days: Sequence[DaySize]) -> str:
    """Return what both databases took, a bar a day, as preformatted text."""
    of_a_block = max(1, *(one.bytes for one in days)) / _BLOCKS
    lines = [
        f"{one.day}  {'█' * round(one.bytes / of_a_block):<{_BLOCKS}}  "
        f"{one.bytes / _MEGABYTE:,.1f} MB"
        for one in days
    ]
    return "\n".join(["```", *lines, "```"])


def _table(tables: Sequence[Growth]) -> str:
    lines = [
        f"| {one.database} | {one.relation} | {one.bytes / _MEGABYTE:,.1f} | {one.rows:,} "
        f"| {'' if one.bytes_a_day is None else f'{one.bytes_a_day / _MEGABYTE:,.2f}'} |"
        for one in tables[:_SHOWN]
    ]
    head = "| database | table | MB | rows (about) | MB a day |"
    return "\n".join([head, "|---|---|---:|---:|---:|", *lines])
