"""`show`: partitions that Dagster does not show as the ledger has them are materialized again."""

# No `from __future__ import annotations`: Dagster reads the sensor's annotations as they are.

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

import dagster as dg

from pipeline.intervals import Interval
from pipeline.plan import CELLS_PER_RUN
from pipeline.store.cells import Cell
from pipeline.store.shown import shown_daily, unshown
from pipeline.universe import Universe
from resources.ledger import LedgerResource
from sensors.pacing import Pace, Pacing
from sensors.ticking import (
    Plan,
    Ticking,
    assets_of_minutes,
    at_work,
    backfilled,
    fingerprint,
    looking,
    missing_keys,
    queued_or_under_way,
    request_of_cells,
    runs_of_neighbours,
)

NAME = "show"
RUNS_AT_A_TIME = 10
_QUIET = timedelta(minutes=1)
_PACE = Pace(timedelta(minutes=10), timedelta(days=1))

Span = tuple[Cell, Cell]


def show_sensor(universe: Universe, ticking: Ticking) -> dg.SensorDefinition:
    """Make the sensor that keeps what Dagster shows in step with the ledger."""
    providers = universe.bar_providers
    assets = {provider: assets_of_minutes(provider) for provider in providers}

    @dg.sensor(
        name=NAME,
        description="Materializes months that were never shown, or have changed since: this and "
        "the last at most once a day, for refreshes change them all the time; others as soon as "
        "nobody is at work, such as those that a killed run, a command or an import has left. "
        "Stopped, partitions say less than the ledger holds.",
        asset_selection=[key for keys in assets.values() for key in keys],
        minimum_interval_seconds=ticking.every(60),
        default_status=ticking.status,
    )
    def sensor(context: dg.SensorEvaluationContext, ledger: LedgerResource) -> dg.SensorResult:
        now = ledger.now()
        with looking(ledger) as connection:
            hidden = unshown(connection, shown_daily(now), _QUIET)
        plan = Plan(Pacing.read(context.cursor, providers), now)
        waiting = sorted(hidden.keys() & set(providers))
        queued = queued_or_under_way(context.instance, NAME, waiting) if waiting else set()
        busy = at_work(context.instance, assets) if waiting else set()
        others = backfilled(context.instance) if waiting else set()
        for provider in waiting:
            months = f"{provider}: {len(hidden[provider])} months are to be shown"
            if provider in queued:
                plan.say(f"{months}, and some are queued or under way")
            elif others & set(assets[provider]):
                plan.say(f"{months}, and a backfill is under way")
            elif provider in busy:
                plan.say(f"{months}, and somebody is at work")
            elif why := missing_keys(universe, provider):
                plan.say(why)
            else:
                ordered = context.instance.get_dynamic_partitions(f"{provider}_listings")
                first = universe.first_month(provider)
                cells = {
                    cell: at
                    for cell, at in hidden[provider].items()
                    if cell.listing in ordered and cell.month >= first
                }
                _launch(plan, provider, cells, ordered)
        return plan.result("everything is shown as it is")

    return sensor


def _launch(
    plan: Plan, provider: str, cells: Mapping[Cell, datetime | None], ordered: Sequence[str]
) -> None:
    if cells:
        spans = _spans(cells, ordered)[:RUNS_AT_A_TIME]
        what = fingerprint(f"{cell.listing} {cell.month} {at}" for cell, at in cells.items())
        plan.launch(provider, what, _PACE, [_request(provider, one) for one in spans])


def _spans(cells: Collection[Cell], ordered: Sequence[str]) -> Sequence[Span]:
    """Return runs of the cells, each of one month or of one listing: whichever are fewer."""
    by_month = [
        (Cell(run[0], month), Cell(run[-1], month))
        for month in sorted({cell.month for cell in cells}, reverse=True)
        for run in runs_of_neighbours(
            {cell.listing for cell in cells if cell.month == month}, ordered, CELLS_PER_RUN
        )
    ]
    first, last = min(cell.month for cell in cells), max(cell.month for cell in cells)
    months = Interval(Interval.month(first).start, Interval.month(last).end).first_days()
    by_listing = [
        (Cell(listing, run[0]), Cell(listing, run[-1]))
        for listing, of_one in groupby(sorted(cells), key=lambda cell: cell.listing)
        for run in runs_of_neighbours({cell.month for cell in of_one}, months, CELLS_PER_RUN)
    ]
    return min(by_month, by_listing, key=len)


def _request(provider: str, span: Span) -> dg.RunRequest:
    return request_of_cells(NAME, *span, provider=provider, priority=-5, only_due=True, shows=True)
