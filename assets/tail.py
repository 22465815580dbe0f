"""`P/tail`: the newest minutes of all of a provider's listings, one event a refresh.

What belongs here: the factory, and what is shown of a refresh. It has a pool of its own, so that it
overtakes a backfill that holds the provider's for minutes; the limit of requests they share anyway.
"""

# No `from __future__ import annotations`: Dagster reads the asset's annotations as they are.

import time
from collections.abc import Sequence
from datetime import datetime
from statistics import median

import dagster as dg

from assets.columns import of_view
from assets.downloading import download_cells, follow_minutes
from assets.metadata import Metadata
from assets.minutes import tell
from assets.outcomes import CellOutcome
from pipeline.intervals import MINUTE, Interval
from pipeline.providers.errors import ProviderError
from pipeline.store.cells import Cell
from pipeline.store.database import Database
from pipeline.store.freshness import Freshness, freshness
from pipeline.universe import Universe
from resources.downloads import DownloadsResource
from resources.ledger import LedgerResource
from resources.pools import tail_pool

_SHOWN = 10
_DESCRIPTION = (
    "The newest minutes of all listings of {provider}, kept fresh by the sensor "
    "`refresh_{provider}`: what came after the newest answered minute, of this month and the "
    "last.\n\n"
    "One event a refresh, whatever the number of listings; partitions of `{provider}/bars_1m` show "
    "it once a day. It fails only when nothing at all was answered: one listing that fails is told "
    "in `market.freshness`."
)
_QUERIES = """
SELECT * FROM market.freshness WHERE provider = '{provider}' ORDER BY stale_since;
"""


def tail(provider: str, universe: Universe) -> dg.AssetsDefinition:
    """Make the asset of a provider's newest minutes."""

    @dg.asset(
        key=dg.AssetKey([provider, "tail"]),
        group_name=provider,
        kinds={"postgres", universe.client(provider)},
        owners=["team:market-data"],
        description=_DESCRIPTION.format(provider=provider),
        metadata=of_view("freshness", _QUERIES.format(provider=provider)),
        pool=tail_pool(provider),
    )
    def step(
        context: dg.AssetExecutionContext,
        ledger: LedgerResource,
        downloads: DownloadsResource,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows it bare only
        database, started = ledger.database(), time.monotonic()
        now = database.clock.now()
        cells = [cell for row in _read(database, provider, now) for cell in _cells(row, now)]
        try:
            with downloads.downloader(database, universe, provider) as downloader:
                outcomes = download_cells(
                    database,
                    downloader,
                    provider,
                    cells,
                    only_due=True,
                    tell=lambda outcome: tell(context, outcome) if outcome.problem else None,
                )
        except ProviderError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        follow_minutes(database, provider, outcomes)
        now = database.clock.now()
        shown = _shown(_read(database, provider, now), outcomes, now, time.monotonic() - started)
        if outcomes and all(outcome.problem for outcome in outcomes):
            raise dg.Failure(
                f"{provider} answered for none of {len(outcomes)} listing-months: "
                f"{outcomes[0].problem}",
                metadata=shown,
                allow_retries=False,
            )
        return dg.MaterializeResult(metadata=shown)

    return step


def _read(database: Database, provider: str, now: datetime) -> Sequence[Freshness]:
    with database.connect() as connection:
        return freshness(connection, provider, now=now)


def _cells(row: Freshness, now: datetime) -> Sequence[Cell]:
    """Return the months of a listing that have anything to ask for."""
    since = row.unasked_since or row.stale_since
    if since is None:
        return []
    until = now.replace(second=0, microsecond=0)
    return [Cell(row.listing, month) for month in Interval(since, until).first_days()]


def _shown(
    rows: Sequence[Freshness], outcomes: Sequence[CellOutcome], now: datetime, seconds: float
) -> Metadata:
    lags = [_lag(row, now) for row in rows] or [0.0]
    reports = [outcome.report for outcome in outcomes if outcome.report is not None]
    counts = {
        "listings": len(rows),
        "stale_listings": sum(not row.fresh for row in rows),
        "bars": sum(report.inserted for report in reports),
        "requests": sum(report.requests for report in reports),
    }
    found: Metadata = {name: dg.MetadataValue.int(count) for name, count in counts.items()}
    found["largest_lag_minutes"] = dg.MetadataValue.float(round(max(lags), 1))
    found["median_lag_minutes"] = dg.MetadataValue.float(round(median(lags), 1))
    found["seconds"] = dg.MetadataValue.float(round(seconds, 3))
    worst = sorted((row for row in rows if row.stale_since), key=lambda row: -_lag(row, now))
    if worst:
        found["furthest_behind"] = dg.MetadataValue.md(_table(worst[:_SHOWN], now))
    return found


def _lag(row: Freshness, now: datetime) -> float:
    """Return for how many minutes the oldest expected minute has been missing; 0 if none is."""
    return 0.0 if row.stale_since is None else (now - row.stale_since) / MINUTE


def _table(rows: Sequence[Freshness], now: datetime) -> str:
    lines = [
        f"| {row.listing} | {row.stale_since:%Y-%m-%d %H:%M} | {_lag(row, now):.0f} "
        f"| {(row.last_error or '').replace('|', '/')} |"
        for row in rows
    ]
    head = ["| listing | lacks what came after (UTC) | minutes | error |", "|---|---|--:|---|"]
    return "\n".join([*head, *lines])
