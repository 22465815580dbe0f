"""`backfill`: history that nobody has asked for yet, wave by wave, the newest months first."""

# No `from __future__ import annotations`: Dagster reads the sensor's annotations as they are.

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import dagster as dg

from pipeline.plan import CELLS_PER_RUN
from pipeline.store.cells import Cell
from pipeline.store.upkeep import Unasked, history
from pipeline.universe import Universe
from resources.ledger import LedgerResource
from sensors.pacing import Pace, Pacing
from sensors.ticking import (
    Plan,
    Ticking,
    assets_of_minutes,
    backfilled,
    fingerprint,
    looking,
    missing_keys,
    queued_or_under_way,
    request_of_cells,
)

NAME = "backfill"
RUNS_PER_WAVE = 10
_PACE = Pace(timedelta(minutes=1), timedelta(hours=6))


def backfill_sensor(universe: Universe, ticking: Ticking) -> dg.SensorDefinition:
    """Make the sensor that downloads history by waves."""
    providers = universe.bar_providers
    assets = {provider: assets_of_minutes(provider) for provider in providers}

    @dg.sensor(
        name=NAME,
        description="Downloads the history of which nothing was asked yet, also that of new "
        f"listings and earlier starts: the newest months first, at most {RUNS_PER_WAVE} runs a "
        "provider at a time. Stopped, it pauses.",
        asset_selection=[key for keys in assets.values() for key in keys],
        minimum_interval_seconds=ticking.every(60),
        default_status=ticking.status,
    )
    def sensor(context: dg.SensorEvaluationContext, ledger: LedgerResource) -> dg.SensorResult:
        now = ledger.now()
        with looking(ledger) as connection:
            unasked = history(connection, now)
        plan = Plan(Pacing.read(context.cursor, providers), now)
        busy = queued_or_under_way(context.instance, NAME, providers) if unasked else set()
        others = backfilled(context.instance) if unasked else set()
        for provider in sorted({one.provider for one in unasked} & set(providers)):
            mine = [one for one in unasked if one.provider == provider]
            if provider in busy:
                plan.say(f"{provider}: {_months(mine)} are left, and a wave is under way")
            elif others & set(assets[provider]):
                plan.say(f"{provider}: {_months(mine)} are left, and a backfill is under way")
            elif why := missing_keys(universe, provider):
                plan.say(why)
            else:
                known = set(context.instance.get_dynamic_partitions(f"{provider}_listings"))
                wave = _wave(mine, known, universe.first_month(provider))
                what = fingerprint(f"{one.listing} {one.first} {one.last}" for one in wave)
                requests = [_request(one) for one in wave]
                if not wave:
                    plan.say(f"{provider}: {_months(mine)} have no partitions yet")
                else:
                    plan.launch(provider, what, _PACE, requests)
        return plan.result("no history is left to be asked for")

    return sensor


def _wave(unasked: Sequence[Unasked], known: set[str], first: date) -> Sequence[Unasked]:
    pieces = [
        piece
        for one in unasked
        if one.listing in known and one.last >= first
        for piece in _pieces(one, max(one.first, first))
    ]
    return sorted(pieces, key=lambda one: (one.last, one.listing), reverse=True)[:RUNS_PER_WAVE]


def _pieces(one: Unasked, first: date) -> Iterator[Unasked]:
    """Yield a run of months in pieces of as many as a run takes, the newest first."""
    last = one.last
    while last >= first:
        back = _before(last, CELLS_PER_RUN - 1)
        yield Unasked(one.provider, one.listing, max(first, back), last)
        last = _before(back, 1)


def _before(month: date, number: int) -> date:
    index = month.year * 12 + month.month - 1 - number
    return date(index // 12, index % 12 + 1, 1)


def _months(unasked: Sequence[Unasked]) -> str:
    months = sum(
        (one.last.year - one.first.year) * 12 + one.last.month - one.first.month + 1
        for one in unasked
    )
    return f"{months} listing-months"


def _request(one: Unasked) -> dg.RunRequest:
    first, last = Cell(one.listing, one.first), Cell(one.listing, one.last)
    return request_of_cells(NAME, first, last, provider=one.provider, priority=-10, only_due=True)
