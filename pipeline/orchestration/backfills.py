"""Backfills: which cells (listings x months) to ask for, launching them, and what became of them.

Dagster's own list of what is materialized decides together with the ledger: a cell is asked for
when minutes of it are open, or when no run ever finished it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import psycopg

from pipeline.orchestration.api import Asset, AssetKey, DagsterApi
from pipeline.orchestration.errors import OrchestrationError
from pipeline.store.cells import Cell
from pipeline.store.coverage import CoverageRow, coverage

WAVE = 10_000
"""Most partitions of one backfill: Dagster keeps them in one row, and rewrites it all the time."""
PRIORITY = {"dagster/priority": "-10"}
_FEW = 1_000
_SECONDS_BETWEEN_LOOKS = {True: 3.0, False: 15.0}


@dataclass(frozen=True, slots=True)
class Selection:
    """What to ask for: None means no restriction; months are first days, both included."""

    provider: str | None = None
    listing: str | None = None
    first: date | None = None
    last: date | None = None
    everything: bool = False

    def takes(self, month: date) -> bool:
        """Return whether a month is wanted."""
        return (self.first is None or month >= self.first) and (
            self.last is None or month <= self.last
        )


@dataclass(slots=True)
class Wave:
    """One backfill of one provider's cells, or instruments.

    Attributes:
        provider: The provider.
        assets: What is materialized of each cell.
        cells: Partition keys, `LISTING|YYYY-MM-01`.
        backfill: Dagster's id of it.
        launched: When it was launched, in seconds since 1970.
        missing: Cells that are not materialized yet.
        problem: Why the backfill as a whole ended early, if it did.
        ended: When nothing more came of it, in seconds since 1970; None while it goes on.
        unit: What a partition is.
    """

    provider: str
    assets: Sequence[AssetKey]
    cells: Sequence[str]
    backfill: str = ""
    launched: float = 0.0
    missing: Sequence[str] = field(default_factory=list)
    problem: str | None = None
    ended: float | None = None
    unit: str = "listing-months"

    @property
    def done(self) -> int:
        """Number of cells that are materialized."""
        return len(self.cells) - len(self.missing)


@dataclass(slots=True)
class Taken:
    """What the waves of one provider took.

    Attributes:
        seconds: Wall time from the first launch to the last end.
        requests: Requests for the cells that were completed.
    """

    seconds: float
    requests: int


def cell_key(listing: str, month: date) -> str:
    """Return the partition key of a cell."""
    return f"{listing}|{month.isoformat()}"


def assets_of(api: DagsterApi, provider: str) -> list[Asset]:
    """Return the provider's assets that are partitioned by its listings; bars_1m is among them.

    Raises:
        OrchestrationError: Dagster has not loaded such a provider.
    """
    assets = {asset.key: asset for asset in api.assets()}
    bars = assets.get((provider, "bars_1m"))
    if bars is None or bars.listings is None:
        raise OrchestrationError(
            f"Dagster knows no asset {provider}/bars_1m; check the universe file, and the code "
            "server's log"
        )
    return [
        asset
        for key, asset in assets.items()
        if key[0] == provider and asset.listings == bars.listings
    ]


def plan(
    connection: psycopg.Connection,
    api: DagsterApi,
    selection: Selection,
    due: Mapping[str, Collection[Cell]] | None = None,
) -> list[Wave]:
    """Return the waves that it takes to get everything selected.

    Args:
        connection: An open connection.
        api: Where they are to be launched.
        selection: What to ask for.
        due: Cells of providers in which something is to be asked again, though none is open.
    """
    rows = coverage(
        connection, selection.provider, [selection.listing] if selection.listing else None
    )
    rows = [row for row in rows if selection.takes(row.month)]
    waves: list[Wave] = []
    for provider in sorted({row.provider for row in rows}):
        assets = assets_of(api, provider)
        mine = [row for row in rows if row.provider == provider]
        again = {cell_key(cell.listing, cell.month) for cell in (due or {}).get(provider, ())}
        cells = _open_cells(api, assets, mine, again, everything=selection.everything)
        keys = [asset.key for asset in assets]
        waves += [
            Wave(provider, keys, cells[start : start + WAVE])
            for start in range(0, len(cells), WAVE)
        ]
    return waves


def _open_cells(
    api: DagsterApi,
    assets: Sequence[Asset],
    rows: Iterable[CoverageRow],
    again: Collection[str],
    *,
    everything: bool,
) -> list[str]:
    existing = api.partition_keys(assets[0])
    rows = [
        row
        for row in rows
        if all(each in existing for each in (row.listing, row.month.isoformat()))
    ]
    keys = {cell_key(row.listing, row.month): row for row in rows}
    unseen = set(_missing(api, [asset.key for asset in assets], list(keys), since=0.0))
    return [
        key
        for key, row in keys.items()
        if everything or row.pending or row.failed or key in again or key in unseen
    ]


def cells_of(waves: Iterable[Wave]) -> dict[str, list[Cell]]:
    """Return the cells of some waves by provider."""
    cells: dict[str, list[Cell]] = {}
    for wave in waves:
        for key in wave.cells:
            listing, _, month = key.rpartition("|")
            cells.setdefault(wave.provider, []).append(Cell(listing, date.fromisoformat(month)))
    return cells


def taken(api: DagsterApi, waves: Sequence[Wave]) -> dict[str, Taken]:
    """Return, by provider, what ended waves took."""
    found: dict[str, Taken] = {}
    for provider in sorted({wave.provider for wave in waves}):
        mine = [wave for wave in waves if wave.provider == provider]
        last = max(wave.ended or wave.launched for wave in mine)
        requests = sum(
            api.total((provider, "bars_1m"), wave.cells, "requests", wave.launched) for wave in mine
        )
        found[provider] = Taken(last - min(wave.launched for wave in mine), requests)
    return found


def _missing(
    api: DagsterApi, assets: Iterable[AssetKey], cells: Sequence[str], since: float
) -> list[str]:
    """Return the cells that some asset was not materialized for since a moment."""
    stale: set[str] = set()
    for asset in assets:
        times = api.materialized(asset, cells)
        stale |= {cell for cell in cells if times.get(cell, -1.0) < since}
    return [cell for cell in cells if cell in stale]


def launch(api: DagsterApi, waves: Iterable[Wave]) -> None:
    """Launch the waves as backfills of low priority."""
    for wave in waves:
        wave.launched = time.time()
        wave.missing = wave.cells
        title = f"{wave.provider}: {len(wave.cells)} {wave.unit}"
        wave.backfill = api.launch(wave.assets, wave.cells, title, PRIORITY)


def follow(
    api: DagsterApi, waves: Sequence[Wave], between: Callable[[], None]
) -> Iterator[Sequence[Wave]]:
    """Look again and again at launched waves, until none goes on; yield them after each look.

    Args:
        api: Where they were launched.
        waves: Launched waves.
        between: Called a few times a second while waiting.
    """
    few = sum(len(wave.cells) for wave in waves) <= _FEW
    while True:
        for wave in waves:
            if not wave.ended:
                _look(api, wave)
        yield waves
        if all(wave.ended for wave in waves):
            return
        until = time.monotonic() + _SECONDS_BETWEEN_LOOKS[few]
        while time.monotonic() < until:
            between()
            time.sleep(0.2)


def _look(api: DagsterApi, wave: Wave) -> None:
    state = api.backfill(wave.backfill)
    wave.missing = _missing(api, wave.assets, wave.missing, wave.launched)
    # Dagster looks only twice a minute whether a backfill has ended; what counts are its runs.
    finished = not wave.missing and not api.runs_under_way(wave.backfill)
    wave.ended = time.time() if state.ended or finished else None
    wave.problem = state.error


def explain(connection: psycopg.Connection, api: DagsterApi, wave: Wave) -> Iterator[str]:
    """Yield, for each cell of an ended wave that is not materialized, its name and why."""
    if not wave.missing:
        return
    reasons = api.reasons(wave.backfill)
    for cell in wave.missing:
        listing, _, month = cell.rpartition("|")
        why = _ledger_says(connection, wave.provider, listing, date.fromisoformat(month))
        why = why or next((text for text in reasons if cell in text), "")
        why = why or wave.problem or "; ".join(reasons) or "its run was cancelled or never started"
        yield f"{wave.provider} {cell}: {why}"


def _ledger_says(
    connection: psycopg.Connection, provider: str, listing: str, month: date
) -> str | None:
    row = connection.execute(
        """
        SELECT message FROM market.failures WHERE provider = %s AND listing = %s
           AND since < (%s::date + interval '1 month')::timestamp AT TIME ZONE 'UTC'
           AND before > %s::date::timestamp AT TIME ZONE 'UTC'
        ORDER BY last_failed_at DESC LIMIT 1
        """,
        [provider, listing, month, month],
    ).fetchone()
    return str(row[0]) if row else None
