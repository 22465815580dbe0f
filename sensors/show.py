"""`show`: partitions that Dagster does not show as the ledger has them are materialized again."""

# No `from __future__ import annotations`: Dagster reads the sensor's annotations as they are.

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby

import dagster as dg

from pipeline.plan import CELLS_PER_RUN
from pipeline.store.cells import Cell
from pipeline.store.shown import unshown
from pipeline.universe import Universe
from resources.ledger import LedgerResource
from sensors.pacing import Pace, Pacing
from sensors.ticking import (
    PRIORITY,
    SLOW,
    Plan,
    Ticking,
    at_work,
    backfilled,
    cell_range,
    fingerprint,
    looking,
    missing_keys,
    queued_or_under_way,
    runs_of_neighbours,
    tag_of,
)

NAME = "show"
RUNS_AT_A_TIME = 10
_QUIET = timedelta(minutes=1)
_PACE = Pace(timedelta(minutes=10), timedelta(days=1))
_DAILY = Pace(timedelta(hours=1), timedelta(days=1))

Span = tuple[Cell, Cell]


def show_sensor(universe: Universe, ticking: Ticking) -> dg.SensorDefinition:
    """Make the sensor that keeps what Dagster shows in step with the ledger."""
    providers = universe.bar_providers
    assets = {
        provider: [dg.AssetKey([provider, name]) for name in ("bars_1m", "gaps", "bars")]
        for provider in providers
    }

    @dg.sensor(
        name=NAME,
        description="Materializes months that have changed since they were shown: this and the "
        "last once a day, for refreshes change them all the time; others as soon as nobody is at "
        "work, such as those that a killed run, a command or an import has left. Stopped, "
        "partitions say less than the ledger holds.",
        asset_selection=[key for keys in assets.values() for key in keys],
        minimum_interval_seconds=ticking.every(60),
        default_status=ticking.status,
    )
    def sensor(context: dg.SensorEvaluationContext, ledger: LedgerResource) -> dg.SensorResult:
        now = ledger.now()
        with looking(ledger) as connection:
            hidden = unshown(connection, _QUIET)
        keys = [*providers, *map(_day_of, providers)]
        plan = Plan(Pacing.read(context.cursor, keys), now)
        waiting = sorted(hidden.keys() & set(providers))
        busy = queued_or_under_way(context.instance, NAME, waiting) if waiting else set()
        working = at_work(context.instance, waiting) if waiting else set()
        others = backfilled(context.instance) if waiting else set()
        for provider in waiting:
            if provider in busy:
                plan.say(f"{provider}: {len(hidden[provider])} months, and some are being shown")
            elif others & set(assets[provider]):
                plan.say(f"{provider}: {len(hidden[provider])} months, and a backfill is under way")
            elif why := missing_keys(universe, provider):
                plan.say(why)
            else:
                ordered = context.instance.get_dynamic_partitions(f"{provider}_listings")
                first = universe.first_month(provider)
                cells = [
                    cell
                    for cell in hidden[provider]
                    if cell.listing in ordered and cell.month >= first
                ]
                _launch(plan, assets[provider], cells, ordered, now, idle=provider not in working)
        return plan.result("everything is shown as it is")

    return sensor


def _day_of(provider: str) -> str:
    return f"{provider} day"


def _launch(
    plan: Plan,
    assets: Sequence[dg.AssetKey],
    cells: Sequence[Cell],
    ordered: Sequence[str],
    now: datetime,
    *,
    idle: bool,
) -> None:
    provider, today = assets[0].path[0], now.date()
    last_month = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    older = [cell for cell in cells if cell.month < last_month]
    newer = [cell for cell in cells if cell.month >= last_month]
    key = _day_of(provider)
    if newer and plan.last(key) != today.isoformat():
        spans = _spans(newer, ordered)
        plan.launch(key, today.isoformat(), _DAILY, [_request(assets, one) for one in spans])
    elif older and idle:
        spans = _spans(older, ordered)[:RUNS_AT_A_TIME]
        what = fingerprint(f"{first} {last}" for first, last in spans)
        plan.launch(provider, what, _PACE, [_request(assets, one) for one in spans])
    elif older:
        plan.say(f"{provider}: {len(older)} months are to be shown, and somebody is at work")


def _spans(cells: Collection[Cell], ordered: Sequence[str]) -> Sequence[Span]:
    """Return runs of the cells, each of one month or of one listing: whichever are fewer."""
    by_month = [
        (Cell(run[0], month), Cell(run[-1], month))
        for month in sorted({cell.month for cell in cells}, reverse=True)
        for run in runs_of_neighbours(
            {cell.listing for cell in cells if cell.month == month}, ordered, CELLS_PER_RUN
        )
    ]
    by_listing = [
        (Cell(listing, run[0]), Cell(listing, run[-1]))
        for listing, of_one in groupby(sorted(cells), key=lambda cell: cell.listing)
        for run in _in_a_row([cell.month for cell in of_one])
    ]
    return min(by_month, by_listing, key=len)


def _in_a_row(months: Sequence[date]) -> Iterator[Sequence[date]]:
    run: list[date] = []
    for month in months:
        if run and (_number(month) != _number(run[-1]) + 1 or len(run) == CELLS_PER_RUN):
            yield run
            run = []
        run.append(month)
    if run:
        yield run


def _number(month: date) -> int:
    return month.year * 12 + month.month


def _request(assets: Sequence[dg.AssetKey], span: Span) -> dg.RunRequest:
    provider = assets[0].path[0]
    tags = {tag_of(NAME): provider, PRIORITY: "-5", **SLOW, **cell_range(*span)}
    config = {"only_due": True, "shows": True}
    return dg.RunRequest(
        asset_selection=list(assets),
        tags=tags,
        run_config={"ops": {f"{provider}__minutes": {"config": config}}},
    )
