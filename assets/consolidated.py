"""`consolidated/bars_1m` and `consolidated/bars`: one series per instrument from its listings.

What belongs here: the factory, and what Dagster's pages show of a cell.
Both are made by one step: the bars above a minute follow from who serves the minutes.
"""

# No `from __future__ import annotations`: Dagster reads the asset's annotations as they are.

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from functools import partial

import dagster as dg

from assets.columns import Described, of_view
from assets.events import Context, log_made
from assets.metadata import Metadata
from pipeline.catching_up import CaughtUp
from pipeline.consolidating import consolidate
from pipeline.consolidation import CONSOLIDATED
from pipeline.plan import CELLS_PER_RUN
from pipeline.store.cells import Cell
from pipeline.store.consolidated_series import (
    Served,
    instruments_by_key,
    served,
)
from pipeline.store.database import Database
from pipeline.store.session import LedgerSession
from pipeline.universe import Universe
from resources.ledger import LedgerResource
from resources.partitions import (
    from_listings,
    instrument_partitions,
    to_cell,
    to_instrument_key,
)

_BARS_1M, _HIGHER = (dg.AssetKey([CONSOLIDATED, name]) for name in ("bars_1m", "bars"))
_SHOWN = 20
_MINUTES = (
    "One series of 1-minute bars per instrument, from its listings; one partition an instrument "
    "and month.\n\n"
    "The first listing serves the minutes that it delivered, also the quiet ones; the next only "
    "what is left, and so on (method `primary`; the universe may choose others). Each bar says "
    "whose it is. Nothing is stored twice."
)
_BARS = (
    "Bars of {timeframes} of each instrument; one partition an instrument and month.\n\n"
    "A bar whose minutes one listing alone serves is that listing's own; only those in which "
    "minutes of several meet are built and stored. Made in the same step as the minutes, wherever "
    "something has changed, however old it is."
)
_MINUTES_QUERIES = """
SELECT * FROM market.consolidated_1m
WHERE instrument = 'BTC-USD' AND ts >= '2024-01-01' AND ts < '2024-01-02';
SELECT * FROM market.consolidated_segments WHERE instrument = 'BTC-USD' ORDER BY month;
"""
_BARS_QUERIES = """
SELECT * FROM market.consolidated_1d WHERE instrument = 'BTC-USD' ORDER BY ts;
"""


def consolidated(universe: Universe) -> dg.AssetsDefinition:
    """Make the assets of the instruments' series."""
    first = min(universe.first_month(provider) for provider in universe.bar_providers)

    @dg.multi_asset(
        name=CONSOLIDATED,
        specs=[
            _spec(
                _BARS_1M,
                universe,
                _MINUTES,
                ("bars_1m", "gaps"),
                of_view(
                    "consolidated_1m", _MINUTES_QUERIES, *_made_of(universe, "bars_1m", "bars_1m")
                ),
            ),
            _spec(
                _HIGHER,
                universe,
                _BARS.format(timeframes=", ".join(universe.timeframes)),
                ("bars",),
                of_view(
                    "consolidated_1d",
                    _BARS_QUERIES,
                    *_made_of(universe, "bars", "bars_1d"),
                    named=False,
                ),
                _BARS_1M,
            ),
        ],
        partitions_def=instrument_partitions(first),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=CELLS_PER_RUN),
        can_subset=True,
    )
    def step(
        context: dg.AssetExecutionContext, ledger: LedgerResource
    ) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]  # Dagster knows it bare only
        database = ledger.database()
        cells = [to_cell(key) for key in context.partition_keys]
        with LedgerSession(database) as session:
            numbers = _known(session, cells)
            done = consolidate(database, session, list(numbers.values()))
            _tell(context, numbers, done)
            shown = {cell: _of_cell(_served(session, cell)) for cell in cells}
        for key in (_BARS_1M, _HIGHER):
            if key in context.selected_asset_keys:
                for cell in cells:
                    context.add_asset_metadata(
                        shown[cell], key, partition_key=to_instrument_key(cell)
                    )
                yield dg.MaterializeResult(asset_key=key)

    return step


def log_consolidated(
    context: Context,
    database: Database,
    instruments: Mapping[str, int],
    done: Mapping[int, CaughtUp],
    anyway: Collection[date] = (),
    *,
    before: date = date.max,
) -> None:
    """Log what a provider's run did for instruments' series as materializations of the assets.

    Args:
        context: Of the run.
        database: The ledger's database.
        instruments: Names and numbers of instruments.
        done: What was worked out of them, by number.
        anyway: First days of months that are logged whether or not anything was.
        before: Months from this day on are not logged.

    Raises:
        psycopg.Error, DatabaseError: The ledger cannot be read.
    """
    _tell(context, instruments, done)
    months = {
        name: done.get(number, CaughtUp()).months | set(anyway)
        for name, number in instruments.items()
    }
    cells = [
        Cell(name, month)
        for name in sorted(months)
        for month in sorted(months[name])
        if month < before
    ]
    with LedgerSession(database) as session:
        shown: dict[str, Metadata] = {
            to_instrument_key(cell): _of_cell(_served(session, cell)) for cell in cells
        }
    log_made(context, dict.fromkeys((_BARS_1M, _HIGHER), shown), {})


def _tell(
    context: Context,
    numbers: Mapping[str, int],
    done: Mapping[int, CaughtUp],
) -> None:
    for name in sorted(numbers):
        if numbers[name] in done:
            context.log.info("%s, consolidated: %s", name, _told(done[numbers[name]]))


def _served(session: LedgerSession, cell: Cell) -> list[Served]:
    return session.run(partial(served, instrument=cell.listing, month=cell.month))


def _spec(
    key: dg.AssetKey,
    universe: Universe,
    description: str,
    follows: Sequence[str],
    described: Described,
    *deps: dg.AssetKey,
) -> dg.AssetSpec:
    upstream = [
        dg.AssetDep(dg.AssetKey([provider, name]), partition_mapping=from_listings())
        for provider in universe.bar_providers
        for name in follows
    ]
    return dg.AssetSpec(
        key,
        deps=[*upstream, *deps],
        group_name=CONSOLIDATED,
        kinds={"postgres"},
        owners=["team:market-data"],
        description=description,
        metadata=described,
    )


def _made_of(universe: Universe, name: str, view: str) -> Iterator[tuple[dg.AssetKey, str]]:
    """Yield the assets of this name, of all providers, and the view that shows them."""
    for provider in universe.bar_providers:
        yield dg.AssetKey([provider, name]), view


def _known(session: LedgerSession, cells: Sequence[Cell]) -> dict[str, int]:
    names = {cell.listing for cell in cells}
    known = dict(session.run(lambda connection: instruments_by_key(connection, names)))
    if missing := sorted(names - known.keys()):
        raise dg.Failure(
            f"the ledger has no instrument {', '.join(missing)}; add it to the universe file, or "
            "leave its partitions alone",
            allow_retries=False,
        )
    return known


def _told(made: CaughtUp) -> str:
    rows = ", ".join(
        f"{name} {written.written} written and {written.removed} removed"
        for name, written in made.rows.items()
        if written.written or written.removed
    )
    return f"{len(made.months)} months worked out; {rows or 'no bar is of several listings'}"


def _of_cell(rows: Sequence[Served]) -> Metadata:
    """Return the metadata of one partition: how many rows are whose, and why."""
    bars = sum(row.bars for row in rows)
    found: Metadata = {"dagster/partition_row_count": dg.MetadataValue.int(bars)}
    for row in rows[:_SHOWN]:
        share = 100 * row.bars / bars if bars else 0.0
        found[f"{row.provider}_percent"] = dg.MetadataValue.float(round(share, 2))
    lines = [
        f"| {row.provider} | {row.bars:,} | {'' if row.minutes is None else f'{row.minutes:,}'} "
        f"| {row.reason or 'combined'} |"
        for row in rows[:_SHOWN]
    ]
    head = ["| provider | bars | minutes served | why |", "|---|--:|--:|---|"]
    found["served"] = dg.MetadataValue.md("\n".join([*head, *lines]))
    return found
